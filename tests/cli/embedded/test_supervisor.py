"""The supervisor: order of start and stop, replacement of the dead, and when it gives up."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.embedded.children import Child, StopStep
from cli.embedded.supervisor import Supervisor
from domain.errors import Unavailable

# Writes "<name> up" and "<name> down" into a common file, so that the order of events can be read from it.
ACTOR = """
import signal, sys, time
name, journal = sys.argv[1:3]
def write(what):
    with open(journal, "a") as file:
        file.write(f"{name} {what}\\n")
def leave(*_):
    write("down")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
write("up")
time.sleep(60)
"""


@pytest.fixture
def journal(home: Path) -> Path:
    path = home / "journal"
    path.touch()
    return path


@pytest.fixture
def actor(journal: Path) -> Callable[..., Child]:
    def actor(name: str, **behaviour) -> Child:
        behaviour = {"probe": lambda: f"{name} up\n" in journal.read_text()} | behaviour
        return Child(name, [sys.executable, "-c", ACTOR, name, str(journal)], **behaviour)

    return actor


def failing(home: Path, text: str = "print('the reason'); raise SystemExit(3)") -> Child:
    return Child("broken", [sys.executable, "-c", text], log=home / "broken.log", probe=lambda: False)


def test_each_child_starts_when_those_before_it_are_ready_and_they_stop_in_reverse(actor, journal: Path) -> None:
    supervisor = Supervisor([actor("database"), actor("worker"), actor("api")])
    supervisor.start()
    assert journal.read_text().splitlines() == ["database up", "worker up", "api up"]
    supervisor.stop()
    assert journal.read_text().splitlines()[3:] == ["api down", "worker down", "database down"]


def test_a_child_waits_for_the_one_before_it(actor, home: Path, journal: Path) -> None:
    gate = home / "gate"
    supervisor = Supervisor([actor("database", probe=gate.exists), actor("api")])
    for _ in range(20):
        assert not supervisor.tick()
        time.sleep(0.01)
    assert "api" not in journal.read_text()
    gate.touch()
    supervisor.start()
    assert "api up" in journal.read_text()
    supervisor.stop()


def test_children_that_run_already_are_taken_as_they_are(actor) -> None:
    child = actor("database")
    child.start()
    pid = child.pid
    supervisor = Supervisor([child])
    supervisor.start()
    assert child.pid == pid
    supervisor.stop()
    assert not child.alive


def test_the_dead_are_replaced_and_the_others_left_alone(actor, until) -> None:
    first, second = actor("first"), actor("second")
    supervisor = Supervisor([first, second])
    supervisor.start()
    killed, untouched = first.pid, second.pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: not first.alive)
    assert supervisor.tick()
    assert first.alive
    assert first.pid != killed
    assert second.pid == untouched
    supervisor.stop()


def test_a_child_is_not_replaced_while_the_one_before_it_is_not_ready(actor, home: Path, until) -> None:
    gate = home / "gate"
    gate.touch()
    database, worker = actor("database", probe=gate.exists), actor("worker")
    supervisor = Supervisor([database, worker])
    supervisor.start()
    gate.unlink()
    for child in (database, worker):
        os.kill(child.pid, signal.SIGKILL)
    until(lambda: not database.alive and not worker.alive)
    assert not supervisor.tick()
    assert database.alive
    assert not worker.alive
    gate.touch()
    supervisor.start()
    assert worker.alive
    supervisor.stop()


def test_five_deaths_in_a_minute_end_it_with_the_end_of_the_log(home: Path) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as refusal:
        Supervisor([failing(home)]).start()
    assert refusal.value.message.splitlines() == [
        f"broken died 5 times in a minute, last: exit status 3. The end of {home / 'broken.log'}:",
        *["the reason"] * 5,
    ]
    assert time.monotonic() - began > 3, "later starts are spaced out"


@pytest.mark.slow
def test_a_death_a_minute_ago_does_not_count(actor, until, monkeypatch: pytest.MonkeyPatch) -> None:
    child = actor("flaky")
    supervisor = Supervisor([child])
    supervisor.start()
    shift = 0.0
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + shift)
    for _ in range(6):
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: not child.alive)
        shift += 31
        supervisor.start()
    assert child.alive
    supervisor.stop()


def test_a_child_that_is_not_ready_in_time_ends_it(home: Path) -> None:
    text = "import time; print('thinking', flush=True); time.sleep(60)"
    child = Child("slow", [sys.executable, "-c", text], log=home / "log", probe=lambda: False, patience=1)
    supervisor = Supervisor([child])
    with pytest.raises(Unavailable, match=r"slow runs but is not ready\. The end of .*:\nthinking"):
        supervisor.start()
    supervisor.stop()
    assert not child.alive


def test_neighbours_of_one_name_stop_at_the_same_time(home: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({!r}, 'w'); time.sleep(60)"
    ladder = (StopStep(signal.SIGTERM, 3), StopStep(signal.SIGKILL, 5))
    flags = [home / str(number) for number in range(3)]
    workers = [
        Child("worker", [sys.executable, "-c", deaf.format(str(flag))], stopping=ladder, probe=flag.exists)
        for flag in flags
    ]
    supervisor = Supervisor(workers)
    supervisor.start()
    began = time.monotonic()
    supervisor.stop()
    assert 3 <= time.monotonic() - began < 8.5, "three patiences one after the other are 9 s"
    assert not any(worker.alive for worker in workers)


def after(seconds: float, number: signal.Signals) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.start()
    return timer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_run_announces_once_and_stops_in_order_on_a_signal(actor, journal: Path, number: signal.Signals) -> None:
    announced: list[str] = []
    outside = signal.signal(number, signal.SIG_DFL)  # whoever started us by nohup has it ignored
    before = signal.getsignal(number)
    supervisor = Supervisor([actor("worker"), actor("api")])

    def on_ready() -> None:
        announced.append(journal.read_text())
        after(0.6, number)

    supervisor.run(on_ready)
    assert announced == ["worker up\napi up\n"]
    assert journal.read_text().splitlines()[2:] == ["api down", "worker down"]
    assert signal.getsignal(number) is before
    signal.signal(number, outside)


def test_run_ignores_the_hangup_that_nohup_ignores(actor, journal: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        began = time.monotonic()

        def on_ready() -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            after(0.6, signal.SIGTERM)

        Supervisor([actor("api")]).run(on_ready)
        assert time.monotonic() - began > 0.6
    finally:
        signal.signal(signal.SIGHUP, before)


def test_run_replaces_a_killed_child_within_a_second(actor, until) -> None:
    api = actor("api")
    seen: list[int] = []

    def watch() -> None:
        os.kill(seen[0], signal.SIGKILL)
        until(lambda: api.pid not in (None, seen[0]), 1)
        seen.append(api.pid)
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Timer(0.3, watch)

    def on_ready() -> None:
        seen.append(api.pid)
        watcher.start()

    Supervisor([api]).run(on_ready)
    watcher.join()
    assert len(seen) == 2
    assert not api.alive


@pytest.mark.slow
def test_run_stops_the_others_when_it_gives_up(actor, home: Path, journal: Path) -> None:
    steady = actor("database")
    with pytest.raises(Unavailable, match="broken died 5 times"):
        Supervisor([steady, failing(home)]).run()
    assert not steady.alive
    assert "database down" in journal.read_text()


def test_run_stops_everything_when_the_announcement_fails(actor) -> None:
    child = actor("api")

    def on_ready() -> None:
        raise OSError("no terminal")

    with pytest.raises(OSError, match="no terminal"):
        Supervisor([child]).run(on_ready)
    assert not child.alive


def test_a_signal_during_the_start_stops_it(home: Path) -> None:
    child = Child("slow", ["/bin/sleep", "60"], probe=lambda: False)
    after(0.3, signal.SIGTERM)
    Supervisor([child]).run(lambda: pytest.fail("it was never ready"))
    assert not child.alive
