"""Quotas: when a rate starts again, and which error tells that something is used up."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import Conflict, Throttled, TooLarge
from domain.identity.quotas import DEFAULTS, PERIODS, TERMS, Quota, QuotaUse, exceeded, period_number, resets_at

NOW = datetime(2026, 11, 29, 14, 59, 58, 500_000, tzinfo=UTC)


def use(quota: Quota, limit: int = 5, used: int = 5) -> QuotaUse:
    return QuotaUse(quota, limit, used, resets_at(quota, NOW))


def test_every_quota_has_its_terms() -> None:
    assert set(TERMS) == set(DEFAULTS) == set(Quota)


def test_a_rate_starts_again_with_the_hour_or_the_day() -> None:
    assert resets_at(Quota.MESSAGES_PER_HOUR, NOW) == datetime(2026, 11, 29, 15, tzinfo=UTC)
    assert resets_at(Quota.TRAILS_PER_DAY, NOW) == datetime(2026, 11, 30, tzinfo=UTC)
    assert {resets_at(quota, NOW) for quota in Quota if quota not in PERIODS} == {None}


@pytest.mark.parametrize("quota", PERIODS)
def test_periods_are_numbered_without_a_gap(quota: Quota) -> None:
    ends = resets_at(quota, NOW)
    assert ends is not None
    assert period_number(quota, ends) == period_number(quota, NOW) + 1
    assert period_number(quota, ends - timedelta(microseconds=1)) == period_number(quota, NOW)


@pytest.mark.parametrize("quota", [quota for quota in Quota if quota not in PERIODS])
def test_a_total_has_one_period(quota: Quota) -> None:
    assert period_number(quota, NOW) == 0


def test_nothing_remains_below_a_lowered_limit() -> None:
    assert use(Quota.API_KEYS, 5, 2).remaining == 3
    assert use(Quota.API_KEYS, 1, 2).remaining == 0


@pytest.mark.parametrize("quota", Quota)
def test_the_error_names_the_quota(quota: Quota) -> None:
    error = exceeded(use(quota), NOW)
    assert error.limit == quota
    assert quota in error.message


def test_a_rate_says_when_to_try_again() -> None:
    error = exceeded(use(Quota.MESSAGES_PER_HOUR), NOW)
    assert isinstance(error, Throttled)
    assert error.retry_after == 2, "rounded up: a second too early would be refused again"


def test_bytes_are_too_large_and_numbers_a_conflict() -> None:
    assert isinstance(exceeded(use(Quota.EVIDENCE_BYTES), NOW), TooLarge)
    conflict = exceeded(use(Quota.WEBHOOK_CONFIGS), NOW)
    assert isinstance(conflict, Conflict)
    assert conflict.kind == "state"
