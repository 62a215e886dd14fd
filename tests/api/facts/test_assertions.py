"""Assertions over the wire."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from storage.services import Services
from tests.api.caller import Caller, found_organisation
from tests.api.test_statements import statements

pytestmark = pytest.mark.asyncio(loop_scope="session")

DIGEST = "sha256:" + "5d" * 32


async def ask(api: Caller, flow: Mapping[str, Any], digest: str = DIGEST, **request: Any) -> Any:
    return (await api.post("/assert", {"flowId": flow["id"], "sha256Digest": digest}, 200, **request)).json


async def built(api: Caller, flow: Mapping[str, Any], name: str = "app", digest: str = DIGEST) -> str:
    """A new trail of the flow that reports the artifact."""
    trail = await api.make_trail(flow["id"])
    body = {"name": name, "tag": "1", "sha256Digest": digest}
    await api.post(f"/trails/{trail['id']}/artifacts", body)
    return str(trail["id"])


async def test_everything_required_passed(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD", "TEST"])
    trail = await built(api, flow)
    build, test = await api.attest(trail, "BUILD"), await api.attest(trail, "TEST")
    extra = await api.attest(trail, "LINT", "FAILED")
    answer = await ask(api, flow)
    assert (answer["compliant"], answer["status"], answer["trailId"]) == (True, "COMPLIANT", trail)
    assert answer["missingAttestations"] == answer["failedAttestations"] == []
    assert {(one["id"], one["type"], one["status"], one["required"]) for one in answer["attestations"]} == {
        (build["id"], "BUILD", "PASSED", True),
        (test["id"], "TEST", "PASSED", True),
        (extra["id"], "LINT", "FAILED", False),
    }
    assert answer["flowName"] == flow["name"]
    assert answer["checkedAt"].endswith("Z")
    assert answer["details"] == answer["message"] == "all required attestations passed"


async def test_what_is_missing_and_what_failed_is_listed(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD", "TEST", "SCAN"])
    trail = await built(api, flow)
    await api.attest(trail, "BUILD")
    await api.attest(trail, "SCAN", "FAILED")
    answer = await ask(api, flow)
    assert (answer["compliant"], answer["status"]) == (False, "NON_COMPLIANT")
    assert answer["missingAttestationTypes"] == answer["missingAttestations"] == ["TEST", "SCAN"]
    assert answer["failedAttestationTypes"] == answer["failedAttestations"] == ["SCAN"]
    assert answer["missingAttestationNames"] == answer["failedAttestationNames"] == []


async def test_an_unknown_digest_is_an_answer_and_an_unknown_flow_is_not(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    answer = await ask(api, flow, "deadbeef")
    assert (answer["compliant"], answer["sha256Digest"], answer["trailId"]) == (False, "deadbeef", None)
    assert answer["missingAttestationTypes"] == ["BUILD"]
    await api.post("/assert", {"flowId": str(uuid4()), "sha256Digest": DIGEST}, 404)


async def test_nothing_required_is_compliant_unless_something_failed(api: Caller) -> None:
    flow = await api.make_flow()
    trail = await built(api, flow)
    assert (await ask(api, flow))["compliant"]
    await api.attest(trail, "ANY", "FAILED")
    answer = await ask(api, flow)
    assert (answer["compliant"], answer["failedAttestationTypes"]) == (False, ["ANY"])


@pytest.mark.parametrize("required", [[], ["BUILD"]])
async def test_an_approval_that_nobody_granted_blocks(api: Caller, required: list[str]) -> None:
    flow = await api.make_flow(requiredAttestations=required, requiresApproval=True)
    await api.attest(await built(api, flow), "BUILD")
    answer = await ask(api, flow)
    assert (answer["compliant"], answer["missingAttestations"]) == (False, [])
    assert "approval" in answer["details"]


async def test_evidence_of_another_flow_does_not_count(api: Caller) -> None:
    ours, theirs = await api.make_flow(requiredAttestations=["BUILD"]), await api.make_flow()
    await api.attest(await built(api, theirs), "BUILD")
    answer = await ask(api, ours)
    assert (answer["compliant"], answer["details"]) == (False, "No trail of this flow has reported this artifact.")


async def test_the_latest_result_counts(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    trail = await built(api, flow)
    for status, compliant in (("PASSED", True), ("FAILED", False), ("PASSED", True), ("PENDING", False)):
        await api.attest(trail, "TEST", status)
        assert (await ask(api, flow))["compliant"] is compliant


async def test_the_newest_trail_of_the_artifact_is_judged(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    await api.attest(await built(api, flow), "TEST")
    newer = await built(api, flow)
    answer = await ask(api, flow)
    assert (answer["compliant"], answer["trailId"]) == (False, newer)


async def test_a_trail_may_be_named_instead_of_the_flow(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    older = await built(api, flow)
    await api.attest(older, "TEST")
    newer = await built(api, flow)
    for trail, compliant in ((older, True), (newer, False)):
        answer = (await api.post("/assert", {"trailId": trail, "artifactSha256": "5d" * 32}, 200)).json
        assert (answer["compliant"], answer["trailId"], answer["flowId"]) == (compliant, trail, flow["id"])
    other = await api.make_flow()
    await api.post("/assert", {"trailId": older, "flowId": other["id"], "sha256Digest": DIGEST}, 404)
    await api.post("/assert", {"trailId": str(uuid4()), "sha256Digest": DIGEST}, 404)


@pytest.mark.parametrize("spelling", ["5d" * 32, "5D" * 32, "SHA256:" + "5D" * 32])
async def test_a_digest_is_found_in_every_spelling_and_echoed_in_its_own(api: Caller, spelling: str) -> None:
    flow = await api.make_flow()
    await built(api, flow)
    answer = await ask(api, flow, spelling)
    assert (answer["compliant"], answer["sha256Digest"]) == (True, spelling)


async def test_evidence_that_names_another_artifact_does_not_count(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    trail = await built(api, flow)
    await api.attest(trail, "TEST", artifactFingerprint="ee" * 32)
    assert not (await ask(api, flow))["compliant"]
    await api.attest(trail, "TEST", artifactFingerprint="5D" * 32)
    assert (await ask(api, flow))["compliant"]


TEMPLATE = """
version: 1
trail:
  attestations:
    - {name: review, type: code-review}
    - {name: pen-test, type: generic, if: 'flow.tags.tier == "gold"'}
  artifacts:
    - name: app
      attestations: [{name: unit, type: junit}]
    - name: web
      attestations: [{name: e2e, type: junit}]
"""


async def test_a_template_asks_for_names_of_the_trail_and_of_the_artifact(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=TEMPLATE, tags={"tier": "gold"}, requiredAttestations=["IGNORED"])
    trail = await built(api, flow)
    answer = await ask(api, flow)
    assert answer["missingAttestationNames"] == ["review", "pen-test", "unit"]
    assert answer["missingAttestationTypes"] == []
    await api.attest(trail, "code-review", name="review")
    await api.attest(trail, "snyk", name="unit")
    await api.attest(trail, "generic", name="pen-test")
    assert (await ask(api, flow))["missingAttestationNames"] == ["unit"]
    await api.attest(trail, "junit", name="unit")
    assert (await ask(api, flow))["compliant"]


async def test_a_condition_that_does_not_hold_waives_its_requirement(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=TEMPLATE, tags={"tier": "silver"})
    await built(api, flow)
    assert (await ask(api, flow))["missingAttestationNames"] == ["review", "unit"]


@pytest.mark.parametrize(
    ("condition", "required"),
    [
        ('exists(flow) and flow.name == "{name}"', True),
        ('flow.name == "{name}" or flow.name == "b"', True),
        ('flow.name == "a" and artifact.name != "b"', False),
        ('not flow.name == "{name}"', False),
        ('flow.tags["tier"] == "gold"', True),
        ('flow.tags.tier in ["silver"]', False),
        ('matches(artifact.name, "a.p")', True),
        ('artifact.fingerprint == "sha256:' + "5d" * 32 + '"', True),
    ],
)
async def test_the_documented_conditions(api: Caller, condition: str, required: bool) -> None:
    name = f"flow-{uuid4().hex}"
    rule = "${{ " + condition.replace("{name}", name) + " }}"
    text = f"trail: {{attestations: [{{name: gate, type: '*', if: '{rule}'}}]}}"
    flow = await api.make_flow(name=name, templateYaml=text, tags={"tier": "gold"})
    await built(api, flow)
    assert (await ask(api, flow))["missingAttestationNames"] == (["gate"] if required else [])


async def test_the_trails_own_template_stands_in_the_place_of_the_flows(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=TEMPLATE)
    own = "trail: {attestations: [{name: smoke, type: '*'}]}"
    trail = await api.make_trail(flow["id"], templateYaml=own)
    await api.post(f"/trails/{trail['id']}/artifacts", {"name": "app", "tag": "1", "sha256Digest": DIGEST})
    assert (await ask(api, flow))["missingAttestationNames"] == ["smoke"]


async def test_an_assertion_uses_the_flow_as_it_is_now_and_the_status_as_it_was(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    trail = await built(api, flow)
    await api.attest(trail, "TEST")
    assert (await ask(api, flow))["flowVersion"] == 1
    await api.send("PUT", f"/flows/{flow['id']}", json={"requiredAttestations": ["TEST", "SCAN"]})
    answer = await ask(api, flow)
    assert (answer["compliant"], answer["flowVersion"], answer["missingAttestations"]) == (False, 2, ["SCAN"])
    await api.attest(trail, "LINT")
    assert await api.status_of(trail) == "COMPLIANT"


async def test_each_answer_is_audited_and_sealed_as_a_verdict(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    trail = await built(api, flow)
    await ask(api, flow)
    await api.attest(trail, "TEST")
    answer = await ask(api, flow)
    events = (await api.get(f"/audit?trailId={trail}&size=100")).json["events"]
    gates = [event for event in events if event["eventType"].startswith("GATE_")]
    assert [event["eventType"] for event in gates] == ["GATE_ALLOWED", "GATE_BLOCKED"]
    assert gates[0]["artifactSha256"] == DIGEST
    assert f'"verdictId": "{answer["verdictId"]}"' in gates[0]["payload"].replace('":"', '": "')


async def test_a_dry_run_answers_and_leaves_nothing(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    await built(api, flow)
    before = (await api.get("/audit?size=1")).json["totalElements"]
    answer = await ask(api, flow, headers={"X-Dry-Run": "true"})
    assert answer["dryRun"] is True
    assert answer["wouldCreate"]["missingAttestations"] == ["TEST"]
    assert (await api.get("/audit?size=1")).json["totalElements"] == before
    assert (await api.get("/verdicts")).json == []
    await api.post("/assert", {"flowId": str(uuid4()), "sha256Digest": DIGEST}, 404, headers={"X-Dry-Run": "true"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sha256Digest": DIGEST}, "flowId"),
        ({"flowId": str(uuid4())}, "sha256Digest"),
        ({"flowId": "x", "sha256Digest": DIGEST}, "flowId"),
        ({"flowId": str(uuid4()), "sha256Digest": ""}, "sha256Digest"),
        ({"flowId": str(uuid4()), "sha256Digest": 7}, "sha256Digest"),
        ({"trailId": str(uuid4()), "sha256Digest": "d" * 256}, "sha256Digest"),
    ],
)
async def test_a_bad_body_names_its_field(api: Caller, body: dict[str, Any], field: str) -> None:
    assert (await api.post("/assert", body, 400)).fields == [field]


async def test_two_reports_that_complete_a_trail_end_compliant_every_time(api: Caller) -> None:
    """Each locks the trail, so the later one sees what the earlier one left."""
    flow = await api.make_flow(requiredAttestations=["A", "B"])
    for _ in range(20):
        trail = await built(api, flow)
        await asyncio.gather(api.attest(trail, "A"), api.attest(trail, "B"), ask(api, flow))
        assert await api.status_of(trail) == "COMPLIANT"
        assert (await ask(api, flow))["compliant"]


async def test_an_assertion_takes_a_bounded_number_of_statements(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow(requiredAttestations=["TEST"])
    trail = await built(api, flow)
    counts = []
    for _ in range(2):
        async with statements(app_services) as seen:
            await ask(api, flow)
        counts.append(len(seen))
        for n in range(20):
            await api.attest(trail, f"T{n}")
            await built(api, flow)
    assert counts[1] <= counts[0] <= 9, seen


async def test_another_organisations_flow_and_artifacts_are_not_seen(
    api: Caller, http: Any, app_services: Services
) -> None:
    flow = await api.make_flow()
    await built(api, flow)
    stranger = await found_organisation(http, app_services)
    await stranger.post("/assert", {"flowId": flow["id"], "sha256Digest": DIGEST}, 404)
    theirs = await stranger.make_flow()
    assert not (await ask(stranger, theirs))["compliant"]
