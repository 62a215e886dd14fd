"""What people are told about environments and the gate, in plain words."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.notifications.triggers import drift_resolved, environment_stale, gate_blocked

ID = UUID(int=7)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=20), "less than a minute"),
        (timedelta(seconds=61), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=3), "3 hours 0 minutes"),
        (timedelta(hours=26, minutes=1), "26 hours 1 minute"),
    ],
)
def test_how_long_it_drifted_is_spelled(length: timedelta, words: str) -> None:
    assert f"approves, after {words} of drift." in drift_resolved(ID, "production", START, START + length).message


def test_one_minute_is_one() -> None:
    assert "for 1 minute:" in environment_stale(ID, "production", 1, START).message


@pytest.mark.parametrize(
    ("name", "told"), [("shop", "shop (sha256:ab) through"), ("sha256:ab", "let sha256:ab through")]
)
def test_what_nobody_reported_goes_by_its_digest_alone(name: str, told: str) -> None:
    notice = gate_blocked(ID, "sha256:ab", name, "why", environment="production", flow_id=None, environment_id=None)
    assert f"{told} to production: why" in notice.message
