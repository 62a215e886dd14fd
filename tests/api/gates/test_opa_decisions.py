"""Evaluations by OPA bundles on the wire, and what is kept of them."""

import hashlib
import io
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psutil
import pytest

from api.gates.opa_evaluators import OPA_EVALUATORS
from api.http.calls import SERVICES
from tests.api.caller import DIGEST, Caller, make_holder, unique
from tests.api.gates.opa import GOOD, evaluate, make_active, upload
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_without_an_active_bundle_there_is_none(api: Caller) -> None:
    await upload(api)
    await evaluate(api, 404)
    await evaluate(api, 404, bundle="release")


async def test_the_bundle_that_was_activated_last_decides(api: Caller) -> None:
    first = await make_active(api, "package a\nallow = true")
    second = await make_active(api, "package a\nallow = false")
    assert (await evaluate(api))["bundleId"] == second["id"]
    assert (await evaluate(api, bundle=first["name"]))["resultAllow"] is True


async def test_a_decision_is_kept(api: Caller) -> None:
    bundle = await make_active(api, version="1.4.0")
    made = await evaluate(
        api, bundle=bundle["name"], orgSlug=api.tenant.org_slug, attestations=[{"type": "trivy", "status": "FAILED"}]
    )
    assert_times(made, "evaluatedAt")
    given = json.loads(made["inputJson"])
    assert given == {
        "artifactName": "app",
        "artifactVersion": None,
        "environment": None,
        "attestations": [{"type": "trivy", "status": "FAILED"}],
        "approvalStatus": "APPROVED",
    }
    assert {name: value for name, value in made.items() if name not in {"id", "evaluatedAt", "inputJson"}} == {
        "bundleId": bundle["id"],
        "bundleName": bundle["name"],
        "bundleVersion": "1.4.0",
        "bundleSha256": bundle["sha256"],
        "inputDigest": hashlib.sha256(made["inputJson"].encode()).hexdigest(),
        "resultAllow": False,
        "denyReasons": ["trivy failed"],
        "orgSlug": api.tenant.org_slug,
    }
    assert (await api.get(f"/opa/decisions/{made['id']}")).json == made
    [event] = (await api.get("/audit?size=1")).json["events"]
    assert event["eventType"] == "POLICY_EVALUATED"


async def test_decisions_are_listed_newest_first(api: Caller) -> None:
    bundle = await make_active(api)
    made = [
        (await evaluate(api, bundle=bundle["name"], approvalStatus=status))["id"]
        for status in ("APPROVED", "REJECTED", "APPROVED")
    ]
    path = f"/opa/decisions?bundleId={bundle['id']}"
    assert [one["id"] for one in (await api.get(path)).json] == made[::-1]
    assert [one["id"] for one in (await api.get(f"{path}&allow=false")).json] == [made[1]]
    page = await api.get(f"{path}&size=2")
    assert [one["id"] for one in page.json] == made[:0:-1]
    assert page.headers["X-Total-Count"] == "3"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"artifactName": None}, "artifactName"),
        ({"input": {"artifactName": "x"}}, "input.artifactName"),
        ({"attestations": "none"}, "attestations"),
        ({"trailId": "1", "artifactName": None}, "trailId"),
        ({"artifactDigest": "sha256:1"}, "artifactDigest"),
    ],
)
async def test_a_bad_input_is_refused(api: Caller, fields: dict[str, Any], field: str) -> None:
    bundle = await make_active(api)
    answer = await api.send("POST", "/opa/evaluate", json={**GOOD, "bundle": bundle["name"], **fields})
    assert (answer.status, answer.fields) == (400, [field])


async def test_further_input_is_taken(api: Caller) -> None:
    bundle = await make_active(api, "package a\nallow { input.criticalVulnerabilities <= 3 }")
    name = bundle["name"]
    assert (await evaluate(api, bundle=name, input={"criticalVulnerabilities": 3}))["resultAllow"] is True
    denied = await evaluate(api, bundle=name, input={"criticalVulnerabilities": 4})
    assert denied["denyReasons"] == [f"data.a.allow is not true in the policy bundle {name} 1"]


async def test_the_input_is_built_from_stored_facts(api: Caller) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    await api.report_artifact(trail["id"])
    await api.attest(trail["id"], "trivy", "FAILED")
    await api.attest(trail["id"], "trivy", "PASSED")
    await api.attest(trail["id"], "unit-tests", "FAILED", name="fast")
    bundle = await make_active(
        api, 'package a\ndeny[m] { a := input.attestations[_]; a.status == "FAILED"; m := a.name }'
    )
    made = await evaluate(api, bundle=bundle["name"], trailId=trail["id"], artifactDigest=DIGEST.upper())
    assert (made["resultAllow"], made["denyReasons"]) == (False, ["fast"])
    given = json.loads(made["inputJson"])
    assert given.pop("trail")["id"] == trail["id"]
    assert given == {
        "artifactName": "app",
        "artifactVersion": "1.0",
        "artifactDigest": DIGEST,
        "environment": None,
        "approvalStatus": "NONE",
        "provenanceStatus": "NO_PROVENANCE",
        "attestations": [
            {"type": "trivy", "name": given["attestations"][0]["name"], "status": "PASSED", "artifactDigest": None},
            {"type": "unit-tests", "name": "fast", "status": "FAILED", "artifactDigest": None},
        ],
        "flow": {"id": flow["id"], "name": flow["name"]},
    }
    again = await evaluate(api, bundle=bundle["name"], trailId=trail["id"], artifactDigest=DIGEST)
    assert again["inputDigest"] == made["inputDigest"]


async def test_stored_facts_are_not_stated(api: Caller) -> None:
    bundle, trail = await make_active(api), await api.make_trail((await api.make_flow())["id"])
    stated: dict[str, Any] = {"artifactName": "x", "approvalStatus": "APPROVED", "attestations": [], "input": {"x": 1}}
    for name, value in stated.items():
        await evaluate(api, 400, bundle=bundle["name"], trailId=trail["id"], **{name: value})


async def test_unknown_facts_are_not_found(api: Caller) -> None:
    bundle, trail = await make_active(api), await api.make_trail((await api.make_flow())["id"])
    await evaluate(api, 404, bundle=bundle["name"], trailId=str(uuid4()))
    await evaluate(api, 404, bundle=bundle["name"], artifactDigest="e" * 64)
    await evaluate(api, 404, bundle=bundle["name"], trailId=trail["id"], artifactDigest="e" * 64)
    await evaluate(api, 404, bundle=bundle["name"], trailId=trail["id"], environment=unique("nowhere"))
    await evaluate(api, 404, bundle=bundle["name"], orgSlug="another")


@pytest.mark.parametrize(
    ("rego", "said"),
    [
        ("allow { a := numbers.range(1, 3000); x := a[_]; y := a[_]; z := a[_]; x + y == z + 9000 }", "took too long"),
        ("allow { json.unmarshal(input.artifactName) == 1 }", "failed to parse JSON"),
        ('deny[m] { m := {"a": [1]} }', '{"a": [1]}'),
    ],
)  # fmt: skip
async def test_a_policy_that_fails_denies_and_the_next_one_decides(api: Caller, rego: str, said: str) -> None:
    hostile, good = await make_active(api, f"package a\n{rego}"), await make_active(api)
    denied = await evaluate(api, bundle=hostile["name"])
    assert denied["resultAllow"] is False
    assert said in denied["denyReasons"][0]
    assert (await evaluate(api, bundle=good["name"]))["resultAllow"] is True


async def test_reasons_are_bounded(api: Caller) -> None:
    rego = 'package a\ndeny[m] { x := numbers.range(1, 150)[_]; m := sprintf("%d %s", [x, input.long]) }'
    bundle = await make_active(api, rego)
    reasons = (await evaluate(api, bundle=bundle["name"], input={"long": "x" * 2000}))["denyReasons"]
    assert (len(reasons), reasons[-1]) == (101, "and 50 more reasons")
    assert {len(one) for one in reasons[:-1]} == {1001}


async def test_too_large_an_input_is_refused(api: Caller) -> None:
    bundle = await make_active(api)
    body = json.dumps({**GOOD, "bundle": bundle["name"], "input": {"long": "x" * (1 << 20)}}).encode()
    await api.post("/opa/evaluate", None, 413, data=io.BytesIO(body), headers={"Content-Type": "application/json"})


async def test_a_dry_run_keeps_nothing(api: Caller) -> None:
    bundle = await make_active(api)
    answer = await api.post("/opa/evaluate", {**GOOD, "bundle": bundle["name"]}, 200, headers={"X-Dry-Run": "true"})
    assert answer.json["wouldCreate"]["resultAllow"] is True
    assert (await api.get(f"/opa/decisions?bundleId={bundle['id']}")).json == []


async def test_a_key_with_scopes_evaluates_what_is_within_them(api: Caller) -> None:
    bundle, flow, other = await make_active(api), await api.make_flow(), await api.make_flow()
    within, outside = [await api.make_trail(one["id"]) for one in (flow, other)]
    services = api.client.app[SERVICES]
    scoped = replace(api, key=(await make_holder(services, api.tenant, "admin", scopes=[f"flow:{flow['id']}"])).key)
    assert (await evaluate(scoped, bundle=bundle["name"], trailId=within["id"]))["resultAllow"] is False
    await evaluate(scoped, 404, bundle=bundle["name"], trailId=outside["id"])
    await evaluate(scoped, 403, bundle=bundle["name"])
    await scoped.get("/opa/bundles", 403)
    await scoped.get("/opa/decisions", 403)


async def test_the_processes_end_with_the_application(api: Caller) -> None:
    await make_active(api)
    await evaluate(api)
    evaluators = api.client.app[OPA_EVALUATORS]

    def running() -> int:
        return sum("integrations.opa" in " ".join(one.cmdline()) for one in psutil.Process().children())

    assert running() >= 1
    await evaluators.close()
    assert running() == 0
    await evaluate(api)
