"""Attestations on the wire, by the names of version 1 and by ours."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient

from domain.facts.attestations import ResultStatus
from storage.facts.commands.results import NewResult, add_results
from storage.services import Services
from tests.api.caller import DIGEST, NOBODY, V1, Answer, Caller, found_organisation
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTITY = {
    "id",
    "trailId",
    "type",
    "status",
    "details",
    "name",
    "evidenceUrl",
    "evidenceFileHash",
    "evidenceFileName",
    "evidenceFileSizeBytes",
    "compliant",
    "orgSlug",
    "artifactFingerprint",
    "createdAt",
}
"""The fields of version 1."""
OURS = {
    "description",
    "metadata",
    "attestedBy",
    "origin",
    "receiptId",
    "observedAt",
    "targetArtifact",
    "gitCommit",
    "identity",
    "run",
}


async def new_trail(api: Caller) -> str:
    flow = await api.make_flow()
    return str((await api.make_trail(flow["id"]))["id"])


async def test_an_attestation_has_every_field_of_the_entity_and_nulls(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = (await api.post(f"/trails/{trail_id}/attestations", {"type": "BUILD"})).json
    assert made.keys() == ENTITY | OURS
    assert_times(made, "createdAt", "observedAt")
    told = {key: made[key] for key in made if key not in {"id", "createdAt", "observedAt"}}
    assert told == dict.fromkeys((ENTITY | OURS) - {"id", "createdAt", "observedAt"}) | {
        "trailId": trail_id,
        "type": "BUILD",
        "status": "PENDING",
        "compliant": False,
        "orgSlug": api.tenant.org_slug,
        "origin": "api",
        "identity": "type:BUILD",
    }


async def test_an_attestation_reads_as_it_was_recorded(api: Caller) -> None:
    trail_id = await new_trail(api)
    sent = {
        "type": "junit",
        "status": "FAILED",
        "name": "unit tests",
        "details": "2 of 412 failed",
        "description": "the nightly run",
        "metadata": {"suite": {"failed": [1, 2.5, None, "ü\u2028"]}, "": True},
        "evidenceUrl": "https://ci.example.com/1",
        "artifactFingerprint": DIGEST,
        "targetArtifact": "app",
        "gitCommit": "c0ffee",
        "attestedBy": "ada",
        "orgSlug": api.tenant.org_slug,
    }
    made = (await api.post(f"/trails/{trail_id}/attestations", sent)).json
    assert {key: made[key] for key in sent} == sent
    assert made["identity"] == "unit tests"
    assert (await api.get(f"/trails/{trail_id}/attestations")).json == [made]
    assert (await api.get(f"/trails/{trail_id}/attestations/{made['id']}")).json == made


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, "PENDING"),
        ({"status": None}, "PENDING"),
        ({"status": None, "passed": None}, "PENDING"),
        ({"status": "passed"}, "PASSED"),
        ({"status": "Failed"}, "FAILED"),
        ({"passed": True}, "PASSED"),
        ({"passed": False}, "FAILED"),
        ({"passed": True, "status": "PASSED"}, "PASSED"),
        ({"passed": False, "status": "failed"}, "FAILED"),
    ],
)
async def test_a_result_is_taken_as_status_or_as_passed(api: Caller, sent: Any, status: str) -> None:
    made = (await api.post(f"/trails/{await new_trail(api)}/attestations", {"type": "TEST", **sent})).json
    assert made["status"] == status
    assert made["compliant"] is (status == "PASSED")


@pytest.mark.parametrize(
    ("status", "passed"), [("FAILED", True), ("PASSED", False), ("PENDING", True), ("PENDING", False)]
)
async def test_status_and_passed_must_not_contradict_each_other(api: Caller, status: str, passed: bool) -> None:
    trail_id = await new_trail(api)
    body = {"type": "TEST", "status": status, "passed": passed}
    assert "passed" in (await api.post(f"/trails/{trail_id}/attestations", body, status=400)).json["message"]
    assert len((await api.get(f"/trails/{trail_id}/attestations")).json) == 0


@pytest.mark.parametrize(
    ("sent", "details", "description"),
    [
        ({"details": "a"}, "a", None),
        ({"description": "b"}, "b", "b"),
        ({"details": "a", "description": "b"}, "a", "b"),
        ({"details": "", "description": "b"}, "", "b"),
        ({"details": None, "description": "b"}, "b", "b"),
    ],
)
async def test_details_fall_back_to_the_description(
    api: Caller, sent: Any, details: str, description: str | None
) -> None:
    made = await api.attest(await new_trail(api), **sent)
    assert (made["details"], made["description"]) == (details, description)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", None),
        ("type", " "),
        ("type", "x" * 256),
        ("status", "OK"),
        ("status", ""),
        ("status", 1),
        ("passed", "maybe"),
        ("name", ""),
        ("name", "x" * 256),
        ("name", "type:TEST"),
        ("name", "type:"),
        ("artifactFingerprint", "sha256:" + "g" * 64),
        ("artifactFingerprint", "a" * 63),
        ("artifactFingerprint", "md5:" + "a" * 64),
        ("artifactFingerprint", ""),
        ("artifactSha256", "sha256:"),
        ("sha256Digest", "a" * 65),
        ("sha256Digest", DIGEST + "\n"),
        ("targetArtifact", " "),
        ("gitCommit", "x" * 256),
        ("details", "x" * 65_537),
        ("metadata", [1]),
        ("metadata", "{}"),
        ("evidenceUrl", "x" * 2049),
        ("attestedBy", "x" * 256),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, field: str, value: Any) -> None:
    trail_id = await new_trail(api)
    answer = await api.post(f"/trails/{trail_id}/attestations", {"type": "TEST", field: value}, status=400)
    assert answer.fields == [field]
    assert (await api.get(f"/trails/{trail_id}/attestations")).json == []


@pytest.mark.parametrize("name", ["typed", "Type:TEST", "a type:TEST"])
async def test_only_the_prefix_of_unnamed_ones_is_refused_in_a_name(api: Caller, name: str) -> None:
    assert (await api.attest(await new_trail(api), name=name))["name"] == name


@pytest.mark.parametrize("field", ["artifactFingerprint", "artifactSha256", "sha256Digest"])
@pytest.mark.parametrize("spelling", [DIGEST, DIGEST.upper(), "ab" * 32, "AB" * 32, "Sha256:" + "aB" * 32])
async def test_a_digest_has_many_names_and_spellings_and_is_shown_in_one(
    api: Caller, field: str, spelling: str
) -> None:
    made = await api.attest(await new_trail(api), **{field: spelling})
    assert made["artifactFingerprint"] == DIGEST


async def test_two_digests_must_agree(api: Caller) -> None:
    trail_id = await new_trail(api)
    same = await api.attest(trail_id, artifactFingerprint="AB" * 32, sha256Digest=DIGEST, artifactSha256="ab" * 32)
    assert same["artifactFingerprint"] == DIGEST
    differing = {"type": "TEST", "artifactFingerprint": DIGEST, "sha256Digest": "cd" * 32}
    assert (await api.post(f"/trails/{trail_id}/attestations", differing, status=400)).fields == ["sha256Digest"]


async def test_an_unknown_trail_is_404(api: Caller) -> None:
    path = f"/trails/{uuid4()}/attestations"
    await api.post(path, {"type": "TEST"}, status=404)
    await api.get(path, status=404)
    await api.post("/attestations", {"type": "TEST", "trailId": str(uuid4())}, status=404)


async def test_an_attestation_of_another_trail_is_404(api: Caller) -> None:
    trail_id, other = await new_trail(api), await new_trail(api)
    made = await api.attest(trail_id)
    await api.get(f"/trails/{other}/attestations/{made['id']}", status=404)
    await api.get(f"/trails/{trail_id}/attestations/{uuid4()}", status=404)


async def test_the_trail_may_stand_in_the_body(api: Caller) -> None:
    """What the shipped workflows call."""
    trail_id = await new_trail(api)
    sent = {"type": "junit", "passed": False, "name": "unit", "trailId": trail_id, "artifactSha256": DIGEST}
    made = (await api.post("/attestations", sent)).json
    assert (made["trailId"], made["status"], made["artifactFingerprint"]) == (trail_id, "FAILED", DIGEST)
    assert (await api.get(f"/trails/{trail_id}/attestations")).json == [made]
    assert await api.status_of(trail_id) == "NON_COMPLIANT"


async def test_the_alias_refuses_what_the_path_refuses(
    api: Caller, http: TestClient[Any, Any], app_services: Services
) -> None:
    trail_id = await new_trail(api)
    assert (await api.post("/attestations", {"type": "TEST"}, status=400)).fields == ["trailId"]
    assert (await api.post("/attestations", {"trailId": "x", "type": "TEST"}, status=400)).fields == ["trailId"]
    assert (await api.post("/attestations", {"trailId": trail_id}, status=400)).fields == ["type"]
    foreign = {"trailId": trail_id, "type": "TEST", "orgSlug": "default"}
    await api.post("/attestations", foreign, status=404)
    stranger = await found_organisation(http, app_services)
    await stranger.post("/attestations", {"trailId": trail_id, "type": "TEST"}, status=404)
    rehearsed = (await api.post("/attestations?dryRun=true", {"trailId": trail_id, "type": "TEST"}, status=200)).json
    assert rehearsed["wouldCreate"]["trailId"] == trail_id
    assert (await api.get(f"/trails/{trail_id}/attestations")).json == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("type=A", [0, 1, 4]),
        ("type=a", []),
        ("type=B", [2, 3]),
        ("name=one", [1, 2]),
        ("type=A&name=one", [1]),
        ("status=PASSED", [0, 3]),
        ("status=passed&type=A", [0]),
        ("status=FAILED", [1, 2]),
        ("status=PENDING&name=one", []),
        ("", [0, 1, 2, 3, 4]),
    ],
)
async def test_filters(api: Caller, query: str, expected: list[int]) -> None:
    trail_id = await new_trail(api)
    made = [
        await api.attest(trail_id, "A", "PASSED"),
        await api.attest(trail_id, "A", "FAILED", name="one"),
        await api.attest(trail_id, "B", "FAILED", name="one"),
        await api.attest(trail_id, "B", "PASSED", name="two"),
        await api.attest(trail_id, "A", "PENDING"),
    ]
    answer = await api.get(f"/trails/{trail_id}/attestations?{query}")
    assert answer.json == [made[place] for place in expected]
    assert answer.headers["X-Total-Count"] == str(len(expected))
    first = await api.get(f"/trails/{trail_id}/attestations?{query}&size=1")
    assert first.json["totalItems"] == len(expected)
    assert ("Link" in first.headers) == (len(expected) > 1)


@pytest.mark.parametrize(("query", "size"), [("page=0", 20), ("size=2", 2), ("page=1&size=2", 2)])
async def test_with_page_or_size_the_list_is_a_page_object(api: Caller, query: str, size: int) -> None:
    trail_id = await new_trail(api)
    made = [await api.attest(trail_id) for _ in range(3)]
    page = (await api.get(f"/trails/{trail_id}/attestations?{query}")).json
    first = page["page"] * size
    assert page["items"] == made[first : first + size]
    assert (page["size"], page["totalItems"], page["totalPages"]) == (size, 3, -(-3 // size))


async def test_a_link_leads_to_an_answer_of_the_same_shape(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    trail_id = await new_trail(api)
    made = [await api.attest(trail_id) for _ in range(21)]
    first = await api.get(f"/trails/{trail_id}/attestations?page=0")
    second = await api.get(following(first))
    assert (first.json["items"], second.json["items"]) == (made[:20], made[20:])
    monkeypatch.setattr("api.http.paging.MAX_SIZE", 20)
    first = await api.get(f"/trails/{trail_id}/attestations")
    second = await api.get(following(first))
    assert (first.json, second.json) == (made[:20], made[20:])


def following(answer: Answer) -> str:
    """Where the Link header leads, without the base path."""
    return answer.headers["Link"].partition(">")[0].removeprefix(f"<{V1}")


async def test_a_filter_by_status_looks_at_the_newest_result(api: Caller, app_services: Services) -> None:
    trail_id = await new_trail(api)
    made = await api.attest(trail_id, "A", "PENDING")
    new = NewResult(UUID(trail_id), UUID(made["id"]), ResultStatus.FAILED, NOBODY)
    async with app_services.database.transaction() as tx:
        await add_results(tx, api.tenant, [new])
    assert (await api.get(f"/trails/{trail_id}/attestations?status=PENDING")).json == []
    [found] = (await api.get(f"/trails/{trail_id}/attestations?status=FAILED")).json
    assert found == {**made, "status": "FAILED"}
    assert (await api.get(f"/trails/{trail_id}/attestations/{made['id']}")).json == found


async def test_evidence_for_one_artifact_says_nothing_of_another(api: Caller) -> None:
    """The latest result is kept per digest and slot: a failure of one is not redeemed by a pass of the other."""
    trail_id = await new_trail(api)
    await api.attest(trail_id, "snyk", "FAILED", artifactFingerprint=DIGEST)
    await api.attest(trail_id, "snyk", "PASSED", artifactFingerprint="cd" * 32)
    await api.attest(trail_id, "snyk", "PASSED", targetArtifact="app")
    assert await api.status_of(trail_id) == "NON_COMPLIANT"
    await api.attest(trail_id, "snyk", "PASSED", sha256Digest=DIGEST.upper())
    assert await api.status_of(trail_id) == "COMPLIANT"


async def test_nothing_is_ever_replaced(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = [await api.attest(trail_id, "TEST", status) for status in ("PASSED", "FAILED", "PASSED")]
    answer = await api.get(f"/trails/{trail_id}/attestations")
    assert answer.json == made
    assert answer.headers["X-Total-Count"] == "3"


async def test_the_actor_is_the_caller_and_the_body_is_a_claim(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = await api.attest(trail_id, attestedBy="admin")
    assert made["attestedBy"] == "admin"
    [event] = (await api.get(f"/audit?trailId={trail_id}&eventType=ATTESTATION_RECORDED")).json["events"]
    [created] = (await api.get(f"/audit?trailId={trail_id}&eventType=TRAIL_CREATED")).json["events"]
    assert event["actor"] == created["actor"] != "admin"
