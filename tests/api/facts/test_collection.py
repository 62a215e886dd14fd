"""Evidence in bulk, the summary of a trail, and gaps."""

from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient

from storage.services import Services
from tests.api.caller import Caller, found_organisation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def new_trail(api: Caller, *required: str) -> str:
    return str((await api.make_trail((await api.make_flow(requiredAttestations=required))["id"]))["id"])


def item(trail_id: str, type_: str = "license", passed: Any = True, **fields: Any) -> dict[str, Any]:
    return {"trailId": trail_id, "evidenceType": type_, "tool": "scancode", "passed": passed, **fields}


async def collect(api: Caller, *items: Any, **request: Any) -> Any:
    return (await api.post("/evidence/collect", {"items": list(items)}, **request)).json


async def test_each_item_becomes_an_attestation_of_its_trail(api: Caller) -> None:
    one, two = await new_trail(api, "license"), await new_trail(api, "license")
    answer = await collect(api, item(two), item(one, passed=False, details="GPL"), item(one, "sbom"))
    assert (answer["accepted"], answer["failed"]) == (3, 0)
    found = {
        made["id"]: made for trail_id in (one, two) for made in (await api.get(f"/trails/{trail_id}/attestations")).json
    }
    assert [result["index"] for result in answer["results"]] == [0, 1, 2]
    for result in answer["results"]:
        made = found.pop(result["attestationId"])
        assert (made["trailId"], made["type"]) == (result["trailId"], result["evidenceType"])
        assert made["status"] == ("PASSED" if result["passed"] else "FAILED")
        assert made["details"] == ("GPL" if made["status"] == "FAILED" else None)
        assert result["error"] is None
    assert found == {}
    assert (await api.status_of(one), await api.status_of(two)) == ("NON_COMPLIANT", "COMPLIANT")


BAD: list[tuple[Any, str]] = [
    ({"trailId": "x"}, "trailId"),
    ({"trailId": None}, "trailId"),
    ({"evidenceType": " "}, "evidenceType"),
    ({"evidenceType": 5}, "evidenceType"),
    ({"evidenceType": "x" * 256}, "evidenceType"),
    ({"tool": None}, "tool"),
    ({"passed": "yes"}, "passed"),
    ({"passed": None}, "passed"),
    ({"details": {}}, "details"),
]


async def test_a_bad_item_is_told_by_its_place_and_the_others_are_recorded(api: Caller) -> None:
    trail_id, unknown = await new_trail(api, "license"), str(uuid4())
    bad = [{**item(trail_id), **change} for change, _ in BAD]
    answer = await collect(api, item(trail_id, "a"), item(unknown), *bad, "text", None, [], item(trail_id, "b"))
    results = answer["results"]
    assert (answer["accepted"], answer["failed"]) == (2, len(bad) + 4)
    assert [result["index"] for result in results] == list(range(len(bad) + 6))
    assert [result["attestationId"] is not None for result in results] == [True, *[False] * (len(bad) + 4), True]
    assert unknown in results[1]["error"]
    assert (results[1]["trailId"], results[1]["evidenceType"], results[1]["passed"]) == (unknown, "license", True)
    for result, (_, field) in zip(results[2:], BAD, strict=False):
        assert result["error"].startswith(f"{field}: ")
        assert result["trailId"] is None
    assert all(result["error"] for result in results[1:-1])
    made = (await api.get(f"/trails/{trail_id}/attestations")).json
    assert [one["type"] for one in made] == ["a", "b"]


async def test_nothing_good_is_no_failure_of_the_request(api: Caller) -> None:
    answer = await collect(api, item(str(uuid4())), 5)
    assert (answer["accepted"], answer["failed"]) == (0, 2)


@pytest.mark.parametrize("items", [None, [], {}, "x", [item(str(uuid4()))] * 501])
async def test_a_request_without_a_list_of_1_to_500_is_refused(api: Caller, items: Any) -> None:
    assert (await api.post("/evidence/collect", {"items": items}, status=400)).fields == ["items"]


async def test_five_hundred_items_at_once(api: Caller) -> None:
    trails = [await new_trail(api) for _ in range(5)]
    answer = await collect(api, *[item(trails[n % 5], f"type-{n}") for n in range(500)])
    assert answer["accepted"] == 500
    assert len({result["attestationId"] for result in answer["results"]}) == 500
    for trail_id in trails:
        assert (await api.get(f"/trails/{trail_id}/attestations?size=1")).json["totalItems"] == 100


async def test_a_dry_run_of_a_collection(api: Caller) -> None:
    trail_id = await new_trail(api)
    would = (await collect(api, item(trail_id), item(str(uuid4())), status=200, params={"dryRun": "true"}))[
        "wouldCreate"
    ]
    assert (would["accepted"], would["failed"]) == (1, 1)
    assert len((await api.get(f"/trails/{trail_id}/attestations")).json) == 0


async def test_a_foreign_trail_is_unknown_to_a_collection(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger = await found_organisation(http, app_services)
    trail_id = await new_trail(api)
    foreign, missing = await collect(stranger, item(trail_id)), str(uuid4())
    unknown = await collect(stranger, item(missing))
    assert foreign["failed"] == 1
    assert foreign["results"][0]["error"].replace(trail_id, missing) == unknown["results"][0]["error"]
    assert len((await api.get(f"/trails/{trail_id}/attestations")).json) == 0
    await stranger.get(f"/trails/{trail_id}/evidence-summary", status=404)
    assert (await stranger.get("/evidence/gaps")).json == {"gaps": [], "totalTrailsWithGaps": 0}


async def summary(api: Caller, trail_id: str) -> Any:
    return (await api.get(f"/trails/{trail_id}/evidence-summary")).json


async def test_a_summary_of_nothing(api: Caller) -> None:
    trail_id = await new_trail(api, "a", "b")
    assert await summary(api, trail_id) == {
        "trailId": trail_id,
        "collectedTypes": [],
        "coverageReports": [],
        "totalAttestations": 0,
        "passedAttestations": 0,
        "failedAttestations": 0,
        "pendingAttestations": 0,
        "isComplete": False,
        "missingRequiredTypes": ["a", "b"],
        "failedRequiredTypes": [],
        "missingRequiredNames": [],
        "failedRequiredNames": [],
        "missingArtifacts": [],
        "details": None,
    }
    await api.get(f"/trails/{uuid4()}/evidence-summary", status=404)


async def test_a_summary_is_complete_only_when_everything_passed(api: Caller) -> None:
    """A failed one must not count as collected evidence that suffices."""
    trail_id = await new_trail(api, "a", "b")
    await api.attest(trail_id, "a", "FAILED")
    await api.attest(trail_id, "b", "PENDING")
    found = await summary(api, trail_id)
    assert (found["isComplete"], found["collectedTypes"]) == (False, ["a", "b"])
    assert (found["failedRequiredTypes"], found["missingRequiredTypes"]) == (["a"], ["b"])
    await api.attest(trail_id, "a")
    await api.attest(trail_id, "b")
    coverage = (await api.post(f"/trails/{trail_id}/coverage", {"tool": "t", "lineCoverage": 5})).json
    found = await summary(api, trail_id)
    assert (found["isComplete"], found["failedRequiredTypes"], found["missingRequiredTypes"]) == (True, [], [])
    assert found["collectedTypes"] == ["a", "b", "test-coverage"]
    assert found["coverageReports"] == [coverage]
    numbers = [found[f"{name}Attestations"] for name in ("total", "passed", "failed", "pending")]
    assert numbers == [5, 3, 1, 1]


async def test_gaps_of_all_flows_and_of_one(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["a", "b"])
    first, done, second = [(await api.make_trail(flow["id"]))["id"] for _ in range(3)]
    for type_ in ("a", "b"):
        await api.attest(done, type_)
    await api.attest(second, "a", "FAILED")
    elsewhere = await new_trail(api, "c")
    answer = await api.get("/evidence/gaps")
    assert answer.json["totalTrailsWithGaps"] == 3
    assert answer.headers["X-Total-Count"] == "3"
    assert [gap["trailId"] for gap in answer.json["gaps"]] == [first, second, elsewhere]
    assert answer.json["gaps"][1] == {
        "trailId": second,
        "gitCommitSha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "gitBranch": "main",
        "flowId": flow["id"],
        "missingTypes": ["b"],
        "failedRequiredTypes": ["a"],
        "missingNames": [],
        "failedRequiredNames": [],
        "missingArtifacts": [],
        "details": None,
        "trailStatus": "NON_COMPLIANT",
    }
    one = (await api.get(f"/evidence/gaps?flowId={flow['id']}")).json
    assert (len(one["gaps"]), one["totalTrailsWithGaps"]) == (2, 2)
    assert (await api.get(f"/evidence/gaps?flowId={uuid4()}")).json["gaps"] == []


async def test_pages_of_gaps(api: Caller) -> None:
    trails = [await new_trail(api, "a") for _ in range(3)]
    first = await api.get("/evidence/gaps?size=2")
    assert [gap["trailId"] for gap in first.json["gaps"]] == trails[:2]
    assert first.json["totalTrailsWithGaps"] == 3
    target = first.headers["Link"].partition(">")[0].removeprefix("<")
    assert [gap["trailId"] for gap in (await api.get(target)).json["gaps"]] == trails[2:]
