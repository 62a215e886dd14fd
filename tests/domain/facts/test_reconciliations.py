"""Reconciliation's rules: which addresses are hooks, how far to look back, when to try again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.facts.reconciliations import MAX_WAIT, OVERLAP, REACH, check_hook_url, earliest, next_run

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=5)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.github.com/repos/o/r/hooks/42",
        "https://api.github.com/orgs/o/hooks/1234567890123456789",
        "https://github.example.com/api/v3/repos/o/r.x_y-z/hooks/1",
        "https://github.example.com:8443/api/v3/orgs/o/hooks/1",
    ],
)
def test_addresses_of_hooks(url: str) -> None:
    assert check_hook_url(url, http_allowed=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks/42",
        "api.github.com/repos/o/r/hooks/42",
        "https:///repos/o/r/hooks/42",
        "https://[::1/repos/o/r/hooks/42",
        "https://h:port/repos/o/r/hooks/42",
        "https://h:99999/repos/o/r/hooks/42",
        "ftp://h/repos/o/r/hooks/42",
        "file:///repos/o/r/hooks/42",
        "http://h/repos/o/r/hooks/42",
        "https://user:secret@h/repos/o/r/hooks/42",
        "https://user@h/repos/o/r/hooks/42",
        "https://h/repos/o/r/hooks/42/",
        "https://h/repos/o/r/hooks/42/deliveries",
        "https://h/repos/o/r/hooks/",
        "https://h/repos/o/r/hooks/42x",
        "https://h/repos/o/r/hooks/12345678901234567890",
        "https://h/repos/o/r/settings/42",
        "https://h/hooks/42",
        "https://h/repos/o/r/hooks/42?cursor=1",
        "https://h/repos/o/r/hooks/42#1",
        "https://h/repos/o /r/hooks/42",
        "https://h/repos/o\n/r/hooks/42",
        "https://h\\@e/repos/o/r/hooks/42",
        "https://hé/repos/o/r/hooks/42",
        "https://h/repos/o/r/hooks/4\uff12",
    ],
)
def test_what_is_no_hook_is_named(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_hook_url(url, http_allowed=False)
    assert [detail.field for detail in refused.value.details] == ["hookUrl"]
    assert "secret" not in refused.value.message


def test_http_where_it_is_allowed() -> None:
    url = "http://10.0.0.1:3000/api/v3/repos/o/r/hooks/42"
    assert check_hook_url(url, http_allowed=True) == url
    with pytest.raises(Invalid, match="https"):
        check_hook_url(url, http_allowed=False)
    with pytest.raises(Invalid, match="https"):
        check_hook_url("ftp://10.0.0.1/repos/o/r/hooks/42", http_allowed=True)


def test_the_first_comparison_looks_back_as_far_as_github_remembers() -> None:
    assert earliest(NOW, None) == NOW - REACH


def test_a_later_one_looks_back_to_the_last_and_a_bit_further() -> None:
    last = NOW - timedelta(minutes=7)
    assert earliest(NOW, last) == last - OVERLAP
    assert earliest(NOW, NOW - timedelta(days=30)) == NOW - REACH


def test_failures_wait_longer_and_longer_up_to_an_hour() -> None:
    well_at, now, waits = NOW, NOW + INTERVAL, []
    for _ in range(8):
        following = next_run(now, well_at, INTERVAL, None)
        waits.append((following - now) // timedelta(minutes=1))
        now = following
    assert waits == [5, 10, 20, 40, 60, 60, 60, 60]


def test_the_senders_own_wish_is_followed_within_bounds() -> None:
    assert next_run(NOW, NOW, INTERVAL, timedelta(seconds=1)) == NOW + INTERVAL
    assert next_run(NOW, NOW, INTERVAL, timedelta(minutes=31)) == NOW + timedelta(minutes=31)
    assert next_run(NOW, NOW, INTERVAL, timedelta(days=31)) == NOW + MAX_WAIT
    assert next_run(NOW, NOW, timedelta(days=1), timedelta(hours=2)) == NOW + timedelta(days=1)


@given(
    st.timedeltas(timedelta(), timedelta(days=400)),
    st.timedeltas(timedelta(seconds=30), timedelta(days=2)),
    st.none() | st.timedeltas(timedelta(), timedelta(days=10**7)),
)
def test_a_run_comes_after_the_interval_and_not_long_after(
    failing: timedelta, interval: timedelta, wish: timedelta | None
) -> None:
    wait = next_run(NOW, NOW - failing, interval, wish) - NOW
    assert interval <= wait <= max(MAX_WAIT, interval)
