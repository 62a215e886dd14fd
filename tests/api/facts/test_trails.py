"""Trails on the wire."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.api.caller import COMMIT, Caller, trail_body, unique
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTITY = {
    "id",
    "flowId",
    "gitCommitSha",
    "gitBranch",
    "gitAuthor",
    "gitAuthorEmail",
    "pullRequestId",
    "pullRequestReviewer",
    "deploymentActor",
    "status",
    "orgSlug",
    "templateYaml",
    "buildUrl",
    "name",
    "createdAt",
    "updatedAt",
}
"""The fields of version 1."""
OURS = {"pullRequestNumber", "flowVersion", "gitRepository"}


async def test_a_trail_has_every_field_of_the_entity_and_nulls(api: Caller) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    assert trail.keys() == ENTITY | OURS
    assert_times(trail, "createdAt", "updatedAt")
    told = {key: trail[key] for key in trail if key not in {"id", "createdAt", "updatedAt"}}
    assert told == {
        **trail_body(flow["id"]),
        "pullRequestId": None,
        "pullRequestNumber": None,
        "pullRequestReviewer": None,
        "deploymentActor": None,
        "status": "PENDING",
        "orgSlug": api.tenant.org_slug,
        "templateYaml": None,
        "buildUrl": None,
        "name": None,
        "flowVersion": 1,
        "gitRepository": None,
    }


async def test_a_trail_reads_as_it_was_created(api: Caller) -> None:
    flow = await api.make_flow()
    sent = trail_body(
        flow["id"],
        pullRequestId="ABC-7",
        pullRequestReviewer="grace",
        deploymentActor="alan",
        orgSlug=api.tenant.org_slug,
        buildUrl="https://ci.example.com/1",
        gitRepository="acme/app",
        name="release 7",
        unknownField=1,
    )
    made = (await api.post("/trails", sent)).json
    assert {key: made[key] for key in sent if key != "unknownField"} == {k: sent[k] for k in sent if k in made}
    assert made["pullRequestNumber"] is None
    assert (await api.get(f"/trails/{made['id']}")).json == made
    assert (await api.get("/trails")).json == [made]
    assert (await api.get(f"/flows/{flow['id']}/trails")).json["items"] == [made]


@pytest.mark.parametrize(
    ("sent", "text", "number"),
    [
        ({"pullRequestNumber": 42}, "42", 42),
        ({"pullRequestId": "42"}, "42", 42),
        ({"pullRequestId": "PR-42"}, "PR-42", None),
        ({"pullRequestId": "\u00b2"}, "\u00b2", None),
        ({"pullRequestId": "9" * 20}, "9" * 20, None),  # beyond what a client's 64 bits hold
        ({"pullRequestId": "42", "pullRequestNumber": 42}, "42", 42),
        ({"pullRequestId": None, "pullRequestNumber": None}, None, None),
    ],
)
async def test_both_names_of_the_pull_request(api: Caller, sent: Any, text: str | None, number: int | None) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"], **sent)
    assert (trail["pullRequestId"], trail["pullRequestNumber"]) == (text, number)


async def test_a_pull_request_id_may_be_sent_as_a_number(api: Caller) -> None:
    flow = await api.make_flow()
    made = await api.make_trail(flow["id"], pullRequestId=42)
    assert (made["pullRequestId"], made["pullRequestNumber"]) == ("42", 42)
    same = await api.make_trail(flow["id"], pullRequestId=42, pullRequestNumber=42)
    assert same["pullRequestId"] == "42"


@pytest.mark.parametrize("absent", [{}, {"gitAuthorEmail": None}])
async def test_a_trail_needs_no_email_address(api: Caller, absent: dict[str, None]) -> None:
    body = trail_body((await api.make_flow())["id"])
    del body["gitAuthorEmail"]
    assert (await api.post("/trails", body | absent)).json["gitAuthorEmail"] == "unknown"


async def test_two_different_pull_requests_are_refused(api: Caller) -> None:
    flow = await api.make_flow()
    body = trail_body(flow["id"], pullRequestId="41", pullRequestNumber=42)
    assert "pullRequestNumber" in (await api.post("/trails", body, status=400)).json["message"]


@pytest.mark.parametrize("field", ["flowId", "gitCommitSha", "gitBranch", "gitAuthor"])
async def test_a_missing_or_null_field_is_named(api: Caller, field: str) -> None:
    body = trail_body((await api.make_flow())["id"])
    assert (await api.post("/trails", {**body, field: None}, status=400)).fields == [field]
    del body[field]
    assert (await api.post("/trails", body, status=400)).fields == [field]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flowId", "not-a-uuid"),
        ("gitBranch", " "),
        ("gitAuthorEmail", "nobody"),
        ("gitAuthorEmail", "a@" + "b" * 254),
        ("buildUrl", "https://" + "x" * 2041),
        ("name", "x" * 256),
        ("name", ""),
        ("pullRequestId", True),
        ("pullRequestId", 1.5),
        ("pullRequestId", ["42"]),
        ("pullRequestNumber", -1),
        ("pullRequestNumber", "42"),
        ("pullRequestNumber", 1.5),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, field: str, value: Any) -> None:
    body = trail_body(str(uuid4()), **{field: value})
    assert (await api.post("/trails", body, status=400)).fields == [field]


async def test_an_unknown_flow_is_404_on_creation_and_an_empty_list_on_reading(api: Caller) -> None:
    missing = str(uuid4())
    assert missing in (await api.post("/trails", trail_body(missing), status=404)).json["message"]
    assert (await api.get(f"/trails?flowId={missing}")).json == []
    await api.get(f"/flows/{missing}/trails", status=404)
    await api.get(f"/trails/{missing}", status=404)


async def test_an_unknown_flow_is_told_before_what_is_missing(api: Caller) -> None:
    """The flow is checked first."""
    missing = str(uuid4())
    assert missing in (await api.post("/trails", {"flowId": missing}, status=404)).json["message"]
    flow = await api.make_flow()
    refused = await api.post("/trails", {"flowId": flow["id"]}, status=400)
    assert refused.fields == ["gitCommitSha", "gitBranch", "gitAuthor"]
    assert (await api.get("/trails")).json == []


async def test_a_name_is_unique_inside_its_flow_only(api: Caller) -> None:
    flow, other = await api.make_flow(), await api.make_flow()
    await api.make_trail(flow["id"], name="one")
    conflict = await api.post("/trails", trail_body(flow["id"], name="one"), status=409)
    assert conflict.json["error"] == "Conflict"
    await api.make_trail(other["id"], name="one")
    await api.make_trail(flow["id"])
    await api.make_trail(flow["id"])


async def test_of_parallel_creations_of_one_name_one_wins(api: Caller) -> None:
    flow = await api.make_flow()
    for n in range(5):
        body = trail_body(flow["id"], name=f"release {n}")
        answers = await asyncio.gather(*(api.send("POST", "/trails", json=body) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    assert (await api.get(f"/flows/{flow['id']}/trails")).json["totalItems"] == 5


async def test_trails_are_found_by_flow_and_by_commit(api: Caller) -> None:
    flow, other = await api.make_flow(), await api.make_flow()
    first = await api.make_trail(flow["id"])
    second = await api.make_trail(flow["id"], gitCommitSha="f" * 40)
    third = await api.make_trail(other["id"])
    assert (await api.get("/trails")).json == [first, second, third]
    assert (await api.get(f"/trails?flowId={flow['id']}")).json == [first, second]
    assert (await api.get(f"/trails?gitCommitSha={COMMIT}")).json == [first, third]
    both = await api.get(f"/trails?flowId={flow['id']}&gitCommitSha={COMMIT}")
    assert both.json == [first]
    assert both.headers["X-Total-Count"] == "1"


async def test_the_trails_of_a_flow_are_a_page_object(api: Caller) -> None:
    flow = await api.make_flow()
    made = [await api.make_trail(flow["id"], name=unique("trail")) for _ in range(3)]
    page = (await api.get(f"/flows/{flow['id']}/trails?page=1&size=2")).json
    assert page == {"items": made[2:], "page": 1, "size": 2, "totalItems": 3, "totalPages": 2}
    assert (await api.get(f"/flows/{flow['id']}/trails")).json["size"] == 20
    empty = await api.make_flow()
    nothing = (await api.get(f"/flows/{empty['id']}/trails")).json
    assert nothing == {"items": [], "page": 0, "size": 20, "totalItems": 0, "totalPages": 0}


async def test_trails_are_found_by_status_and_name(api: Caller) -> None:
    flow, other = await api.make_flow(requiredAttestations=["BUILD"]), await api.make_flow()
    names = ("red", "green", "open")
    red, green, pending = [await api.make_trail(flow["id"], name=name) for name in names]
    elsewhere = await api.make_trail(other["id"], name="red")
    await api.attest(red["id"], status="FAILED")
    await api.attest(green["id"])
    for query, expected in (
        ("status=NON_COMPLIANT", [red]),
        ("status=non-compliant", [red]),
        ("status=COMPLIANT", [green]),
        ("status=PENDING", [pending, elsewhere]),
        ("status=IN_PROGRESS", [pending, elsewhere]),
        ("status=in-progress", [pending, elsewhere]),
        ("name=red", [red, elsewhere]),
        (f"name=red&flowId={flow['id']}", [red]),
        (f"name=red&status=PENDING&flowId={other['id']}&gitCommitSha={COMMIT}", [elsewhere]),
        ("name=Red", []),
    ):
        answer = await api.get(f"/trails?{query}")
        assert [one["id"] for one in answer.json] == [one["id"] for one in expected], query
        assert answer.headers["X-Total-Count"] == str(len(expected))
    for query, total in (("status=PENDING", 1), ("status=IN_PROGRESS", 1), ("name=green", 1), ("name=x", 0), ("", 3)):
        page = (await api.get(f"/flows/{flow['id']}/trails?{query}")).json
        assert (page["totalItems"], len(page["items"])) == (total, total), query


@pytest.mark.parametrize("path", ["/trails", "/flows/{flow}/trails"])
async def test_a_status_that_does_not_exist_is_named(api: Caller, path: str) -> None:
    target = path.format(flow=(await api.make_flow())["id"])
    assert (await api.get(f"{target}?status=GREEN", status=400)).fields == ["status"]


async def test_filters_go_on_through_the_pages(api: Caller) -> None:
    flow = await api.make_flow()
    made = [await api.make_trail(flow["id"]) for _ in range(4)]
    await api.attest(made[1]["id"], status="FAILED")
    found, target = [], f"/flows/{flow['id']}/trails?status=PENDING&size=2"
    while target:
        answer = await api.get(target)
        found += [one["id"] for one in answer.json["items"]]
        target = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert found == [made[0]["id"], made[2]["id"], made[3]["id"]]


async def test_the_audit_of_a_trail_is_an_array_newest_first(api: Caller) -> None:
    flow = await api.make_flow()
    trail, other = await api.make_trail(flow["id"]), await api.make_trail(flow["id"])
    attestation = await api.attest(trail["id"])
    await api.attest(other["id"])
    answer = await api.get(f"/trails/{trail['id']}/audit")
    assert [one["eventType"] for one in answer.json] == ["ATTESTATION_RECORDED", "TRAIL_CREATED"]
    assert [one["recordId"] for one in answer.json] == [attestation["id"], trail["id"]]
    assert {one["trailId"] for one in answer.json} == {trail["id"]}
    assert answer.json == (await api.get(f"/audit?trailId={trail['id']}")).json["events"]
    assert answer.headers["X-Total-Count"] == "2"
    first = await api.get(f"/trails/{trail['id']}/audit?size=1")
    assert (first.json, "Link" in first.headers) == (answer.json[:1], True)


async def test_the_audit_of_an_unknown_trail_is_404(api: Caller, admin: Caller) -> None:
    await api.get(f"/trails/{uuid4()}/audit", status=404)
    trail = await api.make_trail((await api.make_flow())["id"])
    await admin.get(f"/trails/{trail['id']}/audit", status=404)
