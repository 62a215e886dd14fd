"""Draining into a flow that has many trails already, beside one that has none."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from cli.embedded.testing import seal_template
from tests.bench.draining import POSTGRES, WORKER, Drained, busy_of, drain_ours
from tests.bench.figures import Spread, ratio_of_medians
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.profiles import hottest
from tests.bench.rounds import alternate
from tests.bench.scenarios.drain import SPEED
from tests.bench.seed import Place
from tests.bench.seed_flow import fill_flow
from tests.bench.testbed import TEMPLATE, Testbed, execute, fetch_value
from tests.paths import ROOT

NAME = "drain-large"
SPEED_LARGE = 4000
"""Deliveries a second of one worker."""
EMPTY, NOT_ANALYZED, ANALYZED = "empty flow", "before ANALYZE", "after ANALYZE"


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Three databases get the same backlog in turn; every delivery names a commit that no trail has."""
    large = _large_template(testbed, prepared, plan.flow_trails)
    sides = {
        EMPTY: partial(_drain, testbed, prepared, plan, partial(install, testbed)),
        NOT_ANALYZED: partial(_drain, testbed, prepared, plan, partial(install, testbed, large)),
        ANALYZED: partial(_drain, testbed, prepared, plan, partial(_analyzed, testbed, large)),
    }
    found = alternate(sides, plan.rounds)
    return Outcome(
        NAME,
        f"{plan.backlog:,} workflow runs of new commits, one worker, in a flow that has {plan.flow_trails:,} trails",
        [series for name, drained in found.items() for series in _series(name, drained)],
        _checks(found),
        busy_of(found[ANALYZED]),
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the worker spends its time with many trails."""
    output = testbed.home / "drain-large.profile"
    url = _analyzed(testbed, _large_template(testbed, prepared, plan.flow_trails))
    drain_ours(testbed, prepared, url, plan.backlog, output)
    return hottest(output, ROOT)


def _checks(found: Mapping[str, Sequence[Drained]]) -> list[Check]:
    speed = {name: [one.per_second for one in drained] for name, drained in found.items()}
    targets = {EMPTY: SPEED, NOT_ANALYZED: SPEED_LARGE, ANALYZED: SPEED_LARGE}
    return [
        *(
            Check.at_least(f"speed, {name}", Spread.of(speed[name]).median, least, "/s")
            for name, least in targets.items()
        ),
        *(
            Check.figure(f"{name}, against the empty flow", ratio_of_medians(speed[name], speed[EMPTY]), TIMES)
            for name in (NOT_ANALYZED, ANALYZED)
        ),
    ]


def _series(name: str, drained: Sequence[Drained]) -> list[Series]:
    return [
        Series(name, "deliveries/s", [one.per_second for one in drained]),
        Series(f"{name}: processor time, worker", "µs/delivery", [one.cost(WORKER) for one in drained]),
        Series(f"{name}: processor time, PostgreSQL", "µs/delivery", [one.cost(POSTGRES) for one in drained]),
    ]


def _drain(testbed: Testbed, prepared: Prepared, plan: Plan, open_database: Callable[[], str]) -> Drained:
    return drain_ours(testbed, prepared, open_database(), plan.backlog)


def _analyzed(testbed: Testbed, template: str) -> str:
    url = install(testbed, template)
    execute(url, "ANALYZE")
    return url


def _large_template(testbed: Testbed, prepared: Prepared, trails: int) -> str:
    """A template like the usual one with so many trails in its flow; made once."""
    name = f"{TEMPLATE}_{trails}"
    if not fetch_value(testbed.admin_url, f"SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')"):
        url = testbed.fresh(name, TEMPLATE)
        asyncio.run(fill_flow(url, Place(prepared.org_id, prepared.flow_id, prepared.principal_id), trails))
        testbed.settle()
        asyncio.run(seal_template(testbed.admin_url, name))
    return name
