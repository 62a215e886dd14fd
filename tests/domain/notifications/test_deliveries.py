"""How destinations fare: what pauses, opens, disables and mends them, and what their owners hear."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.notifications.deliveries import (
    DISABLED_AFTER,
    MAX_PAUSE,
    MIN_PAUSE,
    OPEN_AFTER,
    TELL_AFTER,
    AttemptResult,
    Health,
    HealthEvent,
    after,
    is_open,
)
from domain.retries import ErrorClass

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
MIDDLE = 0.5  # of the jitter: nothing added, nothing taken off


def failed(seconds: float = 0, kind: ErrorClass = ErrorClass.TRANSIENT, **more: Any) -> AttemptResult:
    at = NOON + timedelta(seconds=seconds)
    return AttemptResult(at, at, kind, reason="HTTP 500", **more)


def sent(seconds: float = 0) -> AttemptResult:
    at = NOON + timedelta(seconds=seconds)
    return AttemptResult(at, at)


def of_failures(number: int, every: float = 0) -> Health:
    return after(Health(), [failed(n * every) for n in range(number)], MIDDLE)[0]


def test_a_success_leaves_a_well_destination_as_it_is() -> None:
    assert after(Health(), [sent()], MIDDLE) == (Health(), [])


def test_failures_in_a_row_are_counted_from_the_first() -> None:
    health = of_failures(3, every=10)
    assert (health.failures, health.failing_since, health.paused_until, health.told) == (3, NOON, None, None)


def test_the_owner_is_told_once_at_the_fourth_failure() -> None:
    heard = [after(of_failures(n), [failed()], MIDDLE)[1] for n in range(8)]
    assert [bool(news) for news in heard] == [n + 1 == TELL_AFTER for n in range(8)]
    assert heard[TELL_AFTER - 1] == [HealthEvent.FAILING]


def test_failures_that_come_in_one_batch_are_told_of_once() -> None:
    _, news = after(Health(), [failed(n) for n in range(50)], MIDDLE)
    assert news == [HealthEvent.FAILING]


def test_a_message_given_up_is_told_of_once_until_the_destination_recovers() -> None:
    health, news = after(Health(), [failed(dead=True), failed(dead=True), failed()], MIDDLE)
    assert news == [HealthEvent.EXHAUSTED]
    health, news = after(health, [sent(9)], MIDDLE)
    assert (news, health) == ([HealthEvent.RECOVERED], Health())


def test_exhaustion_is_told_although_the_failures_were_told_of_before() -> None:
    assert after(of_failures(TELL_AFTER), [failed(dead=True)], MIDDLE)[1] == [HealthEvent.EXHAUSTED]


def test_a_recovery_that_nobody_waits_for_is_not_told() -> None:
    assert after(of_failures(TELL_AFTER - 1), [sent(9)], MIDDLE) == (Health(), [])


def test_the_circuit_opens_at_the_fifth_failure_and_rests_the_longer_the_longer_it_fails() -> None:
    assert of_failures(OPEN_AFTER - 1).paused_until is None
    health = of_failures(OPEN_AFTER)
    assert is_open(health)
    assert health.paused_until == NOON + MIN_PAUSE
    for minutes, rest in [(2, timedelta(seconds=30)), (8, timedelta(minutes=2)), (600, MAX_PAUSE)]:
        later, _ = after(health, [failed(minutes * 60)], MIDDLE)
        assert later.paused_until == NOON + timedelta(minutes=minutes) + rest


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.8), (0.999, 1.2)])
def test_the_rest_is_jittered(draw: float, share: float) -> None:
    health, _ = after(of_failures(OPEN_AFTER - 1), [failed()], draw)
    assert health.paused_until is not None
    assert (health.paused_until - NOON) / MIN_PAUSE == pytest.approx(share, abs=0.01)


def test_a_throttled_destination_rests_as_long_as_the_message_waits() -> None:
    health, news = after(Health(), [failed(kind=ErrorClass.THROTTLED, delay=timedelta(seconds=70))], MIDDLE)
    assert (health.paused_until, news) == (NOON + timedelta(seconds=70), [])
    assert not is_open(health)


def test_what_was_under_way_when_it_was_throttled_does_not_end_the_rest() -> None:
    throttled = AttemptResult(NOON, NOON + timedelta(seconds=2), ErrorClass.THROTTLED, timedelta(seconds=60))
    health, _ = after(
        Health(), [throttled, AttemptResult(NOON + timedelta(seconds=1), NOON + timedelta(seconds=3))], MIDDLE
    )
    assert health.paused_until == NOON + timedelta(seconds=62)
    assert health.failures == 0
    assert after(health, [sent(70)], MIDDLE)[0].paused_until is None


def test_a_shorter_wish_does_not_shorten_a_rest() -> None:
    long, short = (failed(kind=ErrorClass.THROTTLED, delay=timedelta(seconds=s)) for s in (90, 60))
    assert after(Health(), [long, short], MIDDLE)[0].paused_until == NOON + timedelta(seconds=90)


def test_who_wants_no_more_is_disabled_at_once_with_the_reason() -> None:
    gone = failed(kind=ErrorClass.PERMANENT, dead=True, gone=True)
    health, news = after(Health(), [gone, gone], MIDDLE)
    assert (health.disabled_at, health.disabled_reason, news[0]) == (NOON, "HTTP 500", HealthEvent.DISABLED)
    assert news.count(HealthEvent.DISABLED) == 1


def test_five_days_of_nothing_but_failures_disable() -> None:
    failing = of_failures(OPEN_AFTER)
    almost, news = after(failing, [failed(DISABLED_AFTER.total_seconds() - 1)], MIDDLE)
    assert (almost.disabled_at, news) == (None, [])
    health, news = after(failing, [failed(DISABLED_AFTER.total_seconds())], MIDDLE)
    assert (news, health.disabled_reason) == ([HealthEvent.DISABLED], "Every attempt failed for 5 days: HTTP 500")


def test_a_late_success_does_not_enable_what_was_disabled() -> None:
    gone, _ = after(Health(), [failed(kind=ErrorClass.PERMANENT, gone=True)], MIDDLE)
    assert after(gone, [sent(1)], MIDDLE)[0] == replace(
        Health(), disabled_at=gone.disabled_at, disabled_reason=gone.disabled_reason
    )
