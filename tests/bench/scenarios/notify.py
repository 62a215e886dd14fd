"""From the cause to the receiver: how long after a failed attestation was sent its signed webhook arrives."""

import asyncio
import json
import time
from collections.abc import Sequence
from http import HTTPStatus

import aiohttp
from aiohttp import web

from tests.bench.figures import Spread, percentile
from tests.bench.outcomes import Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.product import Prepared, create, install
from tests.bench.rounds import alternate
from tests.bench.testbed import ADMIN_KEY, Running, Testbed, free_port

NAME = "notify"
RATE = 10
STRETCH = 4
"""A round lasts so many times longer than a measurement under load: 20 s by default."""
_PATIENCE = 30.0


class Receiver:
    """Notes when the message about each attestation came."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}

    async def take(self, request: web.Request) -> web.Response:
        """Take one."""
        body = json.loads(await request.read())
        self.came[body["data"]["attestation"]] = time.perf_counter()
        return web.Response()


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """The clock runs from before the POST of the attestation until the receiver has the request."""
    url, port = install(testbed), free_port()
    rule = {
        "name": "bench",
        "triggerEvent": "ATTESTATION_FAILED",
        "channelType": "WEBHOOK",
        "channelConfig": json.dumps({"webhookUrl": f"http://127.0.0.1:{port}/"}),
    }
    with testbed.api(url) as api, testbed.worker(url) as worker:
        create(api.url, "/api/v1/notification-rules", rule)
        asyncio.run(_tell(api, prepared, port, range(RATE * 2)))
        meter = Meter({"the API": api.pid, "the worker": worker.pid, "PostgreSQL": testbed.postgres_pid})
        rounds = iter(_ranges(RATE * 2, round(RATE * STRETCH * plan.seconds), plan.rounds))
        found = alternate({NAME: lambda: asyncio.run(_tell(api, prepared, port, next(rounds)))}, plan.rounds)[NAME]
        busy = meter.cores()
    p50, p99 = ([percentile(latencies, percent) for latencies in found] for percent in (50, 99))
    return Outcome(
        NAME,
        f"from a failed attestation to its webhook, {RATE}/s for {STRETCH * plan.seconds:g} s, otherwise idle",
        (
            Series("p50", "ms", p50),
            Series("p99", "ms", p99),
            Series("longest", "ms", [max(latencies) for latencies in found]),
        ),
        (Check.at_most("p99", Spread.of(p99).median, 1000, "ms"),),
        busy,
    )


def _ranges(first: int, length: int, rounds: int) -> list[range]:
    return [range(first + place * length, first + (place + 1) * length) for place in range(rounds)]


async def _tell(api: Running, prepared: Prepared, port: int, numbers: Sequence[int]) -> list[float]:
    """The latencies in milliseconds."""
    receiver, sent = Receiver(), {}
    app = web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with aiohttp.ClientSession(api.url) as session, asyncio.timeout(len(numbers) / RATE + _PATIENCE):
            for number in numbers:
                sent[f"n{number}"] = time.perf_counter()
                await _fail(session, prepared, number)
                await asyncio.sleep(1 / RATE)
            while len(receiver.came) < len(sent):
                await asyncio.sleep(0.01)
    finally:
        await runner.cleanup()
    return [(receiver.came[name] - sent_at) * 1000 for name, sent_at in sent.items()]


async def _fail(session: aiohttp.ClientSession, prepared: Prepared, number: int) -> None:
    trail = prepared.trail_ids[number % len(prepared.trail_ids)]
    body = {"type": "TEST", "name": f"n{number}", "status": "FAILED"}
    headers = {"X-Api-Key": ADMIN_KEY}
    async with session.post(f"/api/v1/trails/{trail}/attestations", json=body, headers=headers) as answer:
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(f"attestation {number} was answered with {answer.status}")
