"""Every scenario for half a second, so that the harness does not rot. Whether targets are met is not asked here."""

import shutil
from collections.abc import Iterator

import pytest

from tests.bench.catalogue import SCENARIOS
from tests.bench.machine import cores, machine_facts
from tests.bench.plan import Plan
from tests.bench.product import Prepared, prepare
from tests.bench.report import render
from tests.bench.testbed import Testbed, fetch_value, open_testbed

SHORT = Plan(
    rounds=1,
    seconds=0.5,
    backlog=600,
    trails=1000,
    flow_trails=2000,
    upload=2**24,
    environments=60,
    minutes=2,
    snapshots=2000,
    profile=True,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk makes the load"),
    pytest.mark.xdist_group("bench"),
]


@pytest.fixture(scope="module")
def testbed() -> Iterator[tuple[Testbed, Prepared]]:
    with open_testbed() as opened:
        yield opened, prepare(opened)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_measures_and_profiles_and_is_reported(name: str, testbed: tuple[Testbed, Prepared]) -> None:
    opened, prepared = testbed
    outcome = SCENARIOS[name].measure(opened, prepared, SHORT)
    assert outcome.checks
    assert all(value >= 0 for series in outcome.series for value in series.values)
    found = {check.what: check.found for check in outcome.checks if check.found is not None}
    assert all(value > 0 for what, value in found.items() if not what.startswith(("seal", "growth")))
    assert bool(outcome.hot) is (SCENARIOS[name].profile is not None)
    page = render([outcome], machine_facts(opened.postgres_version()), cores())
    assert f"## {name}: " in page


def test_the_servers_are_durable(testbed: tuple[Testbed, Prepared]) -> None:
    """A bench without fsync would flatter whoever commits more often."""
    settings = [fetch_value(testbed[0].admin_url, f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    assert settings == ["on", "on"]
