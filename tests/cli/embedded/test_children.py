"""Children: how they start, what they inherit, how they stop, and that they end with their parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from cli.embedded.account import Account
from cli.embedded.children import Child, StopStep, stop_together, wait_until
from domain.errors import Unavailable

PYTHON = sys.executable
SLEEPER = [PYTHON, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    PYTHON,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(60)",
]


def ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def logged(child: Child, text: str) -> None:
    assert wait_until(lambda: text in child.tail(), 10), child.tail()


def test_output_goes_to_the_log_and_the_tail_shows_its_end(home: Path) -> None:
    child = Child("counter", [PYTHON, "-c", "print(*range(30), sep='\\n')"], log=home / "counter.log")
    child.start()
    assert child.wait() == 0
    assert child.tail(3) == "27\n28\n29"
    child.start()
    child.wait()
    assert (home / "counter.log").read_text().count("29\n") == 2, "a second start appends"


def test_the_tail_of_a_long_log_is_short(home: Path) -> None:
    child = Child("loud", [PYTHON, "-c", "print('x' * 100_000)"], log=home / "loud.log")
    assert child.tail() == ""
    child.start()
    child.wait()
    assert 1000 < len(child.tail()) <= 4096


def test_the_tail_begins_with_a_whole_line(home: Path) -> None:
    child = Child("wordy", [PYTHON, "-c", "print(*['x' * 1500] * 5, sep='\\n')"], log=home / "wordy.log")
    child.start()
    child.wait()
    assert child.tail().splitlines() == ["x" * 1500] * 2


def test_a_log_that_is_a_symbolic_link_is_not_followed(home: Path) -> None:
    (home / "target").write_text("precious")
    (home / "link.log").symlink_to(home / "target")
    with pytest.raises(Unavailable, match="cannot start"):
        Child("linked", SLEEPER, log=home / "link.log").start()
    assert (home / "target").read_text() == "precious"


def test_a_given_environment_is_the_whole_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "inherited")
    show = [PYTHON, "-c", "import os; print(os.environ.get('OURS'), os.environ.get('GIVEN'))"]
    inheriting = Child("inheriting", show, log=home / "a.log")
    fixed = Child("fixed", show, {"GIVEN": "yes"}, log=home / "b.log")
    for child in (inheriting, fixed):
        child.start()
        assert child.wait() == 0
    assert inheriting.tail() == "inherited None"
    assert fixed.tail() == "None yes"


def test_a_child_has_a_session_of_its_own_and_the_given_directory(home: Path) -> None:
    child = Child("sleeper", SLEEPER, cwd=home, log=home / "log")
    child.start()
    logged(child, "up")
    assert child.pid is not None
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert Path(psutil.Process(child.pid).cwd()) == home
    child.stop()


def test_alive_and_collect_tell_an_end_once(home: Path) -> None:
    child = Child("sleeper", SLEEPER)
    assert not child.alive
    assert child.collect() is None
    child.start()
    assert child.alive
    assert child.collect() is None
    os.kill(child.pid, signal.SIGKILL)
    assert wait_until(lambda: not child.alive, 5)
    assert child.collect() == -signal.SIGKILL
    assert child.collect() is None
    assert child.pid is None


def test_stop_ends_a_child_by_the_first_step_and_may_be_repeated(home: Path) -> None:
    child = Child("sleeper", SLEEPER, log=home / "log")
    child.stop()
    child.start()
    logged(child, "up")
    child.stop()
    child.stop()
    assert child.collect() == -signal.SIGTERM


def test_a_deaf_child_feels_the_next_step(home: Path) -> None:
    ladder = (StopStep(signal.SIGTERM, 0.3), StopStep(signal.SIGKILL, 5))
    child = Child("deaf", DEAF, log=home / "log", stopping=ladder)
    child.start()
    logged(child, "deaf")
    began = time.monotonic()
    child.stop()
    assert 0.3 <= time.monotonic() - began < 5
    assert child.collect() == -signal.SIGKILL


def test_children_stopped_together_spend_their_patience_once(home: Path) -> None:
    ladder = (StopStep(signal.SIGTERM, 3), StopStep(signal.SIGKILL, 5))
    children = [Child("deaf", DEAF, log=home / f"{number}.log", stopping=ladder) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        logged(child, "deaf")
    began = time.monotonic()
    stop_together(children)
    assert time.monotonic() - began < 8.5, "three patiences one after the other are 9 s"
    assert not any(child.alive for child in children)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(Unavailable, match="ghost: cannot start /nonexistent/program: No such file"):
        Child("ghost", ["/nonexistent/program"]).start()


def test_other_threads_may_not_start_children() -> None:
    refused: list[BaseException] = []

    def start() -> None:
        try:
            Child("sleeper", SLEEPER).start()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(refused[0])


def test_readiness_is_asked_until_it_is_true_and_again_after_a_new_start(home: Path) -> None:
    flag = home / "serves"
    child = Child("sleeper", SLEEPER, probe=flag.exists, patience=0.1)
    assert not child.ready
    child.start()
    assert not child.ready
    time.sleep(0.15)
    assert child.overdue
    flag.touch()
    assert child.ready
    assert not child.overdue
    flag.unlink()
    assert child.ready, "asked once only"
    child.stop()
    assert not child.ready
    child.start()
    assert not child.ready
    child.stop()


def test_before_start_runs_before_every_start() -> None:
    calls: list[int] = []
    child = Child("true", [PYTHON, "-c", ""], before_start=lambda: calls.append(1))
    for expected in (1, 2):
        child.start()
        assert len(calls) == expected
        child.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root switches users")
def test_a_child_becomes_the_account_with_all_its_groups() -> None:
    account = Account("somebody", 12345, 23456, (23456, 34567))
    child = Child("idle", ["/bin/sleep", "60"], account=account)
    child.start()
    process = psutil.Process(child.pid)
    assert set(process.uids()) == {12345}
    assert set(process.gids()) == {23456}
    status = Path(f"/proc/{child.pid}/status").read_text()
    assert "Groups:\t23456 34567" in status
    child.stop()


PARENT = """
import signal, sys, time
from cli.embedded.account import Account
from cli.embedded.children import Child
account = Account("somebody", 12345, 12345, (12345,)) if sys.argv[2:] else None
child = Child("idle", ["/bin/sleep", "60"], death_signal=signal.Signals[sys.argv[1]], account=account)
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")


@linux
@pytest.mark.parametrize("arguments", [("SIGKILL",), ("SIGTERM",), ("SIGTERM", "as somebody")], ids="-".join)
def test_a_child_does_not_outlive_a_killed_parent(spawn, arguments) -> None:
    if len(arguments) > 1 and os.geteuid() != 0:
        pytest.skip("only root switches users")
    parent = spawn(PARENT, *arguments)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    assert wait_until(lambda: ended(child), 5)


ORPHAN = """
import os, signal, sys, time
from cli.embedded import children
arm = children._arm_death_signal(signal.SIGKILL)
middle = os.fork()
if middle == 0:
    late = os.fork()  # the parent that armed is now the grandparent: as good as dead for the child
    if late == 0:
        arm()
        print("still here", flush=True)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(late, 0)[1]))
print(os.waitstatus_to_exitcode(os.waitpid(middle, 0)[1]))
"""


@linux
def test_a_child_whose_parent_died_before_it_was_armed_ends_at_once(spawn) -> None:
    process = spawn(ORPHAN)
    assert process.communicate(timeout=10)[0] == "1\n"


def test_a_child_does_not_hold_our_files_open(home: Path) -> None:
    with (home / "lock").open("w"):
        child = Child("idle", ["/bin/sleep", "60"])
        child.start()
        listing = subprocess.run(["ls", "-l", f"/proc/{child.pid}/fd"], capture_output=True, text=True, check=False)
        child.stop()
    assert "lock" not in listing.stdout
