"""Every scenario for half a second, so that the harness does not rot. Whether targets are met is not asked here."""

import shutil
from collections.abc import Iterator

import pytest

from tests.bench.catalogue import SCENARIOS
from tests.bench.machine import cores, machine_facts
from tests.bench.plan import Plan
from tests.bench.product import Prepared, prepare
from tests.bench.report import render
from tests.bench.stand import Stand, fetch_value, open_stand

SHORT = Plan(rounds=1, seconds=0.5, backlog=600, trails=1000, upload=2**24, profile=True)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk makes the load"),
    pytest.mark.xdist_group("bench"),
]


@pytest.fixture(scope="module")
def stand() -> Iterator[tuple[Stand, Prepared]]:
    with open_stand() as opened:
        yield opened, prepare(opened)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_measures_and_profiles_and_is_reported(name: str, stand: tuple[Stand, Prepared]) -> None:
    opened, prepared = stand
    outcome = SCENARIOS[name].measure(opened, prepared, SHORT)
    assert outcome.checks
    assert all(value >= 0 for series in outcome.series for value in series.values)
    assert all(check.found > 0 for check in outcome.checks if not check.what.startswith(("seal", "growth")))
    assert bool(outcome.hot) is (SCENARIOS[name].profile is not None)
    page = render([outcome], machine_facts(opened.postgres_version()), cores())
    assert f"## {name}: " in page


def test_the_servers_are_durable(stand: tuple[Stand, Prepared]) -> None:
    """A bench without fsync would flatter whoever commits more often."""
    settings = [fetch_value(stand[0].admin_url, f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    assert settings == ["on", "on"]
