"""Asking the gate by API, each answer a kept verdict with its audit event, beside a bare SELECT by primary key."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.bench import bare_select
from tests.bench.comparison import Side, busy_of, compare, profile_load, rates, series_of
from tests.bench.figures import ratio_of_medians
from tests.bench.load import post, write_requests
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome
from tests.bench.plan import Plan
from tests.bench.product import Prepared, bench_settings, create
from tests.bench.seed import PER_TRAIL, Place, seed, shown
from tests.bench.testbed import ADMIN_KEY, BASELINE, TEMPLATE, Testbed, execute

NAME = "gate"
CONNECTIONS = 16
AGAINST_SELECT = 0.35
SHARE = 1_000
ASKED = 100
"""Different artifacts; the small database has no more."""
SMALL, LARGE = "bench_small", "bench_large"
OURS, OURS_SMALL, BARE = "Trailgate", f"Trailgate, a {SHARE:,}th of the attestations", "bare SELECT"
ENVIRONMENT = "production"
YAML = """
artifacts:
  trail-compliance: {required: true}
  attestations:
    - {name: suite 2, type: TEST}
    - {name: pen-test, type: pen-test, if: flow.tags.tier == "gold"}
"""
_JSON = {"Content-Type": "application/json"}
_APPROVED = """
INSERT INTO approval_outcomes (id, org_id, trail_id, resolution, roles, resolved_at, record_id)
SELECT uuidv7(), org_id, id, 'APPROVED', '{}', created_at, uuidv7() FROM trails
"""


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Three policies, ten attestations and one approval decide, in a large and in a small database."""
    bare_url = testbed.fresh(BASELINE, "template0")
    execute(bare_url, *bare_select.SCHEMA.split("; "))
    small = _seeded(testbed, prepared, SMALL, max(ASKED, plan.trails // SHARE))
    large = _seeded(testbed, prepared, LARGE, plan.trails)
    ours = _requests(testbed.home / "gate")
    bare = write_requests(testbed.home / "bare", [post("/", _JSON, body) for body in _bodies()])
    with ExitStack() as running:
        apis = [running.enter_context(testbed.api(url)) for url in (large, small)]
        for api in apis:
            _make_policies(api.url, prepared)
        select = running.enter_context(testbed.baseline("bare_select", bare_url))
        sides = {
            OURS: Side(apis[0], ours, _nothing),
            OURS_SMALL: Side(apis[1], ours, _nothing),
            BARE: Side(select, bare, _nothing),
        }
        found = compare(testbed, sides, CONNECTIONS, plan)
    against = partial(ratio_of_medians, rates(found[OURS]))
    return Outcome(
        NAME,
        f"one decision by 3 policies, {PER_TRAIL} attestations and an approval a request, with its verdict and audit "
        f"event, among {plan.trails * PER_TRAIL:,} attestations, {CONNECTIONS} connections, one API process",
        series_of(found),
        [
            Check.at_least("rate against a bare SELECT", against(rates(found[BARE])), AGAINST_SELECT, TIMES),
            Check.at_least("large against small", against(rates(found[OURS_SMALL])), 0.9, TIMES),
        ],
        busy_of(found[OURS]),
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the API process spends its time while deciding."""
    url = _seeded(testbed, prepared, SMALL, ASKED)
    with testbed.api(url) as api:
        _make_policies(api.url, prepared)
    return profile_load(testbed, url, _requests(testbed.home / "gate"), CONNECTIONS, plan)


def _nothing() -> None:
    """Verdicts may pile up: that they cost nothing later is what is claimed."""


def _seeded(testbed: Testbed, prepared: Prepared, name: str, trails: int) -> str:
    """A database with so many trails, each with an artifact, its attestations and an approval."""
    url = testbed.fresh(name, TEMPLATE)
    place = Place(prepared.org_id, prepared.flow_id, prepared.principal_id)
    asyncio.run(seed(bench_settings(testbed, url), place, trails, shown))
    execute(url, _APPROVED, "ANALYZE approval_outcomes")
    return url


def _make_policies(url: str, prepared: Prepared) -> None:
    """One is attached to the environment, one is of the flow, and one of both."""
    environment = create(url, "/api/v1/environments", {"name": ENVIRONMENT})
    attached = create(url, "/api/v1/policies", {"name": "attached", "requiredAttestations": ["BUILD", "TEST"]})
    create(url, "/api/v1/policy-attachments", {"policyId": attached["id"], "environmentId": environment["id"]})
    of_flow = {"flowId": str(prepared.flow_id)}
    create(url, "/api/v1/deployment-policies", {"name": "file", "policyYaml": YAML, **of_flow})
    approved = {"name": "approved", "enforceApprovals": True, "environmentId": environment["id"]}
    create(url, "/api/v1/deployment-policies", {**approved, **of_flow})
    _check_allowed(create(url, "/api/v1/gate/evaluate", json.loads(_bodies()[0])))


def _check_allowed(answer: Mapping[str, Any]) -> None:
    """Refuse to measure anything but decisions by all three policies."""
    if not answer["allowed"] or answer["policiesEvaluated"] != 3:
        raise ValueError(f"the gate decides otherwise than it was prepared to: {answer['reason']}")


def _requests(file: Path) -> Path:
    headers = _JSON | {"X-Api-Key": ADMIN_KEY}
    return write_requests(file, [post("/api/v1/gate/evaluate", headers, body) for body in _bodies()])


def _bodies() -> Sequence[bytes]:
    digests = ["sha256:" + sha256(f"artifact {number}".encode()).hexdigest() for number in range(ASKED)]
    return [json.dumps({"artifactSha256": one, "environment": ENVIRONMENT}).encode() for one in digests]
