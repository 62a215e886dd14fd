"""Reporting what runs in many environments every minute, beside bare loops that insert."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

from cli.embedded.testing import seal_template
from tests.bench import bare_reporter
from tests.bench.comparison import Side, compare, rates
from tests.bench.cue import POSTGRES, PROCESS, Worked, run_on_cue
from tests.bench.figures import Spread, ratio_of_medians
from tests.bench.fleet import ARTIFACTS, CONNECTIONS, make_fleet, runs
from tests.bench.load import post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.product import Prepared, bench_settings, install
from tests.bench.profiles import hottest
from tests.bench.reporter import PERIOD
from tests.bench.rounds import alternate
from tests.bench.testbed import ADMIN_KEY, BASELINE, TEMPLATE, Testbed, execute, fetch_value
from tests.paths import ROOT

NAME = "reports"
AGAINST_INSERT = 0.3
OURS, HTTP = "Trailgate", "Trailgate, over HTTP"
BARE, SMALL = "bare INSERT of the artifacts", "bare INSERT of a small row"
PER_REPORT = "µs/report"
_ENVIRONMENTS = "SELECT array_agg(id ORDER BY name) FROM environments"
_NOTE = (
    "Minutes are simulated: the clock moves on by one when all environments are reported. One in "
    f"{PERIOD} reports has a new version of one artifact: a deployment, and drift from the baseline. The others "
    f"change nothing. Over HTTP, {CONNECTIONS} clients send reports that change nothing, and get the whole snapshot in "
    "return. The database is analyzed before, as autovacuum would do in operation."
)


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Reports are recorded by a process of their own in turn with the bare loop, then come over HTTP."""
    template = _template(testbed, prepared, plan.environments)
    count = plan.environments * plan.minutes
    sides = {
        BARE: partial(_insert, testbed, count, ARTIFACTS),
        SMALL: partial(_insert, testbed, count, 0),
        OURS: partial(_report, testbed, plan, template),
    }
    found = alternate(sides, plan.rounds)
    speed = {name: [count / one.seconds for one in worked] for name, worked in found.items()}
    speed[HTTP] = _rates_over_http(testbed, plan, template)
    return Outcome(
        NAME,
        f"{plan.environments} environments of {ARTIFACTS} artifacts, {plan.minutes} reports of each, "
        f"{CONNECTIONS} database connections",
        _series(speed, found, count),
        _checks(speed, found[OURS], count),
        {name: fmean(one.busy[name] for one in found[OURS]) for name in found[OURS][0].busy},
        [_NOTE],
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the process spends its time that records reports."""
    output = testbed.home / "reports.profile"
    _report(testbed, plan, _template(testbed, prepared, plan.environments), output)
    return hottest(output, ROOT)


def _checks(speed: Mapping[str, Sequence[float]], ours: Sequence[Worked], count: int) -> list[Check]:
    against = ratio_of_medians(speed[OURS], speed[BARE])
    costs = {who: Spread.of(_costs(ours, who, count)).median for who in (PROCESS, POSTGRES)}
    return [
        Check.at_least(f"rate against the {BARE}", against, AGAINST_INSERT, TIMES),
        Check.figure(f"rate against the {SMALL}", ratio_of_medians(speed[OURS], speed[SMALL]), TIMES),
        *(Check.figure(f"processor time, {who}", cost, PER_REPORT) for who, cost in costs.items()),
        Check.figure("rate over HTTP", Spread.of(speed[HTTP]).median, "/s"),
    ]


def _series(
    speed: Mapping[str, Sequence[float]], found: Mapping[str, Sequence[Worked]], count: int
) -> Sequence[Series]:
    return [
        *(Series(name, "reports/s", rates) for name, rates in speed.items()),
        *(
            Series(f"{name}: processor time, {who}", PER_REPORT, _costs(worked, who, count))
            for name, worked in found.items()
            for who in (PROCESS, POSTGRES)
        ),
    ]


def _costs(found: Sequence[Worked], who: str, count: int) -> list[float]:
    return [one.cost(who, count) for one in found]


def _insert(testbed: Testbed, count: int, artifacts: int) -> Worked:
    url = testbed.fresh(BASELINE, "template0")
    execute(url, bare_reporter.SCHEMA)
    testbed.settle()
    return run_on_cue(
        "tests.bench.bare_reporter", [url, *map(str, (count, CONNECTIONS, artifacts))], testbed.postgres_pid
    )


def _report(testbed: Testbed, plan: Plan, template: str, output: Path | None = None) -> Worked:
    settings = bench_settings(testbed, install(testbed, template))
    testbed.settle()
    words = [str(settings.database_url), str(settings.data_dir), str(plan.minutes)]
    return run_on_cue("tests.bench.reporter", words, testbed.postgres_pid, output)


def _rates_over_http(testbed: Testbed, plan: Plan, template: str) -> list[float]:
    url = install(testbed, template)
    headers = {"Content-Type": "application/json", "X-Api-Key": ADMIN_KEY}
    requests = [
        post(f"/api/v1/environments/{environment}/snapshots", headers, _body(number))
        for number, environment in enumerate(fetch_value(url, _ENVIRONMENTS))
    ]
    file = write_requests(testbed.home / "reports", requests)
    with testbed.api(url) as api:
        return rates(compare(testbed, {HTTP: Side(api, file, _nothing)}, CONNECTIONS, plan)[HTTP])


def _body(number: int) -> bytes:
    lines = [
        {"artifactSha256": one.digest, "artifactName": one.name, "artifactTag": one.tag, "instanceCount": count}
        for one, count in runs(number, 0).items()
    ]
    return json.dumps({"recordedBy": "cluster-reporter", "artifacts": lines}).encode()


def _nothing() -> None:
    """Snapshots may pile up: that they cost nothing later is what `snapshots` measures."""


def _template(testbed: Testbed, prepared: Prepared, environments: int) -> str:
    """A template like the usual one with so many environments; made once."""
    name = f"{TEMPLATE}_environments_{environments}"
    if not fetch_value(testbed.admin_url, f"SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}')"):
        url = testbed.fresh(name, TEMPLATE)
        asyncio.run(make_fleet(bench_settings(testbed, url), prepared, environments))
        execute(url, "ANALYZE")
        testbed.settle()
        asyncio.run(seal_template(testbed.admin_url, name))
    return name
