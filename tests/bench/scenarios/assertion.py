"""Asserting by API, each answer a kept verdict with its audit event, against a bare SELECT by primary key."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.bench import bare_select
from tests.bench.contest import Contender, busy_of, contest, profile_load, rates, series_of
from tests.bench.figures import ratio_of_medians
from tests.bench.load import post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared, install
from tests.bench.stand import ADMIN_KEY, BASELINE, Stand, execute

NAME = "assert"
CONNECTIONS = 16
OURS, BARE = "Trailgate", "bare SELECT"
_JSON = {"Content-Type": "application/json"}


def run(stand: Stand, prepared: Prepared, plan: Plan) -> Outcome:
    """Both get bodies of the same bytes."""
    bare_url = stand.fresh(BASELINE, "template0")
    execute(bare_url, *bare_select.SCHEMA.split("; "))
    ours = _requests(stand.home / "assert", prepared)
    bare = write_requests(stand.home / "bare", [post("/", _JSON, body) for body in _bodies(prepared)])
    with stand.api(install(stand)) as api, stand.baseline("bare_select", bare_url) as select:
        contenders = {OURS: Contender(api, ours, _nothing), BARE: Contender(select, bare, _nothing)}
        found = contest(stand, contenders, CONNECTIONS, plan)
    ratio = ratio_of_medians(rates(found[OURS]), rates(found[BARE]))
    return Outcome(
        NAME,
        f"one assertion with its verdict and audit event a request, {CONNECTIONS} connections, one API process",
        series_of(found),
        (Check.at_least("against a bare SELECT", ratio, 0.4, TIMES),),
        busy_of(found[OURS]),
    )


def profile(stand: Stand, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while deciding."""
    return profile_load(stand, install(stand), _requests(stand.home / "assert", prepared), CONNECTIONS, plan)


def _nothing() -> None:
    """Verdicts may pile up: that they cost nothing later is what is claimed."""


def _requests(file: Path, prepared: Prepared) -> Path:
    headers = _JSON | {"X-Api-Key": ADMIN_KEY}
    return write_requests(file, [post("/api/v1/assert", headers, body) for body in _bodies(prepared)])


def _bodies(prepared: Prepared) -> Sequence[bytes]:
    flow = str(prepared.flow_id)
    return [json.dumps({"flowId": flow, "sha256Digest": digest}).encode() for digest in prepared.digests]
