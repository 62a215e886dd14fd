"""Artifacts on the wire, by the names of version 1 and by ours."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient

from storage.services import Services
from tests.api.caller import DIGEST, Caller, found_organisation
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTITY = {
    "id",
    "trailId",
    "imageName",
    "imageTag",
    "sha256Digest",
    "registry",
    "reportedAt",
    "reportedBy",
    "orgSlug",
    "provenanceStatus",
}
"""The fields of version 1."""
OURS = {
    "flowId",
    "name",
    "tag",
    "artifactType",
    "gitCommit",
    "buildUrl",
    "commitUrl",
    "annotations",
    "complianceState",
    "runningInEnvironments",
}
OTHER = "sha256:" + "cd" * 32
SPELLINGS = [DIGEST, DIGEST.upper(), "ab" * 32, "AB" * 32, "Sha256:" + "aB" * 32]


async def new_trail(api: Caller) -> str:
    return str((await api.make_trail((await api.make_flow())["id"]))["id"])


def body(**fields: Any) -> dict[str, Any]:
    return {"imageName": "app", "imageTag": "1.0", "sha256Digest": DIGEST, **fields}


async def test_an_artifact_has_every_field_of_the_entity(api: Caller) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    made = await api.report_artifact(trail["id"])
    assert made.keys() == ENTITY | OURS
    assert_times(made, "reportedAt")
    holder = (await api.get(f"/audit?trailId={trail['id']}&eventType=TRAIL_CREATED")).json["events"][0]["actor"]
    assert {key: made[key] for key in made if key not in {"id", "reportedAt"}} == {
        "flowId": flow["id"],
        "trailId": trail["id"],
        "imageName": "app",
        "name": "app",
        "imageTag": "1.0",
        "tag": "1.0",
        "sha256Digest": DIGEST,
        "registry": None,
        "artifactType": None,
        "gitCommit": None,
        "buildUrl": None,
        "commitUrl": None,
        "annotations": {},
        "reportedBy": holder,
        "orgSlug": api.tenant.org_slug,
        "provenanceStatus": "NO_PROVENANCE",
        "complianceState": "UNKNOWN",
        "runningInEnvironments": [],
    }


async def test_an_artifact_reads_as_it_was_reported(api: Caller) -> None:
    trail_id = await new_trail(api)
    sent = body(
        registry="registry.example.com",
        artifactType="OCI",
        gitCommit="c0ffee",
        buildUrl="https://ci.example.com/1",
        commitUrl="https://git.example.com/c0ffee",
        annotations={"team": "ü\u2028", "empty": ""},
        reportedBy="ci-bot",
        orgSlug=api.tenant.org_slug,
    )
    made = (await api.post(f"/trails/{trail_id}/artifacts", sent)).json
    assert {key: made[key] for key in sent} == sent
    assert (await api.get(f"/trails/{trail_id}/artifacts")).json == [made]
    assert (await api.get(f"/artifacts?sha256={DIGEST}")).json == [made]


@pytest.mark.parametrize("names", [("imageName", "imageTag"), ("name", "tag"), ("imageName", "tag")])
async def test_both_vocabularies_are_taken_and_given(api: Caller, names: tuple[str, str]) -> None:
    sent = {names[0]: "web", names[1]: "2.0", "sha256Digest": DIGEST}
    made = (await api.post(f"/trails/{await new_trail(api)}/artifacts", sent)).json
    assert [made[key] for key in ("imageName", "name", "imageTag", "tag")] == ["web", "web", "2.0", "2.0"]


async def test_both_names_may_be_given_when_they_agree(api: Caller) -> None:
    trail_id = await new_trail(api)
    await api.post(f"/trails/{trail_id}/artifacts", body(name="app", tag="1.0"))
    for other, value in (("name", "web"), ("tag", "2.0")):
        answer = await api.post(f"/trails/{trail_id}/artifacts", body(**{other: value}), status=400)
        assert answer.fields == [other]
    assert len((await api.get(f"/trails/{trail_id}/artifacts")).json) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imageName", None),
        ("imageName", " "),
        ("imageName", "x" * 256),
        ("imageTag", None),
        ("imageTag", "x" * 256),
        ("sha256Digest", None),
        ("sha256Digest", ""),
        ("sha256Digest", "sha256:abc"),
        ("sha256Digest", "sha512:" + "a" * 64),
        ("sha256Digest", "g" * 64),
        ("sha256Digest", DIGEST + " x"),
        ("artifactType", "ZIP"),
        ("annotations", {"a": 1}),
        ("annotations", {"": "x"}),
        ("annotations", {str(n): "" for n in range(101)}),
        ("buildUrl", "x" * 2049),
        ("commitUrl", "x" * 2049),
        ("reportedBy", "x" * 256),
        ("registry", 5),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, field: str, value: Any) -> None:
    trail_id = await new_trail(api)
    answer = await api.post(f"/trails/{trail_id}/artifacts", body(**{field: value}), status=400)
    assert [named.split(".")[0] for named in answer.fields] == [field]
    assert (await api.get(f"/trails/{trail_id}/artifacts")).json == []


@pytest.mark.parametrize(("sent", "shown"), [("docker", "DOCKER"), ("File", "FILE"), ("dir", "DIR"), (None, None)])
async def test_the_type_is_taken_in_any_case(api: Caller, sent: str | None, shown: str | None) -> None:
    made = await api.report_artifact(await new_trail(api), artifactType=sent)
    assert made["artifactType"] == shown


@pytest.mark.parametrize("stored", SPELLINGS)
async def test_every_spelling_of_a_digest_finds_every_other(api: Caller, stored: str) -> None:
    """Upper case and bare hex find the same artifact."""
    made = await api.report_artifact(await new_trail(api), stored)
    assert made["sha256Digest"] == DIGEST
    for spelling in SPELLINGS:
        assert (await api.get(f"/artifacts?sha256={spelling}")).json == [made]


@pytest.mark.parametrize("digest", [OTHER, "cd" * 32, "abc", "sha256:", "", "ü"])
async def test_a_digest_that_nobody_reported_has_none(api: Caller, digest: str) -> None:
    await api.report_artifact(await new_trail(api))
    answer = await api.get("/artifacts", params={"sha256": digest})
    assert (answer.json, answer.headers["X-Total-Count"]) == ([], "0")


async def test_the_digest_must_be_asked_for(api: Caller) -> None:
    assert (await api.get("/artifacts", status=400)).fields == ["sha256"]
    assert (await api.get("/artifacts?sha=1", status=400)).fields == ["sha256"]


async def test_a_digest_is_found_over_all_trails_and_flows(api: Caller) -> None:
    flows = [await api.make_flow() for _ in range(2)]
    trails = [await api.make_trail(flow["id"]) for flow in flows for _ in range(2)]
    made = [await api.report_artifact(trail["id"], imageName=name) for trail in trails for name in ("app", "web")]
    await api.report_artifact(trails[0]["id"], OTHER)
    assert (await api.get(f"/artifacts?sha256={DIGEST}")).json == made
    assert (await api.get(f"/artifacts?sha256={DIGEST}&flowId={flows[1]['id']}")).json == made[4:]
    assert (await api.get(f"/artifacts?sha256={DIGEST}&name=web")).json == made[1::2]
    assert (await api.get(f"/artifacts?sha256={DIGEST}&name=web&flowId={flows[0]['id']}")).json == made[1:4:2]
    assert (await api.get(f"/artifacts?sha256={DIGEST}&flowId={uuid4()}")).json == []


async def test_pages_of_a_digest(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = [await api.report_artifact(trail_id, imageTag=str(n)) for n in range(5)]
    for path in (f"/artifacts?sha256={DIGEST}&", f"/trails/{trail_id}/artifacts?"):
        first = await api.get(f"{path}size=3")
        assert (first.json, first.headers["X-Total-Count"]) == (made[:3], "5")
        target = first.headers["Link"].partition(">")[0].removeprefix("<")
        assert (await api.get(target)).json == made[3:]
        assert (await api.get(f"{path}size=3&page=1")).json == made[3:]


async def test_an_unknown_trail_is_404(api: Caller) -> None:
    await api.post(f"/trails/{uuid4()}/artifacts", body(), status=404)
    await api.get(f"/trails/{uuid4()}/artifacts", status=404)
    await api.post(f"/trails/{await new_trail(api)}/artifacts", body(orgSlug="default"), status=404)


async def test_a_repeated_report_answers_the_first(api: Caller) -> None:
    trail_id = await new_trail(api)
    first = await api.report_artifact(trail_id, registry="one")
    again = await api.report_artifact(trail_id, "AB" * 32, registry="two", reportedBy="somebody else")
    assert again == first
    assert (await api.get(f"/trails/{trail_id}/artifacts")).json == [first]
    events = (await api.get(f"/audit?trailId={trail_id}")).json["events"]
    assert sorted(event["eventType"] for event in events) == ["ARTIFACT_DEPLOYED", "ARTIFACT_REPORTED", "TRAIL_CREATED"]


async def test_twenty_parallel_reports_of_one_artifact_are_one(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = await asyncio.gather(*(api.report_artifact(trail_id) for _ in range(20)))
    assert [one["id"] for one in made] == [made[0]["id"]] * 20
    answer = await api.get(f"/trails/{trail_id}/artifacts")
    assert (answer.json, answer.headers["X-Total-Count"]) == (made[:1], "1")
    reported = (await api.get(f"/audit?trailId={trail_id}&eventType=ARTIFACT_REPORTED")).json
    assert reported["totalElements"] == 1


async def test_the_audit_names_the_caller_and_the_artifact(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = await api.report_artifact(trail_id, reportedBy="admin")
    assert made["reportedBy"] == "admin"
    for name in ("ARTIFACT_REPORTED", "ARTIFACT_DEPLOYED"):
        [event] = (await api.get(f"/audit?trailId={trail_id}&eventType={name}")).json["events"]
        assert event["actor"] != "admin"
        assert event["artifactSha256"] == DIGEST
        assert json.loads(event["payload"])["artifactId"] == made["id"]


async def test_a_dry_run_tells_and_keeps_nothing(api: Caller) -> None:
    trail_id = await new_trail(api)
    path = f"/trails/{trail_id}/artifacts?dryRun=true"
    would = (await api.post(path, body(registry="r"), status=200)).json["wouldCreate"]
    assert (would["trailId"], would["registry"], would["provenanceStatus"]) == (trail_id, "r", "NO_PROVENANCE")
    await api.post(f"/trails/{uuid4()}/artifacts?dryRun=true", body(), status=404)
    await api.post(path, body(sha256Digest="x"), status=400)
    assert (await api.get(f"/trails/{trail_id}/artifacts")).json == []
    assert (await api.get(f"/artifacts?sha256={DIGEST}")).json == []
    made = await api.report_artifact(trail_id)
    assert (await api.post(path, body(), status=200)).json["wouldCreate"] == made


async def test_another_organisations_artifacts_are_not_ours(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger = await found_organisation(http, app_services)
    trail_id = await new_trail(api)
    mine = await api.report_artifact(trail_id)
    theirs = await stranger.report_artifact(await new_trail(stranger))
    assert (await api.get(f"/artifacts?sha256={DIGEST}")).json == [mine]
    assert (await stranger.get(f"/artifacts?sha256={DIGEST}")).json == [theirs]
    assert (await stranger.get(f"/artifacts?sha256={DIGEST}&flowId={mine['flowId']}")).json == []
    await stranger.post(f"/trails/{trail_id}/artifacts", body(), status=404)
    await stranger.get(f"/trails/{trail_id}/artifacts", status=404)
