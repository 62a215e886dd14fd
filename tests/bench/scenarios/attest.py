"""Attesting by API: lock, facts, heads, audit and commit for each, against one INSERT and commit for each."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.bench import bare_handler
from tests.bench.contest import Contender, busy_of, contest, profile_load, rates, series_of
from tests.bench.figures import ratio_of_medians
from tests.bench.load import MARKER, post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import SECRET, TRAILS, Prepared, install, signed
from tests.bench.stand import ADMIN_KEY, BASELINE, Stand, execute

NAME = "attest"
CONNECTIONS = 16
SUITES = ("unit", "integration", "contract", "browser", "load", "smoke", "licences", "secrets")
"""Each trail gets one attestation after the other under these names, then new ones of the same names."""
OURS, INSERT = "Trailgate", "(b) verify, INSERT, commit"


def run(stand: Stand, prepared: Prepared, plan: Plan) -> Outcome:
    """Both get bodies of the same bytes."""
    ours_url, bare_url = install(stand), stand.fresh(BASELINE, "template0")
    execute(bare_url, bare_handler.SCHEMA)
    ours = _requests(stand.home / "attest", prepared)
    bare = write_requests(stand.home / "bare", [post("/", signed("push", one, MARKER), one) for one in _bodies()])
    clear_bare = partial(execute, bare_url, "TRUNCATE arrivals")
    with stand.api(ours_url) as api, stand.baseline("bare_handler", SECRET, bare_url) as insert:
        contenders = {OURS: Contender(api, ours, lambda: None), INSERT: Contender(insert, bare, clear_bare)}
        found = contest(stand, contenders, CONNECTIONS, plan)
    ratio = ratio_of_medians(rates(found[OURS]), rates(found[INSERT]))
    return Outcome(
        NAME,
        f"one attestation a request, {CONNECTIONS} connections, {TRAILS} trails, one API process",
        series_of(found),
        (Check.at_least("against (b)", ratio, 0.6, TIMES),),
        busy_of(found[OURS]),
    )


def profile(stand: Stand, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while recording."""
    return profile_load(stand, install(stand), _requests(stand.home / "attest", prepared), CONNECTIONS, plan)


def _requests(file: Path, prepared: Prepared) -> Path:
    headers = {"Content-Type": "application/json", "X-Api-Key": ADMIN_KEY}
    paths = [f"/api/v1/trails/{trail_id}/attestations" for trail_id in prepared.trail_ids]
    return write_requests(file, [post(path, headers, body) for body in _bodies() for path in paths])


def _bodies() -> Sequence[bytes]:
    return [
        json.dumps(
            {
                "type": "TEST",
                "status": "PASSED",
                "name": f"{suite} tests",
                "details": "412 tests, 0 failures, 3 skipped in 48.2 s",
                "evidenceUrl": f"https://ci.example.com/northwind-labs/parcel-tracker/runs/13801245567/{suite}",
                "metadata": {"runner": "ubuntu-24.04", "attempt": 1, "coverage": 91.4, "shards": [1, 2, 3, 4]},
            }
        ).encode()
        for suite in SUITES
    ]
