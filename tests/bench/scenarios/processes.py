"""Accepting with two API processes on one port, beside accepting with one."""

import subprocess
from functools import partial

from tests.bench.comparison import (
    PER_REQUEST,
    POSTGRES,
    SERVER,
    Side,
    busy_of,
    compare,
    costs,
    rates,
    series_of,
)
from tests.bench.figures import Spread, ratio_of_medians
from tests.bench.machine import cores
from tests.bench.outcomes import TIMES, Check, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.scenarios.accept import CONNECTIONS, EMPTY_INBOX, pushes
from tests.bench.testbed import TRAILGATE, Testbed, execute
from tests.paths import ROOT

NAME = "processes"
OPTION = "--processes"
ONE, TWO = "one process", "two processes"
RATE, TOTAL = "rate, two against one", "processor time, server and PostgreSQL, {}"
_TITLE = f"a GitHub push, {CONNECTIONS} connections, `trailgate api {OPTION} 2` beside one process"


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Both serve the same database, and get the same requests in turn."""
    if not is_offered():
        return skipped()
    url = install(testbed)
    requests = pushes(testbed.home / "processes", prepared.webhook_path)
    clear = partial(execute, url, EMPTY_INBOX)
    with testbed.api(url) as one, testbed.api_processes(url, 2) as two:
        found = compare(testbed, {ONE: Side(one, requests, clear), TWO: Side(two, requests, clear)}, CONNECTIONS, plan)
    total = {name: Spread.of(costs(measured, SERVER, POSTGRES)).median for name, measured in found.items()}
    checks = [
        Check.figure(RATE, ratio_of_medians(rates(found[TWO]), rates(found[ONE])), TIMES),
        *(Check.figure(TOTAL.format(name), value, PER_REQUEST) for name, value in total.items()),
    ]
    note = f"PostgreSQL and wrk share the {cores()} cores of this machine with the processes that are measured."
    return Outcome(NAME, _TITLE, series_of(found), checks, busy_of(found[TWO]), [note])


def is_offered() -> bool:
    """Whether this version can run several processes."""
    told = subprocess.run([*TRAILGATE, "api", "--help"], capture_output=True, text=True, check=False, cwd=ROOT)
    return OPTION in told.stdout


def skipped() -> Outcome:
    """What is reported without the option."""
    note = f"Skipped: `trailgate api` has no option `{OPTION}` in this version."
    return Outcome(NAME, _TITLE, [], [Check.figure(RATE, None, TIMES)], notes=[note])
