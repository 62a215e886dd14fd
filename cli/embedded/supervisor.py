"""Keep child processes running: start them in order, restart those that died, stop them in reverse order.

This is synchronous code for the main thread, as a child gets its death signal when the thread that started it ends.
"""

import contextlib
import signal
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from types import FrameType

import structlog

from cli.embedded.children import Child, stop_together
from domain.errors import Unavailable

TICK = 0.25  # seconds between two checks of running children
_STARTING_TICK = 0.01  # seconds between two checks while a child is not ready
_MAX_DEATHS = 5
_WINDOW = 60.0  # seconds in which _MAX_DEATHS deaths of one child are an error

log = structlog.get_logger(__name__)


class Supervisor:
    """Watches children in the order of their dependencies: each starts when all before it are ready.

    Consecutive children with the same name (several workers) are stopped at the same time. Children that are already
    running are left running. Two supervisors may watch the same child, but only one may tick at a time.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = tuple(children)
        self._deaths: defaultdict[Child, deque[float]] = defaultdict(deque)
        self._stopping = False

    def start(self) -> None:
        """Start the children that are not running, and return when all are ready.

        Raises Unavailable when one dies five times in a minute or is not ready within its `patience`.
        """
        while not self.tick():
            time.sleep(_STARTING_TICK)

    def tick(self) -> bool:
        """Check every child once: restart those that died, probe the new ones. Return whether all are ready.

        Raises Unavailable as `start` does.
        """
        return all(self._attend(child) for child in self._children)

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Start all children, call `on_ready` once, watch until SIGTERM, SIGINT or SIGHUP, then stop them in order.

        Raises Unavailable as `start` does, after all children were stopped.
        """
        with self._signals_caught():
            try:
                self._watch(on_ready)
            finally:
                self.stop()

    def stop(self) -> None:
        """Stop the children in reverse order, each by its `stopping` steps."""
        for _, neighbours in groupby(reversed(self._children), key=lambda child: child.name):
            stop_together(list(neighbours))

    def _watch(self, on_ready: Callable[[], None] | None) -> None:
        announced = False
        while not self._stopping:
            if self.tick() and not announced:
                announced = True
                if on_ready:
                    on_ready()
            time.sleep(TICK if announced else _STARTING_TICK)

    def _attend(self, child: Child) -> bool:
        status = child.collect()
        if status is not None:
            self._record_death(child, status)
        if not child.alive:
            if time.monotonic() < self._may_start_at(child):
                return False
            child.start()
        if child.ready:
            return True
        if child.overdue:
            raise Unavailable(_with_tail(f"{child.name} runs but is not ready", child))
        return False

    def _record_death(self, child: Child, status: int) -> None:
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        now = time.monotonic()
        deaths = self._deaths[child]
        deaths.append(now)
        while deaths[0] < now - _WINDOW:
            deaths.popleft()
        log.warning("child died", child=child.name, how=how, deaths_in_a_minute=len(deaths))
        if len(deaths) >= _MAX_DEATHS:
            raise Unavailable(_with_tail(f"{child.name} died {len(deaths)} times in a minute, last: {how}", child))

    def _may_start_at(self, child: Child) -> float:
        # Restart at once after the first death, then with back-off, so that a temporary cause does not end everything.
        deaths = self._deaths[child]
        return deaths[-1] + TICK * 2 ** (len(deaths) - 1) if len(deaths) > 1 else 0.0

    @contextlib.contextmanager
    def _signals_caught(self) -> Iterator[None]:
        def request_stop(_number: int, _frame: FrameType | None) -> None:
            self._stopping = True

        caught = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored when started by nohup
            caught.append(signal.SIGHUP)
        before = {number: signal.signal(number, request_stop) for number in caught}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _with_tail(message: str, child: Child) -> str:
    tail = child.tail()
    return f"{message}. The end of {child.log}:\n{tail}" if tail else message
