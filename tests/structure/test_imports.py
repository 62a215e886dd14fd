"""Who may import whom: walked over the source, so that no layer and no area is crossed by accident."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

FOLDERS = ("domain", "storage", "integrations", "workers", "api", "cli")

MAY_IMPORT = {
    "domain": {"domain"},
    "integrations": {"integrations", "domain"},
    "storage": {"storage", "domain"},
    "workers": {"workers", "storage", "integrations", "domain"},
    "api": {"api", "storage", "integrations", "domain"},
    "cli": {"cli", "api", "workers", "storage", "integrations", "domain"},
}

CORE = {"identity", "notifications", "audit"}
"""Areas that belong to the core: whoever may import the folder may import them, and they import no other area."""

READS: dict[str, set[str]] = {
    "facts": set(),
    "environments": {"facts"},
    "gates": {"facts", "environments"},
    "connections": {"facts", "environments", "gates"},
    "compliance": {"facts", "environments", "gates", "connections"},
    "changes": {"facts", "gates"},
    "scans": {"facts", "gates"},
    "test_reports": {"facts", "gates"},
    "lineage": {"facts", "gates", "changes", "scans", "test_reports"},
    "kosli": set(),
    "pages": set(),
}
"""Which other areas an area may build on: in domain all of them, in storage their queries only."""

AREAS = CORE | READS.keys()

COMPOSITION = {"storage/registry.py"}
"""The one module of the core that knows every area."""

IN_SEVERAL_AREAS = {"surfaces.py", "app.py"}
"""Modules of `api` that put areas together."""


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


def imports_of(folder: str) -> Iterator[tuple[str, str | None, str]]:
    """Every import in a folder: the file, its area, and the module."""
    for path in sources(folder):
        parts = path.relative_to(ROOT).parts
        for module in imported_modules(path):
            yield "/".join(parts), area_of(parts), module


def area_of(parts: tuple[str, ...]) -> str | None:
    return parts[1] if len(parts) > 1 and parts[1] in AREAS else None


def area_in(folder: str, module: str) -> str | None:
    """The area of a module, if it is in this folder."""
    parts = tuple(module.split("."))
    return area_of(parts) if parts[0] == folder else None


def ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in (*FOLDERS, "tests")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_it_may(folder: str) -> None:
    assert not [
        f"{file} imports {module}"
        for file, _, module in imports_of(folder)
        if ours(module) and module.split(".")[0] not in MAY_IMPORT[folder]
    ]


def test_domain_does_no_io() -> None:
    forbidden = {"asyncio", "asyncpg", "aiohttp", "sqlalchemy", "redis", "arq", "os", "socket", "pathlib"}
    assert not [
        f"{file} imports {module}" for file, _, module in imports_of("domain") if module.split(".")[0] in forbidden
    ]


@pytest.mark.parametrize("folder", ["domain", "storage"])
def test_the_core_knows_no_area(folder: str) -> None:
    assert not [
        f"{file} imports {module}"
        for file, area, module in imports_of(folder)
        if file not in COMPOSITION and (area is None or area in CORE) and area_in(folder, module) in READS
    ]


@pytest.mark.parametrize("folder", ["domain", "storage", "workers"])
def test_an_area_builds_on_those_before_it(folder: str) -> None:
    crossed = []
    for file, area, module in imports_of(folder):
        other = area_in(folder, module)
        if area in READS and other in READS and other != area and other not in READS[area]:
            crossed.append(f"{file} imports {module}")
    assert not crossed


def test_storage_reads_another_area_through_its_queries_only() -> None:
    crossed = []
    for file, area, module in imports_of("storage"):
        other = area_in("storage", module)
        if area in READS and other in READS and other != area and module.split(".")[2] != "queries":
            crossed.append(f"{file} imports {module}")
    assert not crossed


def test_no_area_of_the_api_imports_another() -> None:
    crossed = []
    for file, area, module in imports_of("api"):
        other = area_in("api", module)
        if other and other != area and file.removeprefix("api/") not in IN_SEVERAL_AREAS:
            crossed.append(f"{file} imports {module}")
    assert not crossed


def test_the_http_layer_knows_nothing_of_the_api_around_it() -> None:
    assert not [
        f"{file} imports {module}"
        for file, _, module in imports_of("api")
        if file.startswith("api/http/") and module.startswith("api.") and not module.startswith("api.http.")
    ]


def test_the_api_takes_no_client_of_a_vendor_into_a_command() -> None:
    """Clients are for look-ups and probes; none exists yet, so none is imported."""
    assert not [
        f"{file} imports {module}"
        for file, _, module in imports_of("api")
        if module.startswith("integrations.") and ".client" in module
    ]


def test_every_folder_inside_a_layer_is_an_area_or_known() -> None:
    """An area has one name, spelled the same in every layer: a new folder is one of them, or is named here."""
    known = {
        "domain": set(),
        "storage": {
            "blobs",
            "idempotency",
            "inbox",
            "ledger",
            "migrations",
            "outbox",
            "schedule",
            "search",
            "secrets",
            "verdicts",
        },
        "workers": set(),
        "api": {"http", "monitoring", "webhooks"},
    }
    for folder, others in known.items():
        found = {path.name for path in (ROOT / folder).iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert found <= AREAS | others, folder


def test_nothing_imports_the_tests() -> None:
    assert not [
        f"{file} imports {module}"
        for folder in FOLDERS
        for file, _, module in imports_of(folder)
        if module.split(".")[0] == "tests"
    ]
