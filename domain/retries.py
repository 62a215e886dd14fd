"""When to try again: a pure schedule, so that retries are data (engineering.md 2.5)."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ErrorClass(StrEnum):
    """What a failure says about the next attempt."""

    TRANSIENT = "transient"
    """May well pass by itself: a timeout, a lost connection, a 5xx."""
    THROTTLED = "throttled"
    """The other side asks us to slow down: 429, 502, 504."""
    PERMANENT = "permanent"
    """The same attempt can only fail again: 4xx, 410, a refused address."""
    POISON = "poison"
    """Our own code broke on it; worth a replay after the next deployment, not before."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait after each attempt.

    `steps[n]` is the wait after attempt n + 1; with the steps used up, the work is a dead letter. `jitter` is the
    share by which a wait is drawn shorter or longer. A throttled wait is never below `throttled_floor`.
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
"""What we send to others: a bit more than a day in all, as senders of webhooks commonly do."""

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
"""Inbox rows whose batch failed for a reason of the infrastructure, not of theirs."""


def next_delay(
    policy: RetryPolicy, attempt: int, error_class: ErrorClass, retry_after: timedelta | None, random: float
) -> timedelta | None:
    """How long to wait after failed attempt number `attempt` (from 1); None means dead letter now.

    `random` in [0, 1) places the wait within its jitter. `retry_after`, the other side's own wish, is followed as far
    as it lies between the wait and twice the wait: nobody hurries us, nobody parks us for a month. Raises ValueError
    for an attempt below 1.
    """
    if attempt < 1:
        raise ValueError(f"attempts count from 1, not {attempt}")
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
