"""A backlog emptied by one worker of ours, watched from the database."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from uuid import UUID

import asyncpg

from tests.bench.backlog import fill_inbox
from tests.bench.processor import Meter
from tests.bench.product import Prepared, bench_settings
from tests.bench.profiles import profiling
from tests.bench.seal_lag import sample
from tests.bench.testbed import Testbed, fetch_value

WORKER, POSTGRES = "the worker", "PostgreSQL"
PATIENCE = 300.0
_BEGUN = "SELECT EXISTS (SELECT FROM inbox WHERE claim_id IS NOT NULL)"
_EMPTY = "SELECT NOT EXISTS (SELECT FROM inbox)"
_SEALED = "SELECT NOT EXISTS (SELECT FROM unsealed)"
_VISIBLE = "SELECT count(*) FROM attestations WHERE origin = 'webhook' AND source_id IN (SELECT id FROM deliveries)"


class Incomplete(Exception):
    """The worker did not record what was in the backlog."""


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain: its speed and the cores kept busy meanwhile.

    Of ours also the lags of the seal in seconds, and how long after the drain the ledger was complete.
    """

    per_second: float
    busy: Mapping[str, float]
    lags: Sequence[float] = ()
    sealed_after: float = 0.0

    def cost(self, process: str) -> float:
        """Processor time of a process, microseconds a delivery."""
        return self.busy[process] / self.per_second * 1_000_000


def busy_of(drains: Sequence[Drained]) -> dict[str, float]:
    """Cores kept busy, on average over the rounds."""
    return {name: fmean(one.busy[name] for one in drains) for name in drains[0].busy}


def drain_ours(testbed: Testbed, prepared: Prepared, url: str, count: int, output: Path | None = None) -> Drained:
    """Fill the inbox of a database and let one worker empty it, profiled into `output` if there is one."""
    asyncio.run(fill_inbox(bench_settings(testbed, url), prepared, count))
    testbed.settle()
    with testbed.worker(url, output) as worker:
        pids = {WORKER: worker.pid, POSTGRES: testbed.postgres_pid}
        watching = _watch(url, prepared.org_id, pids, output)
        seen = asyncio.run(asyncio.wait_for(watching, PATIENCE))
    if (visible := fetch_value(url, _VISIBLE)) != count:
        raise Incomplete(f"{visible} attestations out of {count} deliveries")
    return Drained(count / seen.seconds, seen.busy, seen.lags, seen.sealed_after)


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
        await wait_for(watching, _BEGUN, 0.01)
        started, meter = time.perf_counter(), Meter(pids)
        sampler = asyncio.create_task(sample(sampling, org_id, lags))
        with profiling(pids[WORKER], output):
            await wait_for(watching, _EMPTY, 0.05)
        ended, busy = time.perf_counter(), meter.cores()
        await wait_for(watching, _SEALED, 0.02)
        sealed_after = time.perf_counter() - ended
        sampler.cancel()
        with suppress(asyncio.CancelledError):
            await sampler
        return _Seen(ended - started, lags, sealed_after, busy)
    finally:
        await watching.close()
        await sampling.close()


async def wait_for(connection: asyncpg.Connection, question: str, pause: float) -> None:
    """Ask a question every `pause` seconds until the answer is yes."""
    while not await connection.fetchval(question):
        await asyncio.sleep(pause)
