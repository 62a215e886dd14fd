"""What becomes of reading snapshots, differences and drift when an environment has a thousand times as many."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from uuid import UUID

from tests.bench.asking import Question, times_of
from tests.bench.figures import ratio_of_medians
from tests.bench.fleet import ARTIFACTS, make_environment, opened
from tests.bench.outcomes import TIMES, Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, bench_settings
from tests.bench.seed_history import fill_environment
from tests.bench.testbed import TEMPLATE, Testbed, execute, fetch_value

NAME = "snapshots"
SHARE = 1000
GROWTH = 1.5
FEW, MANY = "bench_few", "bench_many"
NOT_ANALYZED, ANALYZED = "before ANALYZE", "after ANALYZE"
_LABELS = {FEW: "few", MANY: "many"}
_TIME = """
SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') FROM snapshots WHERE n = {}
"""

Found = Mapping[str, Mapping[str, Sequence[float]]]
"""Times by question and database."""


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Every question goes to one database and the other in turn: first with old statistics, then with new ones."""
    sizes = {FEW: plan.snapshots // SHARE, MANY: plan.snapshots}
    urls = {name: testbed.fresh(name, TEMPLATE) for name in sizes}
    environments = {name: asyncio.run(_filled(testbed, prepared, urls[name], size)) for name, size in sizes.items()}
    testbed.settle()
    questions = _questions(urls, environments, sizes)
    found = {}
    with ExitStack() as running:
        apis = {name: running.enter_context(testbed.api(url)) for name, url in urls.items()}
        found[NOT_ANALYZED] = times_of(apis, questions, plan.rounds)
        for url in urls.values():
            execute(url, "ANALYZE")
        found[ANALYZED] = times_of(apis, questions, plan.rounds)
    return Outcome(
        NAME,
        f"{sizes[MANY]:,} snapshots of {ARTIFACTS} artifacts in one environment, against {sizes[FEW]:,}",
        [series for when, times in found.items() for series in _series(when, times)],
        [check for when, times in found.items() for check in _checks(when, times)],
    )


async def _filled(testbed: Testbed, prepared: Prepared, url: str, snapshots: int) -> UUID:
    settings = bench_settings(testbed, url)
    async with opened(settings, 2) as database:
        environment = await make_environment(database, prepared, 0)
    await fill_environment(url, environment.id, snapshots)
    return environment.id


def _questions(
    urls: Mapping[str, str], environments: Mapping[str, UUID], sizes: Mapping[str, int]
) -> dict[str, dict[str, Question]]:
    """By what they ask, then by database: each is asked for what it has."""
    times = {name: fetch_value(url, _TIME.format(sizes[name] // 2)) for name, url in urls.items()}
    paths = {
        "an old snapshot": lambda _: "snapshots/2",
        "a new snapshot": lambda name: f"snapshots/{sizes[name] - 1}",
        "the latest snapshot": lambda _: "snapshots/latest",
        "the snapshot at a time": lambda name: f"snapshots/latest?at={times[name]}",
        "the difference of two": lambda name: f"diff?from=2&to={sizes[name] - 1}",
        "the drift": lambda _: "drift",
    }
    return {
        what: {name: Question(f"/api/v1/environments/{environments[name]}/{path(name)}") for name in urls}
        for what, path in paths.items()
    }


def _checks(when: str, found: Found) -> list[Check]:
    return [
        Check.at_most(f"{what}, {when}: many against few", ratio_of_medians(times[MANY], times[FEW]), GROWTH, TIMES)
        for what, times in found.items()
    ]


def _series(when: str, found: Found) -> list[Series]:
    return [
        Series(f"{what}, {when}: {_LABELS[name]}", "ms", values)
        for what, times in found.items()
        for name, values in times.items()
    ]
