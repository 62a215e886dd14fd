"""HTTP servers under the same load, in turn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from tests.bench.load import Load, play
from tests.bench.outcomes import OTHERS, HotSpot, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.profiles import hottest, profiling
from tests.bench.rounds import alternate
from tests.bench.stand import ROOT, Running, Stand

SERVER, POSTGRES = "the server process", "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server with the requests it gets; `clear` runs before each measurement."""

    server: Running
    requests: Path
    clear: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Heat:
    """One measurement of one contender, with the cores kept busy meanwhile."""

    load: Load
    busy: Mapping[str, float]


def contest(stand: Stand, contenders: Mapping[str, Contender], connections: int, plan: Plan) -> dict[str, list[Heat]]:
    """Warm every contender up, then let them take turns."""
    for contender in contenders.values():
        play(contender.requests, contender.server.url, connections=connections, seconds=plan.warm_up)
    sides = {name: partial(_run, stand, one, connections, plan.seconds) for name, one in contenders.items()}
    return alternate(sides, plan.rounds)


def _run(stand: Stand, contender: Contender, connections: int, seconds: float) -> Heat:
    contender.clear()
    stand.settle()
    meter = Meter({SERVER: contender.server.pid, POSTGRES: stand.postgres_pid})
    load = play(contender.requests, contender.server.url, connections=connections, seconds=seconds)
    busy, wrk = meter.cores(), load.processor / seconds
    return Heat(load, {**busy, OTHERS: max(0.0, busy[OTHERS] - wrk), "wrk": wrk})


def profile_load(stand: Stand, url: str, requests: Path, connections: int, plan: Plan) -> list[HotSpot]:
    """Where one API process spends its time while it gets these requests."""
    output = requests.with_suffix(".profile")
    with stand.api(url, output) as api:
        play(requests, api.url, connections=connections, seconds=plan.warm_up)
        with profiling(api.pid, output):
            play(requests, api.url, connections=connections, seconds=plan.seconds)
    return hottest(output, ROOT)


def rates(heats: Sequence[Heat]) -> list[float]:
    """Requests per second, by round."""
    return [heat.load.requests_per_second for heat in heats]


def series_of(found: Mapping[str, Sequence[Heat]]) -> list[Series]:
    """Rates, latencies and costs of all contenders."""
    return [one for name, heats in found.items() for one in _series(name, heats)]


def _series(name: str, heats: Sequence[Heat]) -> list[Series]:
    return [
        Series(name, "requests/s", rates(heats)),
        Series(f"{name}: p50", "ms", [heat.load.p50 for heat in heats]),
        Series(f"{name}: p99", "ms", [heat.load.p99 for heat in heats]),
        Series(f"{name}: processor time, server", "µs/request", [_cost(heat, SERVER) for heat in heats]),
        Series(f"{name}: processor time, PostgreSQL", "µs/request", [_cost(heat, POSTGRES) for heat in heats]),
    ]


def _cost(heat: Heat, process: str) -> float:
    return heat.busy[process] / heat.load.requests_per_second * 1_000_000


def busy_of(heats: Sequence[Heat]) -> dict[str, float]:
    """Cores kept busy, on average over the rounds."""
    return {name: fmean(heat.busy[name] for heat in heats) for name in heats[0].busy}
