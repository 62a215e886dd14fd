"""Trails on the wire: facts.md 5 and the scenarios of 28.1."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.api.facts.caller import COMMIT, Caller, trail_body, unique
from tests.api.facts.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
"""facts.md 5.1."""
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
        "orgSlug": api.scope.org_slug,
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
        orgSlug=api.scope.org_slug,
        buildUrl="https://ci.example.com/1",
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


async def test_two_different_pull_requests_are_refused(api: Caller) -> None:
    flow = await api.make_flow()
    body = trail_body(flow["id"], pullRequestId="41", pullRequestNumber=42)
    assert "pullRequestNumber" in (await api.post("/trails", body, status=400)).json["message"]


@pytest.mark.parametrize("field", ["flowId", "gitCommitSha", "gitBranch", "gitAuthor", "gitAuthorEmail"])
async def test_a_missing_or_null_field_is_named(api: Caller, field: str) -> None:
    body = trail_body(str(uuid4()))
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


async def test_a_trails_template_is_not_dropped_in_silence(api: Caller) -> None:
    """What is not evaluated must not look as if it were (ARCHITECTURE.md 2.8)."""
    flow = await api.make_flow()
    answer = await api.post("/trails", trail_body(flow["id"], templateYaml="version: 1"), status=422)
    assert "templateYaml" in answer.json["message"]


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
