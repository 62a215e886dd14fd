"""The health of a destination as attempts succeed and fail: a pure fold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from domain.retries import ErrorClass

TELL_AFTER = 4
"""Failures in a row after which the owner is told."""
OPEN_AFTER = 5
"""Failures in a row after which the circuit opens: from then on one message at a time tries."""
MIN_PAUSE, MAX_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
DISABLED_AFTER = timedelta(hours=120)
"""A destination that only failed for so long is disabled."""


class MessageStatus(StrEnum):
    """Where a message stands."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"
    """A dead letter: it can be replayed."""
    SKIPPED = "SKIPPED"
    """Nothing was sent, and nothing will be: its rule is gone, or its destination was disabled before."""


class HealthEvent(StrEnum):
    """A change of health that the owner of a destination is told of."""

    FAILING = "FAILING"
    EXHAUSTED = "EXHAUSTED"
    RECOVERED = "RECOVERED"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class Health:
    """A destination's condition. `failures` counts since the last success; `told` is FAILING, EXHAUSTED or None.

    `paused_at` is when a failure brought the last pause.
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
    """What one attempt says of its destination. `failure` None = taken; `delay` is the wait that a failure brought.

    `dead` says that the message was given up; `gone` that the destination wants no more (410).
    """

    at: datetime
    ended: datetime
    failure: ErrorClass | None = None
    delay: timedelta | None = None
    dead: bool = False
    gone: bool = False
    reason: str = ""


def after(health: Health, tried: Sequence[AttemptResult], random: float) -> tuple[Health, list[HealthEvent]]:
    """The condition after these attempts, oldest first, and what its owner must be told; `random` in [0, 1)."""
    events: list[HealthEvent] = []
    for one in tried:
        health, told = _succeeded(health, one) if one.failure is None else _failed(health, one, random)
        events += told
    return health, list(dict.fromkeys(events))


def is_open(health: Health) -> bool:
    """Whether one message at a time is all that may try."""
    return health.failures >= OPEN_AFTER


def _succeeded(health: Health, tried: AttemptResult) -> tuple[Health, list[HealthEvent]]:
    """Well again. What was under way when the destination asked for a pause does not end the pause."""
    recovered = [HealthEvent.RECOVERED] if health.told else []
    under_way = health.paused_at is not None and tried.at < health.paused_at
    rest = (health.paused_at, health.paused_until) if under_way else (None, None)
    return replace(
        health, failures=0, failing_since=None, told=None, paused_at=rest[0], paused_until=rest[1]
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
    """A throttled destination rests as long as it asked for; an open circuit rests the longer the longer it fails."""
    asked = tried.delay if tried.failure is ErrorClass.THROTTLED else None
    if not is_open(health):
        return asked
    rest = min(max((tried.ended - since) / 4, MIN_PAUSE), MAX_PAUSE) * (0.8 + 0.4 * random)
    return max(rest, asked or rest)
