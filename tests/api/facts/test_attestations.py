"""Attestations on the wire: facts.md 7.1, 7.2, 28.2 and the naming conflict C07."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.facts.caller import Caller
from tests.api.facts.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
"""facts.md 7.1."""
OURS = {"description", "metadata", "attestedBy", "origin", "receiptId", "observedAt"}


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
        "orgSlug": api.scope.org_slug,
        "origin": "api",
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
        "attestedBy": "ada",
        "orgSlug": api.scope.org_slug,
    }
    made = (await api.post(f"/trails/{trail_id}/attestations", sent)).json
    assert {key: made[key] for key in sent} == sent
    page = await api.get(f"/trails/{trail_id}/attestations")
    assert page.json == {"items": [made], "page": 0, "size": 20, "totalItems": 1, "totalPages": 1}


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
    assert (await api.get(f"/trails/{trail_id}/attestations")).json["totalItems"] == 0


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
    assert (await api.get(f"/trails/{trail_id}/attestations")).json["items"] == []


async def test_an_unknown_trail_is_404(api: Caller) -> None:
    path = f"/trails/{uuid4()}/attestations"
    await api.post(path, {"type": "TEST"}, status=404)
    await api.get(path, status=404)


async def test_nothing_is_ever_replaced(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = [await api.attest(trail_id, "TEST", status) for status in ("PASSED", "FAILED", "PASSED")]
    page = (await api.get(f"/trails/{trail_id}/attestations")).json
    assert page["items"] == made
    assert page["totalItems"] == 3


async def test_the_actor_is_the_caller_and_the_body_is_a_claim(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = await api.attest(trail_id, attestedBy="admin")
    assert made["attestedBy"] == "admin"
    [event] = (await api.get(f"/audit?trailId={trail_id}&eventType=ATTESTATION_RECORDED")).json["events"]
    [created] = (await api.get(f"/audit?trailId={trail_id}&eventType=TRAIL_CREATED")).json["events"]
    assert event["actor"] == created["actor"] != "admin"
