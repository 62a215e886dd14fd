"""kill -9 of anything at any moment: what is replaced, what ends with its parent, and that the data stays."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest

from cli.embedded.binaries import locate
from cli.embedded.servers import EmbeddedServers


def process(servers: EmbeddedServers, name: str) -> psutil.Process:
    return psutil.Process(next(child.pid for child in servers.children if child.name == name))


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["postgres", "valkey", "checkpointer", "io worker", "client backend"])
def test_whatever_is_killed_is_replaced_and_committed_rows_remain(
    data: Path, quick, ask, *, serving, until, victim: str
) -> None:
    with EmbeddedServers(data, quick) as servers:
        ask(servers.database_url, "CREATE TABLE kept (n int)")
        for n in range(20):
            ask(servers.database_url, "INSERT INTO kept VALUES ($1)", n)
        began = time.monotonic()
        killed = asyncio.run(kill(servers, victim))
        until(lambda: ended(killed))
        serving(servers)
        assert time.monotonic() - began < 15
        assert ask(servers.database_url, "SELECT count(*) FROM kept") == 20


async def kill(servers: EmbeddedServers, victim: str) -> psutil.Process:
    if victim in {"postgres", "valkey"}:
        target = process(servers, victim)
        target.kill()
        return target
    connection = await asyncpg.connect(servers.admin_url)  # held, so that a client backend is there to be killed
    pid = await connection.fetchval("SELECT pid FROM pg_stat_activity WHERE backend_type = $1 LIMIT 1", victim)
    target = psutil.Process(pid)
    target.kill()
    connection.terminate()
    return target


def test_a_killed_postmaster_is_replaced_although_a_backend_is_busy(data: Path, quick, ask, serving, until) -> None:
    busy = "SELECT count(*) FROM generate_series(1, 10000000000)"
    with EmbeddedServers(data, quick) as servers:
        folder = locate().postgres_folder
        client = subprocess.Popen(
            [folder / "psql", "-h", servers._sockets, "-U", "postgres", "-c", busy],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: ask(servers.admin_url, "SELECT pid FROM pg_stat_activity WHERE query = $1", busy))
        process(servers, "postgres").kill()
        serving(servers)
        assert client.wait(5) != 0


HOLDER = """
import sys, time
from pathlib import Path
from cli.embedded.servers import EmbeddedServers, ServerOptions
servers = EmbeddedServers(Path(sys.argv[1]), ServerOptions(durable=False))
servers.start()
print(servers.database_url, flush=True)
while True:
    servers.tick()
    time.sleep(0.1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start clears the leftovers")
def test_servers_end_with_a_killed_supervisor_and_the_next_start_has_the_data(
    data: Path, quick, spawn, *, ask, until, in_directory
) -> None:
    holder = spawn(HOLDER, data)
    url = holder.stdout.readline().strip()
    ask(url, "CREATE TABLE kept AS SELECT 1")
    assert len(in_directory(data)) > 2
    holder.kill()
    until(lambda: in_directory(data) == [], 5)
    with EmbeddedServers(data, quick) as servers:
        assert ask(servers.database_url, "SELECT count(*) FROM kept") == 1


def test_the_next_start_may_follow_a_kill_at_once(data: Path, quick, spawn, ask) -> None:
    holder = spawn(HOLDER, data)
    url = holder.stdout.readline().strip()
    ask(url, "CREATE TABLE kept AS SELECT 1")
    holder.kill()
    holder.wait()
    with EmbeddedServers(data, quick) as servers:
        assert ask(servers.database_url, "SELECT count(*) FROM kept") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["draft-postgres", "draft-postgres/base/1/PG_VERSION", "postgres/PG_VERSION", "run/.s.PGSQL.5432"]
)
def test_a_kill_at_any_moment_of_the_first_start_leaves_a_directory_that_starts(
    home: Path, quick, spawn, *, ask, until, moment: str
) -> None:
    holder = spawn(HOLDER, home)
    until((home / moment).exists, 30)
    holder.kill()
    holder.wait()
    with EmbeddedServers(home, quick) as servers:
        assert ask(servers.database_url, "SELECT 1") == 1
    assert not (home / "draft-postgres").exists()


# What `trailgate up` does, with a worker and an API that on SIGTERM say which of the servers still answer.
UP = """
import os, sys
from pathlib import Path
from cli.embedded.children import Child
from cli.embedded.servers import EmbeddedServers, ServerOptions
from cli.embedded.supervisor import Supervisor
with EmbeddedServers(Path(sys.argv[1]), ServerOptions(durable=False)) as servers:
    def application(name):
        return Child(name, [sys.executable, "-c", sys.argv[2], name, servers._sockets])
    Supervisor([*servers.children, application("worker"), application("api")]).run(lambda: os.write(1, b"ready\\n"))
print("stopped", all(not child.alive for child in servers.children), flush=True)
"""
APPLICATION = """
import os, signal, sys
from pathlib import Path
from cli.embedded.probes import postgres_answers, valkey_answers
name, sockets = sys.argv[1], Path(sys.argv[2])
def say(*words):  # in one write: both applications share the pipe
    os.write(1, (" ".join(map(str, (name, *words))) + "\\n").encode())
def leave(*_):
    say(postgres_answers(sockets / ".s.PGSQL.5432"), valkey_answers(sockets / "valkey.sock"))
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
say("runs")
while True:
    signal.pause()
"""


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return sorted(process.stdout.readline().strip() for _ in range(count))


def test_up_stops_the_api_then_the_worker_while_both_servers_still_answer(data: Path, spawn, in_directory) -> None:
    up = spawn(UP, data, APPLICATION)
    assert lines(up, 3) == ["api runs", "ready", "worker runs"]
    up.send_signal(signal.SIGTERM)
    assert up.communicate(timeout=20)[0].splitlines() == ["api True True", "worker True True", "stopped True"]
    assert up.returncode == 0
    assert in_directory(data) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_nothing_outlives_a_killed_up(data: Path, spawn, until, in_directory) -> None:
    up = spawn(UP, data, APPLICATION)
    assert lines(up, 3) == ["api runs", "ready", "worker runs"]
    applications = [child for child in psutil.Process(up.pid).children() if child.exe() == psutil.Process().exe()]
    assert len(applications) == 2
    up.kill()
    until(lambda: in_directory(data) == [] and all(map(ended, applications)), 5)
    assert up.communicate(timeout=5)[0] == "", "the port was freed at once, without draining"
