"""Who may import whom (ARCHITECTURE.md 1): walked over the source, so that no wall is crossed by accident."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("domain", "storage", "integrations", "workers", "api", "cli")
SURFACES = ("facts", "changes", "scans", "reports", "provenance")

MAY_IMPORT = {
    "domain": {"domain"},
    "integrations": {"integrations", "domain"},
    "storage": {"storage", "domain"},
    "workers": {"workers", "storage", "integrations", "domain"},
    "api": {"api", "storage", "integrations", "domain"},
    "cli": {"cli", "api", "workers", "storage", "integrations", "domain"},
}

READS_QUERIES_OF = {
    "facts": set(),
    "changes": {"facts"},
    "scans": {"facts"},
    "reports": {"facts"},
    "provenance": {"facts", "changes", "scans", "reports"},
}
"""Which surface's queries another surface of storage may read."""

COMPOSITION = {"storage/registry.py"}
"""The one module of the core that knows every surface."""


def sources(folder: str) -> Iterator[Path]:
    yield from (path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in (*FOLDERS, "tests")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    crossed = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources(folder)
        for module in imported_modules(path)
        if ours(module) and module.split(".")[0] not in MAY_IMPORT[folder]
    ]
    assert not crossed


def test_domain_does_no_io() -> None:
    allowed = {"cryptography"}
    foreign = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources("domain")
        for module in imported_modules(path)
        if module.split(".")[0]
        in {"asyncio", "asyncpg", "aiohttp", "sqlalchemy", "redis", "arq", "os", "socket", "pathlib"} - allowed
    }
    assert not foreign


def surface_of(parts: tuple[str, ...]) -> str | None:
    return parts[1] if len(parts) > 1 and parts[1] in SURFACES else None


def test_the_core_of_storage_knows_no_surface() -> None:
    crossed = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources("storage")
        if str(path.relative_to(ROOT)) not in COMPOSITION and surface_of(path.relative_to(ROOT).parts) is None
        for module in imported_modules(path)
        if module.startswith("storage.") and surface_of(tuple(module.split(".")))
    ]
    assert not crossed


def test_a_surface_of_storage_reads_others_through_their_queries_only() -> None:
    crossed = []
    for path in sources("storage"):
        own = surface_of(path.relative_to(ROOT).parts)
        for module in imported_modules(path) if own else ():
            parts = tuple(module.split("."))
            other = surface_of(parts) if parts[0] == "storage" else None
            if other and other != own and not (other in READS_QUERIES_OF[own] and parts[2] == "queries"):
                crossed.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not crossed


def test_no_surface_of_the_api_imports_another() -> None:
    crossed = []
    for path in sources("api"):
        own = surface_of(path.relative_to(ROOT).parts)
        for module in imported_modules(path) if own else ():
            other = surface_of(tuple(module.split("."))) if module.startswith("api.") else None
            if other and other != own:
                crossed.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not crossed


def test_the_api_takes_no_client_of_a_vendor_into_a_command() -> None:
    """Clients are for lookups and probes; none exists yet, so none is imported."""
    crossed = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources("api")
        for module in imported_modules(path)
        if module.startswith("integrations.") and ".client" in module
    ]
    assert not crossed


def test_nothing_imports_the_tests() -> None:
    assert not [
        f"{path.relative_to(ROOT)} imports {module}"
        for folder in FOLDERS
        for path in sources(folder)
        for module in imported_modules(path)
        if module.split(".")[0] == "tests"
    ]
