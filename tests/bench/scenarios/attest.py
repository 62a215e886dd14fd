"""Attesting by API: lock, facts, latest results, audit and commit for each, beside one INSERT and commit for each."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.bench import bare_handler
from tests.bench.comparison import Side, busy_of, compare, processor_checks, profile_load, rates, series_of
from tests.bench.deliveries import SECRET, signed
from tests.bench.figures import ratio_of_medians
from tests.bench.load import MARKER, post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import TRAILS, Prepared, install
from tests.bench.testbed import ADMIN_KEY, BASELINE, Testbed, execute

NAME = "attest"
CONNECTIONS = 16
SUITES = ("unit", "integration", "contract", "browser", "load", "smoke", "licences", "secrets")
"""Each trail gets one attestation after the other under these names, then new ones of the same names."""
OURS, INSERT = "Trailgate", "(b) verify, INSERT, commit"


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Both get bodies of the same bytes."""
    ours_url, bare_url = install(testbed), testbed.fresh(BASELINE, "template0")
    execute(bare_url, bare_handler.SCHEMA)
    ours = _requests(testbed.home / "attest", prepared)
    bare = write_requests(testbed.home / "bare", [post("/", signed("push", one, MARKER), one) for one in _bodies()])
    clear_bare = partial(execute, bare_url, "TRUNCATE arrivals")
    with testbed.api(ours_url) as api, testbed.baseline("bare_handler", SECRET, bare_url) as insert:
        sides = {OURS: Side(api, ours, lambda: None), INSERT: Side(insert, bare, clear_bare)}
        found = compare(testbed, sides, CONNECTIONS, plan)
    ratio = ratio_of_medians(rates(found[OURS]), rates(found[INSERT]))
    return Outcome(
        NAME,
        f"one attestation a request, {CONNECTIONS} connections, {TRAILS} trails, one API process",
        series_of(found),
        [*processor_checks(found[OURS], 215, 85), Check.figure("rate against (b)", ratio, TIMES)],
        busy_of(found[OURS]),
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while recording."""
    return profile_load(testbed, install(testbed), _requests(testbed.home / "attest", prepared), CONNECTIONS, plan)


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
