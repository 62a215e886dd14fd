"""Test coverage on the wire."""

from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from storage.services import Services
from tests.api.caller import Caller
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def new_trail(api: Caller) -> str:
    flow = await api.make_flow(requiredAttestations=["test-coverage"])
    return str((await api.make_trail(flow["id"]))["id"])


async def cover(api: Caller, trail_id: str, **fields: Any) -> Any:
    return (await api.post(f"/trails/{trail_id}/coverage", {"tool": "jacoco", **fields})).json


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ({"lineCoverage": 85, "minCoverage": 80}, True),
        ({"lineCoverage": 70, "minCoverage": 80}, False),
        ({"lineCoverage": 85, "branchCoverage": 70.5, "minCoverage": 80}, False),
        ({"lineCoverage": 0.0}, True),
        ({}, True),
        ({"minCoverage": 80}, False),
    ],
)
async def test_the_verdict_turns_the_trail(api: Caller, sent: dict[str, float], passed: bool) -> None:
    trail_id = await new_trail(api)
    made = await cover(api, trail_id, **sent)
    assert made["passed"] is passed
    assert await api.status_of(trail_id) == ("COMPLIANT" if passed else "NON_COMPLIANT")
    await cover(api, trail_id, lineCoverage=100, minCoverage=100)
    assert await api.status_of(trail_id) == "COMPLIANT"


async def test_a_report_has_every_field_and_is_an_attestation(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = await cover(api, trail_id)
    assert_times(made, "createdAt")
    assert {key: value for key, value in made.items() if key not in {"id", "createdAt"}} == {
        "trailId": trail_id,
        "tool": "jacoco",
        "lineCoverage": None,
        "branchCoverage": None,
        "minCoverage": None,
        "passed": True,
        "reportFileName": None,
        "reportFileHash": None,
        "details": None,
    }
    sent = {
        "lineCoverage": 85.25,
        "branchCoverage": 70,
        "minCoverage": 99.9,
        "reportFileName": "jacoco.xml",
        "details": "ü",
    }
    full = await cover(api, trail_id, **sent)
    assert {key: full[key] for key in sent} == sent
    assert (await api.get(f"/trails/{trail_id}/coverage")).json == [made, full]
    attestation = (await api.get(f"/trails/{trail_id}/attestations/{full['id']}")).json
    assert (attestation["type"], attestation["name"], attestation["status"]) == ("test-coverage", None, "FAILED")
    assert attestation["details"] == "jacoco: line 85.25 %, branch 70 %, minimum 99.9 %: failed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tool", None),
        ("tool", " "),
        ("lineCoverage", -0.1),
        ("lineCoverage", 100.001),
        ("branchCoverage", "85"),
        ("branchCoverage", True),
        ("minCoverage", 101),
        ("reportFileName", "x" * 256),
        ("details", "x" * 65_537),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, field: str, value: Any) -> None:
    trail_id = await new_trail(api)
    answer = await api.post(f"/trails/{trail_id}/coverage", {"tool": "t", field: value}, status=400)
    assert answer.fields == [field]
    assert (await api.get(f"/trails/{trail_id}/coverage")).json == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
async def test_what_is_no_number_is_refused(api: Caller, number: str) -> None:
    trail_id = await new_trail(api)
    raw = f'{{"tool": "t", "lineCoverage": {number}}}'
    headers = {"Content-Type": "application/json"}
    answer = await api.send("POST", f"/trails/{trail_id}/coverage", data=raw, headers=headers)
    assert (answer.status, answer.fields) == (400, ["lineCoverage"])


async def test_other_attestations_are_no_coverage(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = await cover(api, trail_id, lineCoverage=50)
    await api.attest(trail_id, "test-coverage", "FAILED", details="by hand")
    await api.attest(trail_id, "junit")
    item = {"trailId": trail_id, "evidenceType": "test-coverage", "tool": "lcov", "passed": True}
    await api.post("/evidence/collect", {"items": [item]})
    answer = await api.get(f"/trails/{trail_id}/coverage")
    assert (answer.json, answer.headers["X-Total-Count"]) == ([made], "1")


async def test_the_uploaded_report_is_shown(api: Caller, app_services: Services) -> None:
    trail_id = await new_trail(api)
    made = await cover(api, trail_id)
    digest = sha256(b"report").hexdigest()
    async with app_services.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO evidence (id, org_id, attestation_id, trail_id, digest, name, size, media_type, uploaded_by, "
            "created_at) VALUES (gen_random_uuid(), $1, $2, $3, $4, 'jacoco.xml', 6, 'text/xml', $1, now())",
            api.tenant.org_id,
            UUID(made["id"]),
            UUID(trail_id),
            f"sha256:{digest}",
        )
    [shown] = (await api.get(f"/trails/{trail_id}/coverage")).json
    assert shown == {**made, "reportFileHash": digest, "reportFileName": "jacoco.xml"}


async def test_pages(api: Caller) -> None:
    trail_id = await new_trail(api)
    made = [await cover(api, trail_id, lineCoverage=n) for n in range(3)]
    first = await api.get(f"/trails/{trail_id}/coverage?size=2")
    assert (first.json, first.headers["X-Total-Count"]) == (made[:2], "3")
    target = first.headers["Link"].partition(">")[0].removeprefix("<")
    assert (await api.get(target)).json == made[2:]


async def test_unknown_trails_and_dry_runs(api: Caller) -> None:
    await api.post(f"/trails/{uuid4()}/coverage", {"tool": "t"}, status=404)
    await api.get(f"/trails/{uuid4()}/coverage", status=404)
    trail_id = await new_trail(api)
    would = await api.post(f"/trails/{trail_id}/coverage?dryRun=true", {"tool": "t", "minCoverage": 1}, status=200)
    assert would.json["wouldCreate"]["passed"] is False
    assert (await api.get(f"/trails/{trail_id}/coverage")).json == []
    assert await api.status_of(trail_id) == "PENDING"
