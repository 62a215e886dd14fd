from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.facts.attestations import NEWEST_OBSERVATION, OLDEST_OBSERVATION, clamped
from domain.facts.flows import check_tags

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_tags_at_their_limits_pass() -> None:
    check_tags({})
    check_tags({f"{n:064}": "v" * 256 for n in range(50)})


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ({str(n): "v" for n in range(51)}, "tags"),
        ({"k" * 65: "v"}, "tags"),
        ({" ": "v"}, "tags"),
        ({"": "v"}, "tags"),
        ({"team": "v" * 257}, "tags.team"),
    ],
)
def test_a_tag_that_breaks_a_rule_is_named(tags: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_tags(tags)
    assert refused.value.details[0].field == field


@given(st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))
def test_a_senders_time_stays_where_it_can_be_true(observed: datetime | None) -> None:
    kept = clamped(observed, NOW)
    assert NOW - OLDEST_OBSERVATION <= kept <= NOW + NEWEST_OBSERVATION
    if observed is not None and abs(observed - NOW) < timedelta(minutes=5):
        assert kept == observed
