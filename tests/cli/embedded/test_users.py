"""Root and ordinary users on real directories: root opens nobody's folder, a user needs no root."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.embedded.account import Account
from cli.embedded.binaries import locate
from cli.embedded.servers import EmbeddedServers, ServerOptions
from domain.errors import Invalid
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to play both parts")
NOBODY = Account.named("nobody")


def modes(path: Path) -> dict[Path, int]:
    return {step: stat.S_IMODE(step.stat().st_mode) for step in (path, *path.parents)}


def test_root_changes_no_parents_mode(home: Path, quick) -> None:
    parent = home / "srv"
    parent.mkdir(mode=0o751)
    before = modes(parent)
    with EmbeddedServers(parent / "data", quick):
        assert modes(parent) == before
    assert modes(parent) == before
    assert stat.S_IMODE((parent / "data").stat().st_mode) == 0o711


@pytest.mark.parametrize("depth", [".", "data"])
def test_root_refuses_a_closed_parent_by_name_and_leaves_it_closed(home: Path, quick, depth: str) -> None:
    # "." is an operator's `mkdir -m 700` of the data directory itself.
    closed = home / "private"
    closed.mkdir(mode=0o700)
    before = modes(closed)
    with pytest.raises(Invalid, match=f"cannot pass {closed}: choose .* `chmod o\\+x {closed}`"):
        EmbeddedServers(closed / depth, quick).start()
    assert modes(closed) == before


def test_root_goes_on_as_the_owner_of_existing_data(home: Path, ask) -> None:
    with EmbeddedServers(home / "data", ServerOptions(durable=False, run_as="nobody")) as servers:
        ask(servers.database_url, "CREATE TABLE kept AS SELECT 1")
    with EmbeddedServers(home / "data", ServerOptions(durable=False, run_as="postgres")) as servers:
        assert servers._layout.account == NOBODY
        assert ask(servers.database_url, "SELECT count(*) FROM kept") == 1


def test_another_user_cannot_reach_the_sockets(home: Path, quick) -> None:
    with EmbeddedServers(home / "data", quick) as servers:
        for name in (".s.PGSQL.5432", "valkey.sock"):
            attempt = f"import socket; socket.socket(socket.AF_UNIX).connect({str(servers._sockets / name)!r})"
            stranger = subprocess.run(
                ["/usr/bin/python3", "-c", attempt],
                user=23456,
                group=23456,
                extra_groups=(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert "PermissionError" in stranger.stderr


AS_USER = """
import asyncio, os, sys
from pathlib import Path
import asyncpg
from cli.embedded.servers import EmbeddedServers, ServerOptions
async def ask(url):
    connection = await asyncpg.connect(url)
    print(await connection.fetchval("SELECT current_database()"))
    await connection.close()
for _ in range(2):
    with EmbeddedServers(Path(sys.argv[1]), ServerOptions(durable=False)) as servers:
        asyncio.run(ask(servers.database_url))
print(os.geteuid())
"""


def python_for_everybody() -> str:
    """An interpreter of our version that any user can run; root's own usually lies in root's home."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        if Path(path).exists() and NOBODY.barrier(Path(path).resolve()) is None:
            break
    else:
        pytest.skip(f"no Python {version} that every user can run")
    for folder in (ROOT, locate().postgres_folder):
        if barrier := NOBODY.barrier(folder):
            pytest.skip(f"not every user can pass {barrier}, which is above the code or the packages")
    return path


def test_a_user_starts_and_restarts_and_root_may_take_over_for_a_while(home: Path, spawn, quick, ask) -> None:
    folder = home / "of nobody"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY.uid, NOBODY.gid)
    run = {
        "python": python_for_everybody(),
        "env": {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": "1"},
        "user": NOBODY.uid,
        "group": NOBODY.gid,
        "extra_groups": (),
    }
    expected = f"trailgate\ntrailgate\n{NOBODY.uid}\n"
    assert spawn(AS_USER, folder / "data", **run).communicate(timeout=60)[0] == expected
    with EmbeddedServers(folder / "data", quick) as servers:
        assert servers._layout.account == NOBODY
        assert ask(servers.database_url, "SELECT 1") == 1
    (folder / "data" / "logs" / "postgres.log").unlink()
    with EmbeddedServers(folder / "data", quick):
        pass
    assert spawn(AS_USER, folder / "data", **run).communicate(timeout=60)[0] == expected
    owners = {path.lstat().st_uid for path in (folder / "data").rglob("*")}
    assert owners == {NOBODY.uid}, "root left nothing behind that the user could not use"
