"""HTTP servers under the same load, in turn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from tests.bench.figures import Spread
from tests.bench.load import Load, play
from tests.bench.outcomes import OTHERS, Check, HotSpot, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.profiles import hottest, profiling
from tests.bench.rounds import alternate
from tests.bench.testbed import Running, Testbed
from tests.paths import ROOT

SERVER, POSTGRES, VALKEY = "the server process", "PostgreSQL", "Valkey"
PER_REQUEST = "µs/request"
NEGLIGIBLE = 10.0
"""Microseconds a request below which Valkey is not mentioned: its clock ticks alone add up to a few."""


@dataclass(frozen=True, slots=True)
class Side:
    """A server with the requests it gets; `clear` runs before each measurement."""

    server: Running
    requests: Path
    clear: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement of one side, with the cores kept busy meanwhile."""

    load: Load
    busy: Mapping[str, float]

    def cost(self, *processes: str) -> float:
        """Processor time of these processes together, microseconds a request."""
        return sum(self.busy[process] for process in processes) / self.load.requests_per_second * 1_000_000


def compare(testbed: Testbed, sides: Mapping[str, Side], connections: int, plan: Plan) -> dict[str, list[Measurement]]:
    """Warm every side up, then let them take turns."""
    for side in sides.values():
        play(side.requests, side.server.url, connections=connections, seconds=plan.warm_up)
    runs = {name: partial(_run, testbed, side, connections, plan.seconds) for name, side in sides.items()}
    return alternate(runs, plan.rounds)


def _run(testbed: Testbed, side: Side, connections: int, seconds: float) -> Measurement:
    side.clear()
    testbed.settle()
    meter = Meter({SERVER: side.server.pid, POSTGRES: testbed.postgres_pid, VALKEY: testbed.valkey_pid})
    load = play(side.requests, side.server.url, connections=connections, seconds=seconds)
    busy, wrk = meter.cores(), load.processor / seconds
    return Measurement(load, {**busy, OTHERS: max(0.0, busy[OTHERS] - wrk), "wrk": wrk})


def profile_load(testbed: Testbed, url: str, requests: Path, connections: int, plan: Plan) -> list[HotSpot]:
    """Where one API process spends its time while it gets these requests."""
    output = requests.with_suffix(".profile")
    with testbed.api(url, output) as api:
        play(requests, api.url, connections=connections, seconds=plan.warm_up)
        with profiling(api.pid, output):
            play(requests, api.url, connections=connections, seconds=plan.seconds)
    return hottest(output, ROOT)


def rates(measured: Sequence[Measurement]) -> list[float]:
    """Requests per second, by round."""
    return [one.load.requests_per_second for one in measured]


def costs(measured: Sequence[Measurement], *processes: str) -> list[float]:
    """Processor time of these processes together, microseconds a request, by round."""
    return [one.cost(*processes) for one in measured]


def processor_checks(measured: Sequence[Measurement], server: float, postgres: float) -> list[Check]:
    """Processor time a request, with the targets for both."""
    limits = {SERVER: server, POSTGRES: postgres}
    return [
        Check.at_most(f"processor time, {name}", Spread.of(costs(measured, name)).median, limit, PER_REQUEST)
        for name, limit in limits.items()
    ]


def series_of(found: Mapping[str, Sequence[Measurement]]) -> list[Series]:
    """Rates, latencies and processor times of all sides."""
    return [one for name, measured in found.items() for one in _series(name, measured)]


def _series(name: str, measured: Sequence[Measurement]) -> list[Series]:
    processes = [SERVER, POSTGRES, *([VALKEY] if max(costs(measured, VALKEY)) > NEGLIGIBLE else [])]
    return [
        Series(name, "requests/s", rates(measured)),
        Series(f"{name}: p50", "ms", [one.load.p50 for one in measured]),
        Series(f"{name}: p99", "ms", [one.load.p99 for one in measured]),
        *(Series(f"{name}: processor time, {who}", PER_REQUEST, costs(measured, who)) for who in processes),
    ]


def busy_of(measured: Sequence[Measurement]) -> dict[str, float]:
    """Cores kept busy, on average over the rounds."""
    return {name: fmean(one.busy[name] for one in measured) for name in measured[0].busy}
