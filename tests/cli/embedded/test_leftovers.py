"""Leftovers: found by program and working directory, never by a number in a file."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cli.embedded.children import StopStep
from cli.embedded.leftovers import evict, remove_stale_locks
from domain.errors import Conflict

GENTLE = (StopStep(signal.SIGTERM, 5),)


@pytest.fixture
def sleeper(home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a copy of `sleep` under a name of our choice in a directory."""
    started: list[subprocess.Popen[bytes]] = []

    def sleeper(name: str, folder: Path, *prefix: str) -> subprocess.Popen[bytes]:
        program = home / name
        if not program.exists():
            shutil.copy2(shutil.which("sleep") or "", program)
        started.append(subprocess.Popen([*prefix, program, "60"], cwd=folder))
        return started[-1]

    yield sleeper
    for process in started:
        process.kill()
        process.wait()


def test_only_our_program_in_our_directory_is_stopped(home: Path, sleeper) -> None:
    ours, theirs = home / "ours", home / "theirs"
    ours.mkdir()
    theirs.mkdir()
    target = sleeper("database", ours)
    others = [sleeper("database", theirs), sleeper("editor", ours), sleeper("database", home)]
    evict("database", ours, GENTLE)
    assert target.wait(1) == -signal.SIGTERM
    assert [process.poll() for process in others] == [None, None, None]


def test_an_ended_process_nobody_reaped_is_no_leftover(home: Path, sleeper) -> None:
    zombie = sleeper("database", home)
    zombie.send_signal(signal.SIGKILL)
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    evict("database", home, (StopStep(signal.SIGTERM, 0),))


# A postmaster and its backend: only the former is told, and ends the latter.
FAMILY = """
import signal, subprocess, sys
backend = subprocess.Popen([sys.argv[1], "60"])
def leave(*_):
    backend.kill()
    print("backend", backend.wait(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print(backend.pid, flush=True)
signal.pause()
"""


def test_the_signal_goes_to_the_topmost_process_only(home: Path, spawn) -> None:
    program = home / Path(sys.executable).name
    shutil.copy2(shutil.which("sleep") or "", program)
    postmaster = spawn(FAMILY, program, cwd=home)
    backend = int(postmaster.stdout.readline())
    assert psutil.Process(postmaster.pid).name() == psutil.Process(backend).name() == program.name
    evict(program.name, home, GENTLE)
    assert postmaster.communicate(timeout=5)[0] == "backend -9\n"
    assert postmaster.returncode == 0


DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


@pytest.fixture
def deaf(home: Path, spawn) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = spawn(DEAF, cwd=home)
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    return process


def test_a_leftover_that_does_not_stop_is_named_and_refused(home: Path, deaf) -> None:
    name = psutil.Process(deaf.pid).name()
    with pytest.raises(Conflict, match=f"{name} \\(process {deaf.pid}\\) still runs in {home} and does not stop"):
        evict(name, home, (StopStep(signal.SIGTERM, 0.2),))
    assert deaf.poll() is None, "never killed unasked"


def test_a_longer_ladder_goes_on(home: Path, deaf) -> None:
    evict(psutil.Process(deaf.pid).name(), home, (StopStep(signal.SIGTERM, 0.2), StopStep(signal.SIGKILL, 5)))
    assert deaf.wait(1) == -signal.SIGKILL


def test_stale_locks_go_and_data_stays(home: Path) -> None:
    cluster, sockets = home / "postgres", home / "run"
    cluster.mkdir()
    sockets.mkdir()
    for path in (cluster / "postmaster.pid", sockets / ".s.PGSQL.5432", sockets / ".s.PGSQL.5432.lock"):
        path.touch()
    (cluster / "PG_VERSION").touch()
    (sockets / "valkey.sock").touch()
    remove_stale_locks(cluster, sockets)
    remove_stale_locks(cluster, sockets)
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["PG_VERSION", "valkey.sock"]
