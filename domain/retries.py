"""Retry with back-off: schedules as data, and a pure function that computes the next delay."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ErrorClass(StrEnum):
    """The kind of a failure, which decides whether and when to retry."""

    TRANSIENT = "transient"
    """Likely to pass without a change: a timeout, a lost connection, a 5xx."""
    THROTTLED = "throttled"
    """The other side asks for fewer requests: 429, 502, 504."""
    PERMANENT = "permanent"
    """A retry would fail again: 4xx, a refused address."""
    POISON = "poison"
    """Trailgate's own code failed; replay it after a fix is deployed."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait after each attempt.

    `steps[n]` is the wait after attempt n + 1; after the last step the work becomes a dead letter. `jitter` is the
    fraction by which a wait may be shorter or longer. A throttled wait is at least `throttled_floor`.
    """

    steps: tuple[timedelta, ...]
    jitter: float = 0.2
    throttled_floor: timedelta = timedelta(seconds=60)


DELIVERY = RetryPolicy(
    steps=(
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=5),
        timedelta(hours=10),
        timedelta(hours=10),
    )
)
"""For outgoing messages: a little more than a day in all, the schedule of Svix."""

DRAIN = RetryPolicy(
    steps=(
        timedelta(seconds=1),
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(hours=1),
    )
)
"""For inbox rows whose batch failed because of the infrastructure, not because of their content."""


def next_delay(
    policy: RetryPolicy, attempt: int, error_class: ErrorClass, retry_after: timedelta | None, random: float
) -> timedelta | None:
    """Return how long to wait after failed attempt number `attempt` (from 1); None means dead letter now.

    `random` in [0, 1) places the wait within its jitter. `retry_after`, the wait that the other side asked for, is
    limited to between the wait and twice the wait, so that it can neither hurry nor stall the queue. Raises ValueError
    for an attempt below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempts are numbered from 1, not {attempt}")
    if error_class in (ErrorClass.PERMANENT, ErrorClass.POISON) or attempt > len(policy.steps):
        return None
    shortest, longest = _bounds(policy, policy.steps[attempt - 1], error_class)
    wait = shortest + (longest - shortest) * random
    return wait if retry_after is None else min(max(wait, retry_after), 2 * wait)


def _bounds(policy: RetryPolicy, step: timedelta, error_class: ErrorClass) -> tuple[timedelta, timedelta]:
    if error_class is not ErrorClass.THROTTLED:
        return step * (1 - policy.jitter), step * (1 + policy.jitter)
    floor = policy.throttled_floor
    step = max(step, floor)
    return max(step * (1 - policy.jitter), floor), step * (1 + policy.jitter)
