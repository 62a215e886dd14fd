"""What authentication adds to a request: the processor time of one call, without a socket, a route or an answer."""

import time
from collections.abc import Awaitable, Callable, Mapping

import uvloop
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from api.app import build_app
from api.identity.authentication import authenticate
from api.identity.credentials import CREDENTIALS
from storage.services import open_services
from storage.settings import Settings
from tests.bench.figures import Spread
from tests.bench.outcomes import Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, bench_settings, install
from tests.bench.testbed import ADMIN_KEY, Testbed

NAME = "authenticate"
ADDED = 15
"""Microseconds that a known key may add to a request."""
KNOWN, NONE, UNKNOWN = "a known key", "no key", "an unknown key"
MICROSECONDS = "µs"
BATCH = 100
"""Calls between two looks at the clock."""

Calls = Mapping[str, Callable[[], Awaitable[object]]]


def run(testbed: Testbed, _prepared: Prepared, plan: Plan) -> Outcome:
    """A known key is looked up again when it expires in the cache, as in production; an unknown one with each call."""
    settings = bench_settings(testbed, install(testbed)).model_copy(update={"redis_url": testbed.redis_url})
    found = uvloop.run(_measure(settings, plan))
    median = {name: Spread.of(values).median for name, values in found.items()}
    return Outcome(
        NAME,
        "processor time of one call in the server's thread, no socket and no answer",
        [Series(name, MICROSECONDS, values) for name, values in found.items()],
        [
            Check.at_most("added by a known key", median[KNOWN] - median[NONE], ADDED, MICROSECONDS),
            Check.figure("added by an unknown key", median[UNKNOWN] - median[NONE], MICROSECONDS),
        ],
        notes=[
            "An unknown key takes one statement for all who wait meanwhile; PostgreSQL's part is not in the figure."
        ],
    )


async def _measure(settings: Settings, plan: Plan) -> dict[str, list[float]]:
    """The costs of each kind of call, by round, the kinds in turn."""
    async with open_services(settings, "bench") as services:
        runner = web.AppRunner(build_app(services), access_log=None)
        await runner.setup()
        try:
            calls = _calls(runner.app)
            found: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(plan.rounds):
                for name, call in calls.items():
                    found[name].append(await _cost(call, plan.seconds))
            return found
        finally:
            await runner.cleanup()


def _calls(app: web.Application) -> Calls:
    with_key = make_mocked_request("GET", "/api/v1/flows", {"X-Api-Key": ADMIN_KEY}, app=app)
    without = make_mocked_request("GET", "/api/v1/flows", {}, app=app)

    async def unknown() -> object:
        app[CREDENTIALS].forget()
        return await authenticate(with_key)

    return {KNOWN: lambda: authenticate(with_key), NONE: lambda: authenticate(without), UNKNOWN: unknown}


async def _cost(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    """Microseconds of this thread's processor time a call."""
    calls, spent, end = 0, time.thread_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(BATCH):
            await call()
        calls += BATCH
    return (time.thread_time() - spent) / calls * 1_000_000
