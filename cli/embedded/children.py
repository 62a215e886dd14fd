"""Child processes: each runs in its own session, is watched, ends when this process ends, and is stopped in steps.

PostgreSQL, Valkey, the API and the workers all run this way.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cli.embedded.account import Account
from domain.errors import Unavailable

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 4096


class StopStep(NamedTuple):
    """One step of stopping a process: the signal to send, and the seconds to wait for its end before the next step."""

    signal: signal.Signals
    patience: float


APPLICATION_STOP = (StopStep(signal.SIGTERM, 10), StopStep(signal.SIGKILL, 5))


class Child:
    """One child process, running in the foreground.

    `env` is its whole environment (None: that of this process). Output goes to the file `log` (None: the output of this
    process). When this process ends for any reason, Linux sends the child `death_signal`; other systems do not. The
    default, SIGKILL, leaves no API behind that would still occupy the port at the next start. `before_start` runs
    before every start. `probe` returns whether the running process is ready (None: it is ready once it runs), which
    must be the case within `patience` seconds.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        *,
        cwd: Path | None = None,
        log: Path | None = None,
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        stopping: Sequence[StopStep] = APPLICATION_STOP,
        before_start: Callable[[], None] | None = None,
        probe: Callable[[], bool] | None = None,
        patience: float = 60,
    ) -> None:
        self.name = name
        self.stopping = tuple(stopping)
        self._argv = [os.fspath(word) for word in argv]
        self._env = env
        self._cwd = cwd
        self.log = log
        self._account = account
        self._death_signal = death_signal
        self._before_start = before_start
        self._probe = probe
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._serves = False
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id of the last start."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether the process is running and ready. Once it is ready, it is not probed again until the next start."""
        if not self.alive:
            return False
        self._serves = self._serves or self._probe is None or self._probe()
        return self._serves

    @property
    def overdue(self) -> bool:
        """Whether the process is not ready although its `patience` is over."""
        return not self._serves and time.monotonic() - self._started_at > self._patience

    def start(self) -> None:
        """Start the process. Raises Unavailable when the program cannot be executed.

        Call this from the main thread: Linux sends the death signal when the thread that started the process ends.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a child must be started from the main thread")
        if self._before_start:
            self._before_start()
        self._serves = False
        try:
            self._process = self._spawn()
        except OSError as error:
            raise Unavailable(f"{self.name}: cannot start {self._argv[0]}: {error.strerror}") from error
        self._started_at = time.monotonic()

    def collect(self) -> int | None:
        """Return the exit status (the negative signal number if killed) of an ended process, once; otherwise None."""
        if self._process is None:
            return None
        status = self._process.poll()
        if status is not None:
            self._process = None
        return status

    def wait(self) -> int:
        """Wait for the end of a started process and return its exit status."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Stop the process by the steps of `stopping`; do nothing when it is not running."""
        stop_together([self])

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log file, or an empty string; the beginning of a very long line is missing."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            begin = log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            found = log.read().decode(errors="replace").splitlines()
        whole = found[1:] or found if begin else found
        return "\n".join(whole[-lines:])

    def _spawn(self) -> subprocess.Popen[bytes]:
        output = open_log(self.log) if self.log else None
        account = self._account
        try:
            return subprocess.Popen(  # noqa: S603 - our own argument lists, no shell
                self._argv,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches only this process, which stops the children in order
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=account.groups if account else None,
                # Runs after the change of user, which would clear the death signal.
                preexec_fn=_arm_death_signal(self._death_signal),  # noqa: PLW1509 - calls the kernel only
            )
        finally:
            if output is not None:
                os.close(output)


def stop_together(children: Sequence[Child]) -> None:
    """Stop children with the same `stopping` steps at the same time, so that their waiting times do not add up."""
    for step in children[0].stopping if children else ():
        for child in children:
            child.send(step.signal)
        if wait_until(lambda: not any(child.alive for child in children), step.patience):
            return


def wait_until(condition: Callable[[], bool], patience: float, pause: float = 0.01) -> bool:
    """Check every `pause` seconds until the condition is true (return True) or `patience` seconds are over (False)."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def open_log(path: Path) -> int:
    """Open a log file for appending, and return its descriptor; the owner of the folder owns a new file too."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # the owner of the folder may start the next process, and must be able to write
        owner = path.parent.stat()
        os.fchown(log, owner.st_uid, owner.st_gid)
    return log


def _arm_death_signal(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a new child runs before its program: prepared here, as only system calls are safe after the fork."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between the fork and the call above: no signal will come
            os._exit(1)

    return arm
