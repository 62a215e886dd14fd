"""The health of a destination, computed from the results of its delivery attempts (a circuit breaker)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.retries import ErrorClass

TELL_AFTER = 4
"""Consecutive failures after which the owner is notified."""
OPEN_AFTER = 5
"""Consecutive failures after which the circuit opens: from then on, one message at a time is attempted."""
MIN_PAUSE, MAX_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
DISABLED_AFTER = timedelta(hours=120)
"""A destination whose attempts all failed for this long is disabled."""


class MessageStatus(StrEnum):
    """The delivery status of a message."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    """A dead letter, which can be replayed."""
    SKIPPED = "SKIPPED"
    """Never sent: its rule was deleted, or its destination was already disabled."""


class HealthEvent(StrEnum):
    """A change of health of which the owner of a destination is notified."""

    FAILING = "FAILING"
    EXHAUSTED = "EXHAUSTED"
    RECOVERED = "RECOVERED"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class Health:
    """The health of a destination.

    `failures` counts since the last success. `told` is the event of which the owner was last notified: FAILING,
    EXHAUSTED, or None. `paused_at` is the time of the failure that caused the last pause.
    """

    failures: int = 0
    failing_since: datetime | None = None
    told: str | None = None
    paused_at: datetime | None = None
    paused_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of one attempt. `failure` None = delivered; `delay` is the wait before the retry.

    `dead`: the message became a dead letter. `gone`: the destination wants no more messages (410).
    """

    at: datetime
    ended: datetime
    failure: ErrorClass | None = None
    delay: timedelta | None = None
    dead: bool = False
    gone: bool = False
    reason: str = ""


def after(health: Health, tried: Sequence[AttemptResult], random: float) -> tuple[Health, list[HealthEvent]]:
    """Return the health after these attempts, oldest first, and the events to notify; `random` is in [0, 1)."""
    events: list[HealthEvent] = []
    for one in tried:
        health, caused = _succeeded(health, one) if one.failure is None else _failed(health, one, random)
        events += caused
    return health, list(dict.fromkeys(events))


def is_open(health: Health) -> bool:
    """Whether the circuit is open, so that only one message at a time may be attempted."""
    return health.failures >= OPEN_AFTER


def _succeeded(health: Health, tried: AttemptResult) -> tuple[Health, list[HealthEvent]]:
    """Reset the health. An attempt that began before the last pause does not end that pause."""
    recovered = [HealthEvent.RECOVERED] if health.told else []
    under_way = health.paused_at is not None and tried.at < health.paused_at
    pause = (health.paused_at, health.paused_until) if under_way else (None, None)
    return replace(
        health, failures=0, failing_since=None, told=None, paused_at=pause[0], paused_until=pause[1]
    ), recovered


def _failed(health: Health, tried: AttemptResult, random: float) -> tuple[Health, list[HealthEvent]]:
    since = health.failing_since or tried.at
    health = replace(health, failures=health.failures + 1, failing_since=since)
    if pause := _pause(health, tried, since, random):
        until = max(tried.ended + pause, health.paused_until or tried.ended)
        health = replace(health, paused_at=tried.ended, paused_until=until)
    if health.disabled_at is None and (tried.gone or tried.at - since >= DISABLED_AFTER):
        reason = tried.reason if tried.gone else f"Every attempt failed for {DISABLED_AFTER.days} days: {tried.reason}"
        return replace(health, disabled_at=tried.at, disabled_reason=reason), [HealthEvent.DISABLED]
    if tried.dead and health.told != HealthEvent.EXHAUSTED:
        return replace(health, told=HealthEvent.EXHAUSTED.value), [HealthEvent.EXHAUSTED]
    if health.failures >= TELL_AFTER and health.told is None:
        return replace(health, told=HealthEvent.FAILING.value), [HealthEvent.FAILING]
    return health, []


def _pause(health: Health, tried: AttemptResult, since: datetime, random: float) -> timedelta | None:
    """Return how long to pause: the delay of a throttled attempt; with an open circuit, a time that grows."""
    requested = tried.delay if tried.failure is ErrorClass.THROTTLED else None
    if not is_open(health):
        return requested
    pause = min(max((tried.ended - since) / 4, MIN_PAUSE), MAX_PAUSE) * (0.8 + 0.4 * random)
    return max(pause, requested or pause)
