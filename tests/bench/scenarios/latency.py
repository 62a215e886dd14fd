"""From the sender to the query: how long after a delivery was sent its attestation can be read."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

import aiohttp
import asyncpg

from tests.bench.deliveries import signed, workflow_run
from tests.bench.figures import Spread, percentile
from tests.bench.outcomes import Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.product import Prepared, install
from tests.bench.rounds import alternate
from tests.bench.testbed import Running, Testbed

NAME = "latency"
RATE = 50
STRETCH = 4
"""A round lasts so many times longer than a measurement under load: 20 s by default."""
_LOOK = 0.004
_PATIENCE = 30.0
_VISIBLE = "SELECT source_id FROM attestations WHERE org_id = $1 AND source_id = ANY($2::uuid[])"


@dataclass(slots=True)
class _Deliveries:
    """What is under way, by receipt, with the time it was sent; and the latencies in milliseconds."""

    sent_at: dict[UUID, float] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """The clock runs from before the POST until a SELECT sees the attestation."""
    url = install(testbed)
    with testbed.api(url) as api, testbed.worker(url) as worker:
        asyncio.run(_deliver(api, url, prepared, range(RATE * 2)))
        first = RATE * 2
        meter = Meter({"the API": api.pid, "the worker": worker.pid, "PostgreSQL": testbed.postgres_pid})
        rounds = iter(_ranges(first, round(RATE * STRETCH * plan.seconds), plan.rounds))
        found = alternate({NAME: lambda: asyncio.run(_deliver(api, url, prepared, next(rounds)))}, plan.rounds)[NAME]
        busy = meter.cores()
    p50, p99 = ([percentile(latencies, percent) for latencies in found] for percent in (50, 99))
    return Outcome(
        NAME,
        f"delivered to queryable at {RATE}/s for {STRETCH * plan.seconds:g} s, one API process, one worker",
        (
            Series("p50", "ms", p50),
            Series("p99", "ms", p99),
            Series("longest", "ms", [max(latencies) for latencies in found]),
        ),
        (
            Check.at_most("p50", Spread.of(p50).median, 120, "ms"),
            Check.at_most("p99", Spread.of(p99).median, 500, "ms"),
        ),
        busy,
    )


def _ranges(first: int, length: int, rounds: int) -> list[range]:
    return [range(first + place * length, first + (place + 1) * length) for place in range(rounds)]


async def _deliver(api: Running, url: str, prepared: Prepared, numbers: Sequence[int]) -> list[float]:
    deliveries = _Deliveries()
    connection = await asyncpg.connect(url)
    watcher = asyncio.create_task(_watch(connection, prepared.org_id, deliveries))
    try:
        async with aiohttp.ClientSession(api.url) as session, asyncio.timeout(len(numbers) / RATE + _PATIENCE):
            await _send_all(session, prepared.webhook_path, numbers, deliveries)
            while len(deliveries.latencies) < len(numbers) and not watcher.done():
                await asyncio.sleep(_LOOK)
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        await connection.close()
    return deliveries.latencies


async def _send_all(session: aiohttp.ClientSession, path: str, numbers: Sequence[int], deliveries: _Deliveries) -> None:
    """By the clock, whether or not earlier ones are answered: a slow server must not slow its own load down."""
    started = time.perf_counter()
    async with asyncio.TaskGroup() as sending:
        for place, number in enumerate(numbers):
            await asyncio.sleep(max(0.0, started + place / RATE - time.perf_counter()))
            sending.create_task(_send(session, path, number, deliveries))


async def _send(session: aiohttp.ClientSession, path: str, number: int, deliveries: _Deliveries) -> None:
    body = workflow_run(number)
    headers = signed("workflow_run", body, f"latency-{number:08d}")
    sent_at = time.perf_counter()
    async with session.post(path, data=body, headers=headers) as answer:
        if answer.status != HTTPStatus.ACCEPTED:
            raise RuntimeError(f"delivery {number} was answered with {answer.status}")
        deliveries.sent_at[UUID((await answer.json())["receiptId"])] = sent_at


async def _watch(connection: asyncpg.Connection, org_id: UUID, deliveries: _Deliveries) -> None:
    while True:
        if deliveries.sent_at:
            rows = await connection.fetch(_VISIBLE, org_id, list(deliveries.sent_at))
            now = time.perf_counter()
            for row in rows:
                deliveries.latencies.append((now - deliveries.sent_at.pop(row["source_id"])) * 1000)
        await asyncio.sleep(_LOOK)
