"""Limit the log lines that anybody on the network can cause, so that nobody can fill the log."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog


class Sampler:
    """Allows `burst` lines at once and `per_second` lines in the long run, and counts the others."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._left = float(burst)
        self._at = time.monotonic()
        self._skipped = 0

    def take(self) -> int | None:
        """Return None when a line must be skipped, otherwise the number of lines skipped since the last one."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            self._skipped += 1
            return None
        self._left -= 1
        skipped, self._skipped = self._skipped, 0
        return skipped


class SampledLog:
    """Logs lines about callers who have proven nothing: of each kind a few; `skipped` counts those left out before it.

    `kind` must have few values, such as a reason: the lines of one kind cannot crowd out those of another.
    """

    def __init__(self, per_second: float = 5, burst: int = 20) -> None:
        self._log = structlog.get_logger()
        self._samplers: dict[str, Sampler] = defaultdict(partial(Sampler, per_second, burst))

    def line(self, event: str, kind: str, **facts: Any) -> None:
        """Log a line, unless there were too many."""
        self._sampled(self._log.info, event, kind, facts)

    def failure(self, event: str, kind: str, **facts: Any) -> None:
        """Log a failure, unless there were too many."""
        self._sampled(self._log.error, event, kind, facts)

    def _sampled(self, write: Callable[..., Any], event: str, kind: str, facts: Mapping[str, Any]) -> None:
        skipped = self._samplers[kind].take()
        if skipped is not None:
            write(event, **facts, skipped=skipped)
