"""Accepting: GitHub pushes at the webhook endpoint, beside a handler that only verifies, and one that also inserts."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tests.bench import bare_handler
from tests.bench.comparison import (
    POSTGRES,
    SERVER,
    Measurement,
    Side,
    busy_of,
    compare,
    costs,
    processor_checks,
    profile_load,
    rates,
    series_of,
)
from tests.bench.deliveries import SECRET, push, signed
from tests.bench.figures import ratio_of_medians
from tests.bench.load import MARKER, SIGNATURE, post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.testbed import BASELINE, Testbed, execute

NAME = "accept"
CONNECTIONS = 32
EMPTY_INBOX = "TRUNCATE deliveries, inbox, inbox_bodies"
OURS, VERIFY, INSERT = "Trailgate", "(a) verify only", "(b) verify, INSERT, commit"


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """No worker runs: what is measured is receiving deliveries, not working on them."""
    ours_url, bare_url = install(testbed), testbed.fresh(BASELINE, "template0")
    execute(bare_url, bare_handler.SCHEMA)
    ours = pushes(testbed.home / "accept", prepared.webhook_path)
    bare = pushes(testbed.home / "bare", "/")
    clear_ours = partial(execute, ours_url, EMPTY_INBOX)
    clear_bare = partial(execute, bare_url, "TRUNCATE arrivals")
    with (
        testbed.api(ours_url) as api,
        testbed.baseline("bare_handler", SECRET) as verify,
        testbed.baseline("bare_handler", SECRET, bare_url) as insert,
    ):
        sides = {
            OURS: Side(api, ours, clear_ours),
            VERIFY: Side(verify, bare, clear_bare),
            INSERT: Side(insert, bare, clear_bare),
        }
        found = compare(testbed, sides, CONNECTIONS, plan)
    return Outcome(
        NAME,
        f"a {len(push()) / 1000:.1f} KB GitHub push, {CONNECTIONS} connections, one API process",
        series_of(found),
        _checks(found),
        busy_of(found[OURS]),
    )


def _checks(found: Mapping[str, Sequence[Measurement]]) -> list[Check]:
    speed = {name: rates(measured) for name, measured in found.items()}
    total = {name: costs(measured, SERVER, POSTGRES) for name, measured in found.items()}
    return [
        *processor_checks(found[OURS], 125, 45),
        Check.at_most("processor time, both, against (b)", ratio_of_medians(total[OURS], total[INSERT]), 0.8, TIMES),
        Check.figure("rate against (b)", ratio_of_medians(speed[OURS], speed[INSERT]), TIMES),
        Check.figure("rate against (a)", ratio_of_medians(speed[OURS], speed[VERIFY]), TIMES),
    ]


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while accepting."""
    return profile_load(
        testbed, install(testbed), pushes(testbed.home / "accept", prepared.webhook_path), CONNECTIONS, plan
    )


def pushes(file: Path, path: str) -> Path:
    """Pushes to a path, kept in a file for wrk: each with a body of its own, as an equal body would be a copy."""
    body = push(MARKER)
    return write_requests(file, [post(path, signed("push", body, MARKER, SIGNATURE), body)], SECRET)
