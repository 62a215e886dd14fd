"""Draining a backlog with one worker, against a bare loop; and how far behind the seal runs meanwhile."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from uuid import UUID

import asyncpg

from tests.bench import bare_loop
from tests.bench.backlog import fill_inbox
from tests.bench.figures import Spread, percentile, ratio_of_medians
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.product import Prepared, install, workflow_run
from tests.bench.profiles import hottest, profiling
from tests.bench.rounds import alternate
from tests.bench.seal_lag import sample
from tests.bench.stand import BASELINE, ROOT, Stand, fetch_value

NAME = "drain"
OURS, BARE = "Trailgate", "bare loop"
_BEGUN = "SELECT EXISTS (SELECT FROM inbox WHERE claim_id IS NOT NULL)"
_EMPTY = "SELECT NOT EXISTS (SELECT FROM inbox)"
_SEALED = "SELECT NOT EXISTS (SELECT FROM unsealed)"
_VISIBLE = "SELECT count(*) FROM attestations WHERE origin = 'webhook'"
_PATIENCE = 300.0


class Incomplete(Exception):
    """The drain did not record what was in the backlog."""


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain: its speed, the lags of the seal in seconds, and how long after it the ledger was complete."""

    per_second: float
    lags: Sequence[float]
    sealed_after: float
    busy: dict[str, float]


def run(stand: Stand, prepared: Prepared, plan: Plan) -> Outcome:
    """Ours and the bare loop empty backlogs of the same bodies in turn."""
    sides = {BARE: partial(_drain_bare, stand, plan), OURS: partial(_drain_ours, stand, prepared, plan)}
    found = alternate(sides, plan.rounds)
    bare, ours = found[BARE], found[OURS]
    speed = {name: [one.per_second for one in drained] for name, drained in found.items()}
    lag = Spread.of([max(one.lags) for one in ours])
    sealed_after = Spread.of([one.sealed_after for one in ours])
    checks = [
        Check.at_least("against the bare loop", ratio_of_medians(speed[OURS], speed[BARE]), 0.35, TIMES),
        Check.at_most("seal: largest lag", lag.median, 2, "s"),
        Check.at_most("seal: complete after the drain", sealed_after.median, 2, "s"),
    ]
    if Spread.of(speed[BARE]).median >= 1000:
        checks.insert(1, Check.at_least("speed", Spread.of(speed[OURS]).median, 1500, "/s"))
    return Outcome(
        NAME,
        f"{plan.backlog:,} workflow runs of as many commits, one worker, sealing and signing at once",
        _series(bare, ours),
        checks,
        {name: fmean(one.busy[name] for one in ours) for name in ours[0].busy},
    )


def profile(stand: Stand, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the worker spends its time while draining."""
    output = stand.home / "drain.profile"
    _drain_ours(stand, prepared, plan, output)
    return hottest(output, ROOT)


def _series(bare: Sequence[Drained], ours: Sequence[Drained]) -> list[Series]:
    return [
        Series("Trailgate: visible attestations", "/s", [one.per_second for one in ours]),
        Series("bare loop: inserted rows", "/s", [one.per_second for one in bare]),
        Series("seal: largest lag", "s", [max(one.lags) for one in ours]),
        Series("seal: p95 of the lag", "s", [percentile(one.lags, 95) for one in ours]),
        Series("seal: complete after the drain", "s", [one.sealed_after for one in ours]),
    ]


def _drain_bare(stand: Stand, plan: Plan) -> Drained:
    url = stand.fresh(BASELINE, "template0")
    asyncio.run(bare_loop.fill(url, map(workflow_run, range(plan.backlog))))
    stand.settle()
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench.bare_loop", url], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return Drained(plan.backlog / float(told.stdout), [0.0], 0.0, {})


def _drain_ours(stand: Stand, prepared: Prepared, plan: Plan, output: Path | None = None) -> Drained:
    url = install(stand)
    asyncio.run(fill_inbox(url, prepared, plan.backlog))
    stand.settle()
    with stand.worker(url, output) as worker:
        pids = {"the worker": worker.pid, "PostgreSQL": stand.postgres_pid}
        seen = asyncio.run(asyncio.wait_for(_watch(url, prepared.org_id, pids, output), _PATIENCE))
    if (visible := fetch_value(url, _VISIBLE)) != plan.backlog:
        raise Incomplete(f"{visible} attestations out of {plan.backlog} deliveries")
    return Drained(plan.backlog / seen.seconds, seen.lags, seen.sealed_after, seen.busy)


@dataclass(frozen=True, slots=True)
class _Seen:
    seconds: float
    lags: Sequence[float]
    sealed_after: float
    busy: dict[str, float]


async def _watch(url: str, org_id: UUID, pids: dict[str, int], output: Path | None) -> _Seen:
    """From the first claim until the inbox is empty, and on until everything is sealed."""
    watching, sampling = await asyncpg.connect(url), await asyncpg.connect(url)
    lags: list[float] = []
    try:
        await _until(watching, _BEGUN, 0.01)
        started, meter = time.perf_counter(), Meter(pids)
        sampler = asyncio.create_task(sample(sampling, org_id, lags))
        with profiling(pids["the worker"], output):
            await _until(watching, _EMPTY, 0.05)
        ended, busy = time.perf_counter(), meter.cores()
        await _until(watching, _SEALED, 0.02)
        sealed_after = time.perf_counter() - ended
        sampler.cancel()
        with suppress(asyncio.CancelledError):
            await sampler
        return _Seen(ended - started, lags, sealed_after, busy)
    finally:
        await watching.close()
        await sampling.close()


async def _until(connection: asyncpg.Connection, question: str, pause: float) -> None:
    while not await connection.fetchval(question):
        await asyncio.sleep(pause)
