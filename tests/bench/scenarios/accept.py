"""Accepting: GitHub pushes at the front door, against a handler that only verifies, and one that also inserts."""

from functools import partial
from pathlib import Path

from tests.bench import bare_handler
from tests.bench.contest import Contender, busy_of, contest, profile_load, rates, series_of
from tests.bench.figures import ratio_of_medians
from tests.bench.load import MARKER, post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import SECRET, Prepared, install, push, signed
from tests.bench.stand import BASELINE, Stand, execute

NAME = "accept"
CONNECTIONS = 32
OURS, VERIFY, INSERT = "Trailgate", "(a) verify only", "(b) verify, INSERT, commit"


def run(stand: Stand, prepared: Prepared, plan: Plan) -> Outcome:
    """No worker runs: what is measured is the promise, not its fulfilment."""
    ours_url, bare_url = install(stand), stand.fresh(BASELINE, "template0")
    execute(bare_url, bare_handler.SCHEMA)
    ours, bare = _requests(stand.home / "accept", prepared.webhook_path), _requests(stand.home / "bare", "/")
    clear_ours = partial(execute, ours_url, "TRUNCATE deliveries, inbox, inbox_bodies")
    clear_bare = partial(execute, bare_url, "TRUNCATE arrivals")
    with (
        stand.api(ours_url) as api,
        stand.baseline("bare_handler", SECRET) as verify,
        stand.baseline("bare_handler", SECRET, bare_url) as insert,
    ):
        contenders = {
            OURS: Contender(api, ours, clear_ours),
            VERIFY: Contender(verify, bare, clear_bare),
            INSERT: Contender(insert, bare, clear_bare),
        }
        found = contest(stand, contenders, CONNECTIONS, plan)
    speed = {name: rates(heats) for name, heats in found.items()}
    checks = (
        Check.at_least("against (b)", ratio_of_medians(speed[OURS], speed[INSERT]), 2.5, TIMES),
        Check.at_least("against (a)", ratio_of_medians(speed[OURS], speed[VERIFY]), 0.5, TIMES, aim=True),
    )
    return Outcome(
        NAME,
        f"a {len(push()) / 1000:.1f} KB GitHub push, {CONNECTIONS} connections, one API process",
        series_of(found),
        checks,
        busy_of(found[OURS]),
    )


def profile(stand: Stand, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while accepting."""
    return profile_load(
        stand, install(stand), _requests(stand.home / "accept", prepared.webhook_path), CONNECTIONS, plan
    )


def _requests(file: Path, path: str) -> Path:
    body = push()
    return write_requests(file, [post(path, signed("push", body, MARKER), body)])
