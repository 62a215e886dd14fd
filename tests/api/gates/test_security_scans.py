"""Security scans on the wire: how they are judged, what they are attested as, and what is refused."""

from typing import Any
from uuid import uuid4

import pytest

from storage.services import Services
from tests.api.caller import DIGEST, Caller, make_holder
from tests.api.gates.scanning import attestations, new_trail, scan, scans
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRICT = {"maxCritical": 0, "maxHigh": 2, "maxMedium": 10, "maxLow": 20}


async def test_every_severity_above_its_maximum_is_a_breach(api: Caller) -> None:
    trail = await new_trail(api, STRICT)
    counts = {"criticalVulnerabilities": 1, "highVulnerabilities": 3, "mediumVulnerabilities": 10}
    made = await scan(api, trail, **counts, lowVulnerabilities=21, informational=999)
    assert (made["passed"], made["thresholdBreached"]) == (False, True)
    assert made["breachDetails"] == [
        "critical: 1 found, at most 0 allowed",
        "high: 3 found, at most 2 allowed",
        "low: 21 found, at most 20 allowed",
    ]
    assert await api.status_of(trail) == "NON_COMPLIANT"
    assert await attestations(api, trail) == [("SECURITY_SCAN", "trivy", "FAILED"), ("trivy", None, "FAILED")]
    assert (await api.get(f"/security-scans/{made['id']}")).json == made, "the breach is kept"
    assert await scans(api, trail) == [made]


async def test_as_many_as_the_maximum_pass(api: Caller) -> None:
    trail = await new_trail(api, STRICT, requiredAttestations=["SECURITY_SCAN"])
    made = await scan(api, trail, highVulnerabilities=2, mediumVulnerabilities=10, lowVulnerabilities=20)
    assert (made["passed"], made["breachDetails"], made["failureReason"]) == (True, [], None)
    assert await api.status_of(trail) == "COMPLIANT"


@pytest.mark.parametrize(("critical", "passed"), [(0, True), (1, False)])
async def test_without_thresholds_no_critical_finding_is_allowed(api: Caller, critical: int, passed: bool) -> None:
    trail = await new_trail(api)
    made = await scan(api, trail, criticalVulnerabilities=critical, highVulnerabilities=5000)
    assert (made["passed"], made["thresholdSource"], made["thresholdVersion"]) == (passed, "DEFAULT", None)
    most = 2**31 - 1
    assert made["thresholds"] == {"maxCritical": 0, "maxHigh": most, "maxMedium": most, "maxLow": most}


async def test_thresholds_that_change_later_do_not_change_what_was_judged(api: Caller) -> None:
    trail = await new_trail(api, STRICT)
    made = await scan(api, trail, highVulnerabilities=3)
    assert (made["thresholds"], made["thresholdSource"], made["thresholdVersion"]) == (STRICT, "FLOW", 1)
    thresholds = f"/flows/{made['flowId']}/security-thresholds"
    await api.post(thresholds, STRICT | {"maxHigh": 3})
    assert await scans(api, trail) == [made]
    again = await scan(api, trail, highVulnerabilities=3)
    assert (again["passed"], again["thresholdVersion"]) == (True, 2)
    assert (await api.send("DELETE", thresholds)).status == 204
    assert (await scan(api, trail, highVulnerabilities=4000))["thresholdSource"] == "DEFAULT"


async def test_a_scan_has_every_field(api: Caller) -> None:
    trail = await new_trail(api)
    made = await scan(api, trail)
    assert_times(made, "createdAt")
    shown = {"trailId": trail, "tool": "trivy", "passed": True, "thresholdBreached": False, "breachDetails": []}
    assert {name: made[name] for name in shown} == shown
    nothing = ("toolVersion", "scanType", "target", "reportUrl", "scanDurationSeconds", "report", "sourceRef")
    assert [made[name] for name in nothing] == [None] * len(nothing)
    sent = {
        "toolVersion": "0.66.0",
        "scanType": "CONTAINER",
        "target": "registry.example.com/shop:1.4 ü",
        "criticalVulnerabilities": 0,
        "highVulnerabilities": 1,
        "mediumVulnerabilities": 2,
        "lowVulnerabilities": 3,
        "informational": 2**31 - 1,
        "scanDurationSeconds": 2**63 - 1,
        "reportUrl": "https://ci.example.com/1",
        "artifactFingerprint": DIGEST,
        "orgSlug": api.tenant.org_slug,
    }
    full = await scan(api, trail, **sent)
    assert {name: full[name] for name in sent} == sent
    attestation = (await api.get(f"/trails/{trail}/attestations/{full['attestationId']}")).json
    assert attestation["artifactFingerprint"] == DIGEST
    assert attestation["evidenceUrl"] == "https://ci.example.com/1"
    assert attestation["details"].startswith("trivy of registry.example.com/shop:1.4 ü: 0 critical, 1 high, 2 medium")


@pytest.mark.parametrize(
    "sent",
    [
        {"criticalCount": 1, "highCount": 2, "mediumCount": 3, "lowCount": 4, "informational": 5},
        {"summary": {"critical": 1, "high": 2, "medium": 3, "low": 4, "informational": 5}},
        {
            "summary": {"critical": 1, "high": None, "low": 4},
            "criticalCount": 1,
            "highCount": 2,
            "mediumVulnerabilities": 3,
            "informational": 5,
        },
    ],
)
async def test_other_names_of_the_counts(api: Caller, sent: dict[str, Any]) -> None:
    made = await scan(api, await new_trail(api), version="1.0", scanType="container", **sent)
    names = [f"{severity}Vulnerabilities" for severity in ("critical", "high", "medium", "low")]
    assert [made[name] for name in (*names, "informational")] == [1, 2, 3, 4, 5]
    assert (made["toolVersion"], made["scanType"]) == ("1.0", "CONTAINER")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tool": None}, "tool"),
        ({"tool": " "}, "tool"),
        ({"tool": "x" * 101}, "tool"),
        ({"tool": "type:BUILD"}, "tool"),
        ({"tool": "OIDC-provenance"}, "tool"),
        ({"attestationType": "oidc-provenance"}, "attestationType"),
        ({"attestationName": "sender:x"}, "attestationName"),
        ({"toolVersion": "x" * 51}, "toolVersion"),
        ({"target": "x" * 501}, "target"),
        ({"reportUrl": "x" * 501}, "reportUrl"),
        ({"scanType": "IAST"}, "scanType"),
        ({"criticalVulnerabilities": "1"}, "criticalVulnerabilities"),
        ({"criticals": 1}, "criticals"),
        ({"summary": {"CRITICAL": 1}}, "summary.CRITICAL"),
        ({"highVulnerabilities": -1}, "highVulnerabilities"),
        ({"mediumVulnerabilities": 2**31}, "mediumVulnerabilities"),
        ({"lowVulnerabilities": 1.0}, "lowVulnerabilities"),
        ({"informational": True}, "informational"),
        ({"criticalCount": "none"}, "criticalCount"),
        ({"summary": {"high": "2"}}, "summary.high"),
        ({"summary": {"high": -2}}, "summary.high"),
        ({"highVulnerabilities": 1, "highCount": 2}, "highCount"),
        ({"highCount": 1, "summary": {"high": 2}}, "summary.high"),
        ({"toolVersion": "1", "version": "2"}, "version"),
        ({"artifactFingerprint": DIGEST, "artifactSha256": "0" * 64}, "artifactSha256"),
        ({"artifactFingerprint": "abc"}, "artifactFingerprint"),
        ({"passed": "true"}, "passed"),
        ({"scanDurationSeconds": -1}, "scanDurationSeconds"),
        ({"report": "x"}, "report"),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, fields: dict[str, Any], named: str) -> None:
    trail = await new_trail(api)
    answer = await api.post(f"/trails/{trail}/security-scans", {"tool": "trivy", **fields}, 400)
    assert answer.fields[0].startswith(named)
    assert await scans(api, trail) == []
    assert await attestations(api, trail) == []


async def test_unknown_trails_scans_and_organisations(api: Caller) -> None:
    await scan(api, str(uuid4()), 404)
    await api.get(f"/trails/{uuid4()}/security-scans", 404)
    await api.get(f"/security-scans/{uuid4()}", 404)
    await api.get("/security-scans/latest", 400)
    await scan(api, await new_trail(api), 404, orgSlug="another")
    await api.get("/security-scans/summary?orgSlug=another", 404)


async def test_what_was_reported_as_not_passed_fails(api: Caller) -> None:
    trail = await new_trail(api)
    made = await scan(api, trail, passed=False)
    assert (made["passed"], made["thresholdBreached"]) == (False, False)
    assert made["failureReason"] == "The scan was reported as not passed."
    assert await api.status_of(trail) == "NON_COMPLIANT"


async def test_what_was_reported_as_passed_fails_by_its_thresholds(api: Caller) -> None:
    assert not (await scan(api, await new_trail(api), passed=True, criticalCount=1))["passed"]


@pytest.mark.parametrize("required", ["trivy", "SECURITY_SCAN"])
async def test_a_scan_satisfies_its_type_and_its_tool(api: Caller, required: str) -> None:
    trail = await new_trail(api, requiredAttestations=[required])
    assert await api.status_of(trail) == "PENDING"
    await scan(api, trail)
    assert await api.status_of(trail) == "COMPLIANT"


@pytest.mark.parametrize(
    ("template", "fields"),
    [
        ("trail: {attestations: [{name: trivy}]}", {}),
        ("trail: {attestations: [{name: image-scan, type: container-scan}]}", {"attestationType": "container-scan"}),
        ("trail: {attestations: [{name: image-scan, type: trivy}]}", {"attestationType": "trivy"}),
    ],
)
async def test_a_scan_satisfies_a_template(api: Caller, template: str, fields: dict[str, str]) -> None:
    trail = await new_trail(api, templateYaml=template)
    if "image-scan" in template:
        fields = fields | {"attestationName": "image-scan"}
    await scan(api, trail, **fields)
    assert await api.status_of(trail) == "COMPLIANT"


async def test_a_scan_whose_type_is_its_tool_is_one_attestation(api: Caller) -> None:
    trail = await new_trail(api)
    await scan(api, trail, attestationType="trivy", attestationName="image-scan")
    assert await attestations(api, trail) == [("trivy", "image-scan", "PASSED")]


async def test_the_next_scan_takes_the_place_of_the_last_one(api: Caller) -> None:
    trail = await new_trail(api, requiredAttestations=["trivy", "SECURITY_SCAN"])
    await scan(api, trail, target="shop:1", criticalCount=1)
    assert await api.status_of(trail) == "NON_COMPLIANT"
    await scan(api, trail, target="shop:1")
    assert await api.status_of(trail) == "COMPLIANT"


@pytest.mark.parametrize(
    "other", [{"target": "web:1"}, {"tool": "grype"}, {"scanType": "SAST"}, {"attestationName": "nightly"}]
)
async def test_another_scan_does_not(api: Caller, other: dict[str, str]) -> None:
    trail = await new_trail(api)
    await scan(api, trail, target="shop:1", scanType="CONTAINER", criticalCount=1)
    await scan(api, trail, **{"target": "shop:1", "scanType": "CONTAINER", **other})
    assert await api.status_of(trail) == "NON_COMPLIANT"


async def test_of_a_failed_scan_one_notice_is_raised(api: Caller) -> None:
    rule = (await api.make_rule("IN_APP"))["id"]
    await scan(api, await new_trail(api), criticalCount=1)
    assert len((await api.get(f"/deliveries?ruleId={rule}")).json) == 1


async def test_the_audit_has_the_scan_and_its_attestations(api: Caller) -> None:
    trail = await new_trail(api)
    made = await scan(api, trail, criticalCount=1)
    events = (await api.get(f"/audit?trailId={trail}&sortDesc=false")).json["events"]
    assert [one["eventType"] for one in events] == [
        "TRAIL_CREATED",
        "ATTESTATION_RECORDED",
        "ATTESTATION_RECORDED",
        "SECURITY_SCAN_RECORDED",
    ]
    [recorded] = (await api.get("/audit?eventType=SECURITY_SCAN_RECORDED")).json["events"]
    assert made["id"] in str(recorded)


async def test_a_dry_run_stores_nothing(api: Caller) -> None:
    trail = await new_trail(api)
    body = {"tool": "trivy", "criticalCount": 1}
    would = (await api.post(f"/trails/{trail}/security-scans?dryRun=true", body, 200)).json["wouldCreate"]
    assert would["breachDetails"] == ["critical: 1 found, at most 0 allowed"]
    assert (await scans(api, trail), await api.status_of(trail)) == ([], "PENDING")


async def test_a_repeated_request_is_answered_once(api: Caller) -> None:
    trail = await new_trail(api)
    headers = {"Idempotency-Key": str(uuid4())}
    first, second = [
        await api.post(f"/trails/{trail}/security-scans", {"tool": "trivy"}, headers=headers) for _ in range(2)
    ]
    assert first.json == second.json
    assert len(await scans(api, trail)) == 1


async def test_a_summary_adds_up(api: Caller) -> None:
    one, other = await new_trail(api), await new_trail(api)
    first = await scan(api, one, criticalCount=1, highCount=2, mediumCount=3, lowCount=4)
    await scan(api, one, highCount=2**31 - 1)
    last = await scan(api, other, tool="snyk", criticalCount=2)

    async def summary(query: str = "") -> list[int]:
        found = (await api.get(f"/security-scans/summary?{query}")).json
        names = ("totalScans", "totalCritical", "totalHigh", "totalMedium", "totalLow", "scansWithCritical")
        assert found.keys() == set(names)
        return [found[name] for name in names]

    assert await summary() == [3, 3, 2**31 + 1, 3, 4, 2]
    of_one = [2, 1, 2**31 + 1, 3, 4, 1]
    assert await summary(f"flowId={first['flowId']}") == of_one
    assert await summary(f"trailId={one}") == of_one
    assert await summary(f"trailId={one}&tool=snyk") == [0] * 6
    assert await summary(f"tool=snyk&orgSlug={api.tenant.org_slug}") == [1, 2, 0, 0, 0, 1]
    assert await summary(f"from={last['createdAt']}") == [1, 2, 0, 0, 0, 1]
    assert await summary(f"to={first['createdAt']}") == [1, 1, 2, 3, 4, 1]
    assert await summary(f"flowId={first['flowId']}&from={last['createdAt']}") == [0] * 6
    assert (await api.get("/security-scans/summary?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 400)).fields == [
        "from"
    ]


async def test_pages(api: Caller) -> None:
    trail = await new_trail(api)
    made = [await scan(api, trail, lowCount=n) for n in range(3)]
    first = await api.get(f"/trails/{trail}/security-scans?size=2")
    assert (first.json, first.headers["X-Total-Count"]) == (made[:2], "3")
    target = first.headers["Link"].partition(">")[0].removeprefix("<")
    assert (await api.get(target)).json == made[2:]


async def test_the_scans_of_the_organisation_are_listed_newest_first(api: Caller) -> None:
    one, other = await new_trail(api), await new_trail(api)
    good, bad, last = await scan(api, one), await scan(api, one, criticalCount=1), await scan(api, other)

    async def listed(query: str = "") -> Any:
        return (await api.get(f"/security-scans?{query}")).json

    assert await listed() == [last, bad, good]
    assert await listed("failed=true") == [bad]
    assert await listed("failed=false&size=2") == [last, bad]
    assert await listed(f"flowId={good['flowId']}") == [bad, good]
    assert await listed(f"flowId={last['flowId']}&failed=true") == []
    assert await listed("size=1") == [last]
    await api.get("/security-scans?failed=maybe", 400)


async def test_a_key_for_a_repository_sums_and_sees_its_scans_only(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow()
    trails = [await api.make_trail(flow["id"], gitRepository=name) for name in ("o/own", "o/other")]
    made = [await scan(api, trail["id"], highCount=n) for n, trail in enumerate(trails, 1)]
    holder = await make_holder(app_services, api.tenant, "reporter", scopes=["repo:o/own"])
    limited = Caller(api.client, holder.key, api.tenant)
    assert (await limited.get("/security-scans/summary")).json["totalHigh"] == 1
    assert (await limited.get("/security-scans")).json == made[:1]
    await limited.get(f"/security-scans/{made[0]['id']}")
    await limited.get(f"/security-scans/{made[1]['id']}", 404)
    await scan(limited, trails[1]["id"], 404)
