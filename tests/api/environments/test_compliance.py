"""Compliance on the wire: of environments, of what runs there, and why."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient

from storage.environments.queries import compliance
from storage.services import Services
from tests.api.caller import Caller, found_organisation, make_holder
from tests.api.environments.reporting import A, B, C, line, make_environment, report

pytestmark = pytest.mark.asyncio(loop_scope="session")

D = "sha256:" + "d" * 64


async def built(api: Caller, flow: Any, digest: str, *passed: str, name: str = "api", **trail: Any) -> str:
    """A new trail that reported an artifact, with attestations that passed."""
    made = await api.make_trail(flow["id"], **trail)
    await api.report_artifact(made["id"], digest, imageName=name)
    for kind in passed:
        await api.attest(made["id"], kind)
    return str(made["id"])


async def compliance_of(api: Caller, environment: str, **parameters: Any) -> Any:
    return (await api.get(f"/environments/{environment}/compliance", params=parameters)).json


async def told(api: Caller, environment: str) -> tuple[str, list[tuple[str, str]]]:
    """The state of an environment in which one artifact runs, with the reasons of the artifact."""
    found = await compliance_of(api, environment)
    [artifact] = found["artifacts"]
    assert found["complianceState"] == artifact["complianceState"]
    return found["complianceState"], [(one["code"], one["message"]) for one in artifact["reasons"]]


def by_digest(rows: Sequence[Any]) -> dict[str, str]:
    return {one["artifactSha256"]: one["complianceState"] for one in rows}


async def test_an_artifact_is_judged_as_soon_as_anything_is_attested(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    unknown = ("UNKNOWN", [("NOT_REPORTED", "nobody reported an artifact with this digest")])
    assert await told(api, environment) == unknown
    trail = await built(api, await api.make_flow(name="payments", requiredAttestations=["junit", "snyk"]), A, "junit")
    assert await told(api, environment) == (
        "NON_COMPLIANT",
        [("ATTESTATION_MISSING", "attestation snyk is missing")],
    )
    failed = await api.attest(trail, "snyk", "FAILED", name="scan")
    [artifact] = (await compliance_of(api, environment))["artifacts"]
    assert artifact["reasons"] == [
        {
            "code": "ATTESTATION_FAILED",
            "message": "attestation snyk failed",
            "attestationType": "snyk",
            "attestationName": "scan",
            "attestationId": failed["id"],
            "flowId": artifact["flowId"],
            "trailId": trail,
            "policyId": None,
        }
    ]
    await api.attest(trail, "snyk", name="scan")
    assert await told(api, environment) == ("COMPLIANT", [])


async def test_the_answer_says_what_runs_and_which_trail_decides(api: Caller) -> None:
    environment = await make_environment(api)
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    trail = await built(api, flow, A, "BUILD")
    snapshot = await report(api, environment, line("api", A, "1.2"), line("web", B))
    assert await compliance_of(api, environment) == {
        "environmentId": environment,
        "complianceState": "UNKNOWN",
        "compliant": 1,
        "nonCompliant": 0,
        "unknown": 1,
        "reasons": [{"code": "ARTIFACTS_UNKNOWN", "message": "the compliance of 1 of 2 running artifacts is unknown"}],
        "artifacts": (await compliance_of(api, environment))["artifacts"],
        "policies": [],
    }
    [found] = (await compliance_of(api, environment, state="COMPLIANT"))["artifacts"]
    assert found == {
        "artifactSha256": A,
        "artifactName": "api",
        "artifactTag": "1.2",
        "since": snapshot["recordedAt"],
        "complianceState": "COMPLIANT",
        "flowId": flow["id"],
        "trailId": trail,
        "reasons": [],
    }


async def test_nothing_is_known_of_an_environment_in_which_nothing_runs(api: Caller) -> None:
    environment = await make_environment(api)
    for _ in range(2):
        found = await compliance_of(api, environment)
        assert (found["complianceState"], found["artifacts"]) == ("UNKNOWN", [])
        assert [one["code"] for one in found["reasons"]] == ["NOTHING_RUNS"]
        await report(api, environment, line("api", A))
        await report(api, environment)
    await api.get(f"/environments/{uuid4()}/compliance", 404)


async def test_what_nobody_reported_is_found(api: Caller) -> None:
    environment = await make_environment(api)
    await built(api, await api.make_flow(), A)
    await built(api, await api.make_flow(requiredAttestations=["BUILD"]), B)
    await report(api, environment, line("api", A), line("web", B), line("stray", C))
    found = await compliance_of(api, environment, reason="NOT_REPORTED")
    assert [one["artifactName"] for one in found["artifacts"]] == ["stray"]
    assert (found["complianceState"], found["unknown"], found["nonCompliant"]) == ("NON_COMPLIANT", 2, 1)
    unknown = (await compliance_of(api, environment, state="unknown"))["artifacts"]
    assert sorted(one["artifactName"] for one in unknown) == ["api", "stray"]
    await api.get(f"/environments/{environment}/compliance?state=GOOD", 400)


async def test_the_newest_report_of_a_flow_decides_whatever_other_flows_require(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    strict, empty = await api.make_flow(requiredAttestations=["BUILD"]), await api.make_flow()
    await built(api, strict, A, "BUILD")
    assert (await told(api, environment))[0] == "COMPLIANT"
    await built(api, strict, A)
    assert (await told(api, environment))[0] == "NON_COMPLIANT"
    await built(api, empty, A)
    other = await api.make_flow(requiredAttestations=["REVIEW"])
    await built(api, other, A, "REVIEW")
    assert await told(api, environment) == (
        "NON_COMPLIANT",
        [("ATTESTATION_MISSING", "attestation BUILD is missing")],
    )
    await built(api, strict, A, "BUILD")
    assert (await told(api, environment))[0] == "COMPLIANT"


async def test_a_trail_is_judged_by_what_it_was_begun_with(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    await built(api, flow, A, "BUILD")
    change = {"requiredAttestations": ["BUILD", "REVIEW"]}
    assert (await api.send("PUT", f"/flows/{flow['id']}", json=change)).status == 200
    assert (await told(api, environment))[0] == "COMPLIANT"
    template = "trail: {attestations: [{name: unit, type: junit}]}"
    await built(api, flow, A, "BUILD", templateYaml=template)
    assert await told(api, environment) == (
        "NON_COMPLIANT",
        [("ATTESTATION_MISSING", "attestation unit is missing")],
    )


async def test_artifacts_of_one_trail_are_told_apart(api: Caller) -> None:
    """By their digests, and by their names in the template."""
    environment = await make_environment(api)
    entry = "{name: %s, attestations: [{name: unit, type: junit}]}"
    flow = await api.make_flow(templateYaml=f"trail: {{artifacts: [{entry % 'api'}, {entry % 'web'}]}}")
    trail = await built(api, flow, A)
    for name, digest in (("api", B), ("web", C), ("web", D)):
        await api.report_artifact(trail, digest, imageName=name)
    await api.attest(trail, "junit", name="unit", artifactFingerprint=A)
    await api.attest(trail, "junit", name="unit", targetArtifact="web")
    await api.attest(trail, "junit", "FAILED", name="unit", artifactFingerprint=C, targetArtifact="web")
    await report(api, environment, *(line(digest[-3:], digest) for digest in (A, B, C, D)))
    found = (await compliance_of(api, environment))["artifacts"]
    assert by_digest(found) == {A: "COMPLIANT", B: "NON_COMPLIANT", C: "NON_COMPLIANT", D: "COMPLIANT"}
    codes = {one["artifactSha256"]: [reason["code"] for reason in one["reasons"]] for one in found}
    assert (codes[B], codes[C]) == (["ATTESTATION_MISSING"], ["ATTESTATION_FAILED"])


async def test_another_organisations_evidence_does_not_count(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger = await found_organisation(http, app_services)
    await built(stranger, await stranger.make_flow(requiredAttestations=["BUILD"]), A, "BUILD")
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    assert (await told(api, environment))[1][0][0] == "NOT_REPORTED"
    assert (await stranger.get(f"/artifacts?sha256={A}")).json[0]["runningInEnvironments"] == []
    await stranger.get(f"/environments/{environment}/compliance", 404)


async def test_every_answer_about_an_environment_has_its_state(api: Caller) -> None:
    made = (await api.post("/environments", {"name": "production"})).json
    assert made["complianceState"] == "UNKNOWN"
    path = f"/environments/{made['id']}"
    await built(api, await api.make_flow(requiredAttestations=["BUILD"]), A)
    await report(api, made["id"], line("api", A))
    idle = await make_environment(api)
    listed = {one["id"]: one["complianceState"] for one in (await api.get("/environments")).json}
    assert listed == {made["id"]: "NON_COMPLIANT", idle: "UNKNOWN"}
    assert (await api.get(path)).json["complianceState"] == "NON_COMPLIANT"
    changed = await api.send("PUT", path, json={"description": "ours"})
    assert changed.json["complianceState"] == "NON_COMPLIANT"
    preview = (await api.send("DELETE", f"{path}?dryRun=true")).json["wouldDelete"]
    assert preview["complianceState"] == "NON_COMPLIANT"


async def test_what_is_too_much_to_judge_at_once_is_left_open(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [await make_environment(api) for _ in range(4)]
    for environment, digests in zip(ids, ([A, B], [B, C], [A, B], []), strict=True):
        await report(api, environment, *(line(digest[-3:], digest) for digest in digests))

    async def states(**parameters: Any) -> list[str | None]:
        answer = (await api.get("/environments", params=parameters)).json
        return [one["complianceState"] for one in (answer["items"] if parameters else answer)]

    known, open_ = "UNKNOWN", None
    assert await states() == [known] * 4
    monkeypatch.setattr(compliance, "MAX_JUDGED", 2)
    assert await states() == [known, open_, known, known]
    assert await states(page=1, size=1) == [known]
    monkeypatch.setattr(compliance, "MAX_JUDGED", 10)
    monkeypatch.setattr(compliance, "MAX_RUNNING", 3)
    assert await states() == [known, open_, open_, open_]


async def test_snapshots_show_what_is_known_now(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A), line("web", B))
    await report(api, environment, line("web", B))
    where = f"/environments/{environment}/snapshots"
    assert by_digest((await api.get(f"{where}/1")).json["artifacts"]) == {A: "UNKNOWN", B: "UNKNOWN"}
    await built(api, await api.make_flow(requiredAttestations=["BUILD"]), A, "BUILD")
    assert by_digest((await api.get(f"{where}/1")).json["artifacts"]) == {A: "COMPLIANT", B: "UNKNOWN"}
    assert by_digest((await api.get(f"{where}/latest")).json["artifacts"]) == {B: "UNKNOWN"}


async def test_pages_are_of_the_artifacts_that_match(api: Caller) -> None:
    environment = await make_environment(api)
    digests = [f"sha256:{number:064x}" for number in range(60)]
    await built(api, await api.make_flow(), digests[0])
    for first in (0, 20):
        await report(api, environment, *(line(one[-3:], one) for one in digests[: first + 40]))
    where = f"/environments/{environment}/compliance?reason=NOT_REPORTED"
    whole = await api.get(where)
    assert (whole.headers["X-Total-Count"], "Link" in whole.headers) == ("59", False)
    pages = [await api.get(f"{where}&size=25")]
    while "Link" in pages[-1].headers:
        pages.append(await api.get(pages[-1].headers["Link"].partition(">")[0].removeprefix("<")))
    assert [len(page.json["artifacts"]) for page in pages] == [25, 25, 9]
    assert [one for page in pages for one in page.json["artifacts"]] == whole.json["artifacts"]
    assert {page.json["unknown"] for page in pages} == {60}
    second = await api.get(f"{where}&size=25&page=1")
    assert second.json["artifacts"] == pages[1].json["artifacts"]


async def test_an_artifact_shows_where_it_runs(api: Caller) -> None:
    first, second = [await make_environment(api, name=name) for name in ("staging", "production")]
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    trail = await built(api, flow, A, "BUILD")
    await report(api, first, line("api", A, "1"))
    newest = await report(api, second, line("app", A, "2"))
    for path in (f"/artifacts?sha256={A}", f"/trails/{trail}/artifacts"):
        [artifact] = (await api.get(path)).json
        assert artifact["complianceState"] == "COMPLIANT"
        assert [one["environmentName"] for one in artifact["runningInEnvironments"]] == ["production", "staging"]
        assert artifact["runningInEnvironments"][0] == {
            "environmentId": second,
            "environmentName": "production",
            "artifactName": "app",
            "artifactTag": "2",
            "since": newest["recordedAt"],
            "complianceState": "COMPLIANT",
        }
    again = await api.report_artifact((await api.make_trail(flow["id"]))["id"], A)
    assert again["complianceState"] == "NON_COMPLIANT"
    assert len(again["runningInEnvironments"]) == 2
    await report(api, second)
    assert (await api.send("DELETE", f"/environments/{first}")).status == 204
    assert (await api.get(f"/artifacts?sha256={A}")).json[0]["runningInEnvironments"] == []


async def test_only_the_latest_places_are_named(api: Caller) -> None:
    environment = await make_environment(api)
    await built(api, await api.make_flow(), A)
    await report(api, environment, *(line(f"service-{number}", A) for number in range(25)))
    [artifact] = (await api.get(f"/artifacts?sha256={A}")).json
    assert len(artifact["runningInEnvironments"]) == 20
    listed = await api.get(f"/artifacts/{A}/deployments?running=true")
    assert listed.headers["X-Total-Count"] == "25"


async def test_scopes_change_no_state_but_hide_whose_it_is(app_services: Services, api: Caller) -> None:
    environment, other = await make_environment(api), await make_environment(api)
    flow = await api.make_flow(name="secret", requiredAttestations=["BUILD"])
    trail = await built(api, flow, A, gitRepository="payments")
    for one in (environment, other):
        await report(api, one, line("api", A))

    async def with_scopes(*scopes: str) -> Caller:
        return replace(api, key=(await make_holder(app_services, api.tenant, "admin", scopes=[*scopes])).key)

    limited = await with_scopes(f"environment:{environment}")
    found = await compliance_of(limited, environment)
    assert (found["complianceState"], found["nonCompliant"]) == ("NON_COMPLIANT", 1)
    [artifact] = found["artifacts"]
    assert (artifact["complianceState"], artifact["flowId"], artifact["trailId"]) == ("NON_COMPLIANT", None, None)
    assert artifact["reasons"] == [
        {
            "code": "OUT_OF_SCOPE",
            "message": "a flow outside the scopes of the key decides",
            **dict.fromkeys(("attestationType", "attestationName", "attestationId", "flowId", "trailId", "policyId")),
        }
    ]
    await limited.get(f"/environments/{other}/compliance", 404)
    for scope in (f"flow:{flow['id']}", "repo:payments"):
        [artifact] = (await compliance_of(await with_scopes(f"environment:{environment}", scope), environment))[
            "artifacts"
        ]
        assert (artifact["flowId"], artifact["trailId"]) == (flow["id"], trail)
        assert artifact["reasons"][0]["message"] == "attestation BUILD is missing"
    path = f"/artifacts?sha256={A}"
    [artifact] = (await (await with_scopes(f"flow:{flow['id']}")).get(path)).json
    assert (artifact["complianceState"], artifact["runningInEnvironments"]) == ("NON_COMPLIANT", [])
    both = await with_scopes(f"flow:{flow['id']}", f"environment:{environment}")
    [artifact] = (await both.get(path)).json
    assert [one["environmentId"] for one in artifact["runningInEnvironments"]] == [environment]
