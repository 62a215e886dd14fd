"""Draining a backlog with one worker, beside a bare loop; and how far behind the seal runs meanwhile."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from tests.bench import bare_loop
from tests.bench.deliveries import workflow_run
from tests.bench.draining import POSTGRES, WORKER, Drained, busy_of, drain_ours
from tests.bench.figures import Spread, percentile, ratio_of_medians
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.profiles import hottest
from tests.bench.rounds import alternate
from tests.bench.testbed import BASELINE, Testbed
from tests.paths import ROOT

NAME = "drain"
SPEED = 4500
"""Deliveries a second of one worker."""
OURS, BARE = "Trailgate", "bare loop"


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Ours and the bare loop empty backlogs of the same bodies in turn."""
    sides = {BARE: partial(_drain_bare, testbed, plan), OURS: partial(_drain_ours, testbed, prepared, plan)}
    found = alternate(sides, plan.rounds)
    speed = {name: [one.per_second for one in drained] for name, drained in found.items()}
    lag = Spread.of([max(one.lags) for one in found[OURS]])
    sealed_after = Spread.of([one.sealed_after for one in found[OURS]])
    checks = [
        Check.at_least("speed", Spread.of(speed[OURS]).median, SPEED, "/s"),
        Check.figure("against the bare loop", ratio_of_medians(speed[OURS], speed[BARE]), TIMES),
        Check.at_most("seal: largest lag", lag.median, 2, "s"),
        Check.at_most("seal: complete after the drain", sealed_after.median, 2, "s"),
    ]
    return Outcome(
        NAME,
        f"{plan.backlog:,} workflow runs of as many commits, one worker, sealing and signing at once",
        _series(found[BARE], found[OURS]),
        checks,
        busy_of(found[OURS]),
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the worker spends its time while draining."""
    output = testbed.home / "drain.profile"
    drain_ours(testbed, prepared, install(testbed), plan.backlog, output)
    return hottest(output, ROOT)


def _series(bare: Sequence[Drained], ours: Sequence[Drained]) -> list[Series]:
    return [
        Series("Trailgate: visible attestations", "/s", [one.per_second for one in ours]),
        Series("Trailgate: processor time, worker", "µs/delivery", [one.cost(WORKER) for one in ours]),
        Series("Trailgate: processor time, PostgreSQL", "µs/delivery", [one.cost(POSTGRES) for one in ours]),
        Series("bare loop: inserted rows", "/s", [one.per_second for one in bare]),
        Series("seal: largest lag", "s", [max(one.lags) for one in ours]),
        Series("seal: p95 of the lag", "s", [percentile(one.lags, 95) for one in ours]),
        Series("seal: complete after the drain", "s", [one.sealed_after for one in ours]),
    ]


def _drain_bare(testbed: Testbed, plan: Plan) -> Drained:
    url = testbed.fresh(BASELINE, "template0")
    asyncio.run(bare_loop.fill(url, map(workflow_run, range(plan.backlog))))
    testbed.settle()
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench.bare_loop", url], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return Drained(plan.backlog / float(told.stdout), {})


def _drain_ours(testbed: Testbed, prepared: Prepared, plan: Plan) -> Drained:
    return drain_ours(testbed, prepared, install(testbed), plan.backlog)
