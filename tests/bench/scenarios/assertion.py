"""Asserting by API, each answer a kept verdict with its audit event, beside a bare SELECT by primary key."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench import bare_select
from tests.bench.comparison import Side, busy_of, compare, processor_checks, profile_load, rates, series_of
from tests.bench.figures import ratio_of_medians
from tests.bench.load import post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.testbed import ADMIN_KEY, BASELINE, Testbed, execute

NAME = "assert"
CONNECTIONS = 16
OURS, BARE = "Trailgate", "bare SELECT"
_JSON = {"Content-Type": "application/json"}


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Both get bodies of the same bytes."""
    bare_url = testbed.fresh(BASELINE, "template0")
    execute(bare_url, *bare_select.SCHEMA.split("; "))
    ours = _requests(testbed.home / "assert", prepared)
    bare = write_requests(testbed.home / "bare", [post("/", _JSON, body) for body in _bodies(prepared)])
    with testbed.api(install(testbed)) as api, testbed.baseline("bare_select", bare_url) as select:
        sides = {OURS: Side(api, ours, _nothing), BARE: Side(select, bare, _nothing)}
        found = compare(testbed, sides, CONNECTIONS, plan)
    ratio = ratio_of_medians(rates(found[OURS]), rates(found[BARE]))
    return Outcome(
        NAME,
        f"one assertion with its verdict and audit event a request, {CONNECTIONS} connections, one API process",
        series_of(found),
        [*processor_checks(found[OURS], 220, 80), Check.figure("rate against a bare SELECT", ratio, TIMES)],
        busy_of(found[OURS]),
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while deciding."""
    return profile_load(testbed, install(testbed), _requests(testbed.home / "assert", prepared), CONNECTIONS, plan)


def _nothing() -> None:
    """Verdicts may pile up: that they cost nothing later is what is claimed."""


def _requests(file: Path, prepared: Prepared) -> Path:
    headers = _JSON | {"X-Api-Key": ADMIN_KEY}
    return write_requests(file, [post("/api/v1/assert", headers, body) for body in _bodies(prepared)])


def _bodies(prepared: Prepared) -> Sequence[bytes]:
    flow = str(prepared.flow_id)
    return [json.dumps({"flowId": flow, "sha256Digest": digest}).encode() for digest in prepared.digests]
