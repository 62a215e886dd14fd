"""Approvals on the wire: requested, decided by those who may, and by nobody twice."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.api.caller import DIGEST, Caller, unique
from tests.api.gates.people import request, requested, shown, somebody, trail_of
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_approval_shows_all_that_was_asked(api: Caller) -> None:
    trail, environment = await trail_of(api), await make_environment(api)
    await api.report_artifact(trail)
    made = await request(
        api,
        trail,
        requiredApprovers=["Ada@Example.com"],
        requiredRoles=["admin", "cab"],
        requiredGroups=["sre"],
        minimumApprovals=2,
        allowAuthor=True,
        artifactSha256=DIGEST.removeprefix("sha256:"),
        targetEnvironment=environment["name"],
        comments="1.4",
        newestCommit="abc",
        oldestCommit="def",
        requestedBy="ci",
        deadline="2999-01-31T12:00:00Z",
    )
    assert_times(made, "requestedAt")
    flow = (await api.get(f"/trails/{trail}")).json["flowId"]
    me = (await api.get("/me")).json
    assert {key: value for key, value in made.items() if key not in {"id", "requestedAt"}} == {
        "trailId": trail,
        "flowId": flow,
        "status": "PENDING_APPROVAL",
        "requiredApprovers": ["Ada@Example.com"],
        "requiredRoles": ["ADMIN"],
        "requiredGroups": ["sre", "cab"],
        "minimumApprovals": 2,
        "allowRequester": False,
        "allowAuthor": True,
        "artifactSha256": DIGEST,
        "environmentId": environment["id"],
        "comments": "1.4",
        "newestCommit": "abc",
        "oldestCommit": "def",
        "requestedBy": "ci",
        "requestedById": me["id"],
        "deadline": "2999-01-31T12:00:00.000000Z",
        "resolvedAt": None,
        "decisions": [],
        "breakGlass": None,
    }
    assert {**made, "approvers": []} == await shown(api, made["id"])
    assert [made] == (await api.get(f"/trails/{trail}/approvals")).json


async def make_environment(api: Caller) -> Any:
    return (await api.post("/environments", {"name": unique("environment")})).json


ALIASES: Mapping[str, tuple[dict[str, Any], str, Any]] = {
    "reason": ({"reason": "why"}, "comments", "why"),
    "sha256Digest": ({"sha256Digest": DIGEST.upper().replace("SHA", "sha")}, "artifactSha256", DIGEST),
    "digest": ({"digest": DIGEST}, "artifactSha256", DIGEST),
    "blank texts": ({"comments": "", "targetEnvironment": " ", "digest": "", "deadline": ""}, "comments", None),
    "blank approvers": ({"requiredApprovers": ["", "ada"]}, "requiredApprovers", ["ada"]),
    "a role in another spelling": ({"requiredRoles": ["service_account"]}, "requiredRoles", ["REPORTER"]),
}


@pytest.mark.parametrize("alias", ALIASES)
async def test_other_names_of_fields(api: Caller, alias: str) -> None:
    body, field, value = ALIASES[alias]
    trail = await trail_of(api)
    await api.report_artifact(trail)
    assert (await request(api, trail, **body))[field] == value


async def test_an_environment_goes_by_its_name_or_its_id(api: Caller) -> None:
    trail, one, other = await trail_of(api), await make_environment(api), await make_environment(api)
    for body in (
        {"environment": one["name"]},
        {"targetEnvironment": one["id"]},
        {"environmentId": one["id"]},
        {"environmentId": one["id"], "targetEnvironment": one["name"]},
    ):
        assert (await request(api, trail, **body))["environmentId"] == one["id"]
    refusal = await request(api, trail, 400, environmentId=one["id"], environment=other["name"])
    assert refusal["details"][0]["field"] == "targetEnvironment"
    for unknown in ({"environment": "nowhere"}, {"environmentId": str(uuid4())}, {"environment": str(uuid4())}):
        await request(api, trail, 404, **unknown)


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "another trail": ({"trailId": str(uuid4())}, "trailId"),
    "a deadline in the past": ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
    "a deadline that is none": ({"deadline": "soon"}, "deadline"),
    "51 approvers": ({"requiredApprovers": [f"a{n}" for n in range(51)]}, "requiredApprovers"),
    "more than may approve": ({"requiredApprovers": ["a"], "minimumApprovals": 2}, "minimumApprovals"),
    "nobody": ({"minimumApprovals": 0}, "minimumApprovals"),
    "a digest that is not reported": ({"artifactSha256": "f" * 64}, "artifactSha256"),
    "a digest that is none": ({"artifactSha256": "latest"}, "artifactSha256"),
    "a name in place of a list": ({"requiredApprovers": "ada"}, "requiredApprovers"),
    "a misspelt demand": ({"requiredAprovers": ["ada"]}, "requiredAprovers"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_requested(api: Caller, case: str) -> None:
    body, field = BAD[case]
    answer = await api.post(f"/trails/{await trail_of(api)}/approvals", body, 400)
    assert answer.fields == [field]


async def test_nothing_is_known_of_what_does_not_exist(api: Caller) -> None:
    unknown = str(uuid4())
    await request(api, unknown, 404)
    await api.get(f"/trails/{unknown}/approvals", 404)
    await api.get(f"/approvals/{unknown}", 404)
    for how in ("approve", "reject", "break-glass"):
        await api.post(f"/approvals/{unknown}/{how}", {"reason": "x"}, 404)
    await api.get("/approvals?status=MAYBE", 400)


async def test_one_approval_is_enough_when_nobody_is_named(api: Caller) -> None:
    trail, ada = await trail_of(api), await somebody(api)
    approval = await requested(api, trail)
    assert await ada.mine() == [approval]
    answer = await ada.approve(approval, comments="tested")
    assert (answer["status"], answer["resolvedAt"] is None) == ("APPROVED", False)
    [decision] = answer["decisions"]
    assert_times(decision, "decidedAt")
    assert {key: value for key, value in decision.items() if key not in {"id", "decidedAt"}} == {
        "approvalId": approval,
        "approverIdentity": ada.email,
        "deciderId": str(ada.id),
        "deciderName": ada.email,
        "decision": "APPROVED",
        "comments": "tested",
    }
    assert await ada.mine() == []
    for again in (ada.approve, ada.reject):
        await again(approval, 409)
    await (await somebody(api, "admin")).break_glass(approval, 409)


async def test_every_one_who_is_named_has_to_approve(api: Caller) -> None:
    ada, bob, eve = [await somebody(api) for _ in range(3)]
    approval = await requested(api, await trail_of(api), requiredApprovers=[ada.email.upper(), str(bob.id)])
    assert {one["id"] for one in (await shown(api, approval))["approvers"]} == {str(ada.id), str(bob.id)}
    refusal = await eve.approve(approval, 403)
    assert ada.email.upper() in refusal["message"]
    await eve.reject(approval, 403)
    assert await eve.mine() == []
    assert (await ada.approve(approval))["status"] == "PENDING_APPROVAL"
    assert (await ada.approve(approval, 409))["message"].startswith("You have decided")
    await ada.reject(approval, 409)
    assert await bob.mine() == [approval]
    assert [one["id"] for one in (await shown(api, approval))["approvers"]] == [str(bob.id)], "who has not decided yet"
    assert (await bob.approve(approval))["status"] == "APPROVED"


async def test_a_name_in_the_body_makes_nobody_an_approver(api: Caller) -> None:
    ada, eve = await somebody(api), await somebody(api)
    approval = await requested(api, await trail_of(api), requiredApprovers=[ada.email, "@ada-on-slack"])
    for claim in (ada.email, "@ada-on-slack", str(ada.id)):
        await eve.approve(approval, 403, approverIdentity=claim)
        await eve.approve(approval, 403, approvedBy=claim)
    [decision] = (await ada.approve(approval, approvedBy="@ada-on-slack", comment="fine"))["decisions"]
    assert (decision["approverIdentity"], decision["deciderName"]) == ("@ada-on-slack", ada.email)
    assert decision["comments"] == "fine"
    assert (await shown(api, approval))["status"] == "PENDING_APPROVAL", "nobody is called @ada-on-slack"


async def test_a_role_is_that_of_the_member(api: Caller) -> None:
    member, admin = await somebody(api), await somebody(api, "admin")
    approval = await requested(api, await trail_of(api), requiredRoles=["ADMIN"])
    await member.approve(approval, 403)
    assert (await admin.approve(approval))["status"] == "APPROVED"


async def test_roles_of_the_flow_are_required_of_each_approval(api: Caller) -> None:
    trail = await trail_of(api, requiredApproverRoles=["admin"])
    approval = await request(api, trail)
    assert approval["requiredRoles"] == ["ADMIN"]
    await (await somebody(api)).approve(approval["id"], 403)
    await (await somebody(api, "admin")).approve(approval["id"])
    assert await api.status_of(trail) == "COMPLIANT"


async def test_as_many_people_as_are_asked_for(api: Caller) -> None:
    people = [await somebody(api) for _ in range(3)]
    approval = await requested(api, await trail_of(api), minimumApprovals=3)
    statuses = [(await one.approve(approval))["status"] for one in people]
    assert statuses == ["PENDING_APPROVAL", "PENDING_APPROVAL", "APPROVED"]


async def test_a_rejection_ends_it(api: Caller) -> None:
    ada, bob = await somebody(api), await somebody(api)
    approval = await requested(api, await trail_of(api), minimumApprovals=2)
    await ada.approve(approval)
    answer = await bob.reject(approval, rejectedBy="Bob", reason="cannot be undone")
    assert (answer["status"], answer["decisions"][1]["comments"]) == ("REJECTED", "cannot be undone")
    await (await somebody(api)).approve(approval, 409)


async def test_neither_requester_nor_author_decides(api: Caller) -> None:
    requester, author = await somebody(api), await somebody(api)
    flow = await api.make_flow()
    for names in ({"gitAuthorEmail": author.email.upper()}, {"gitAuthor": author.name}, {"gitAuthor": author.email}):
        trail = (await api.make_trail(flow["id"], **names))["id"]
        approval = await requested(requester.caller, trail)
        assert "allowRequester" in (await requester.approve(approval, 403))["message"]
        assert "allowAuthor" in (await author.approve(approval, 403))["message"]
        assert (await requester.mine(), await author.mine()) == ([], [])
        possible = {one["id"] for one in (await shown(api, approval))["approvers"]}
        assert not possible & {str(requester.id), str(author.id)}
        approval = await requested(api, trail, allowAuthor=True)
        assert (await author.approve(approval))["status"] == "APPROVED"


@pytest.mark.parametrize("waived", ["allowRequester", "allowAuthor"])
async def test_to_let_somebody_approve_their_own_work_takes_the_right_to_override(api: Caller, waived: str) -> None:
    member, admin = await somebody(api), await somebody(api, "admin")
    trail = await trail_of(api)
    await request(member.caller, trail, 403, **{waived: True})
    approval = await requested(admin.caller, trail, allowRequester=True)
    assert (await admin.approve(approval))["status"] == "APPROVED"


async def test_to_decide_takes_the_right_to(api: Caller) -> None:
    approval = await requested(api, await trail_of(api))
    for role in ("reporter", "viewer", "auditor"):
        stranger = await somebody(api, role)
        await stranger.approve(approval, 403)
        await stranger.reject(approval, 403)
    assert await (await somebody(api, "viewer")).mine() == []
    await (await somebody(api)).break_glass(approval, 403)


async def test_in_an_emergency_the_glass_is_broken(api: Caller) -> None:
    trail, admin = await trail_of(api, requiredApproverRoles=["cab"]), await somebody(api, "admin")
    first, approval = await requested(api, trail), await requested(api, trail, requiredApprovers=["nobody@example.com"])
    await admin.approve(approval, 403)
    for blank in ("", " ", None):
        await admin.break_glass(approval, 400, reason=blank)
    answer = await admin.break_glass(approval, reason="payments fail")
    assert_times(answer["breakGlass"], "usedAt")
    expected = {"reason": "payments fail", "usedBy": admin.email, "usedById": str(admin.id)}
    assert answer["breakGlass"] | expected == answer["breakGlass"]
    assert answer["status"] == "APPROVED"
    assert await api.status_of(trail) == "COMPLIANT"
    await admin.break_glass(approval, 409)
    await admin.break_glass(first)
    assert [one["id"] for one in (await api.get("/approvals/break-glass")).json] == [approval, first][::-1]
    page = await api.get("/approvals/break-glass?size=1")
    assert (len(page.json), page.headers["X-Total-Count"], "Link" in page.headers) == (1, "2", True)


async def test_whoever_has_approved_may_still_break_the_glass(api: Caller) -> None:
    admin = await somebody(api, "admin")
    approval = await requested(api, await trail_of(api), minimumApprovals=2)
    await admin.approve(approval)
    assert (await admin.break_glass(approval))["status"] == "APPROVED"


async def test_lists_are_filtered(api: Caller) -> None:
    one, other, environment = await trail_of(api), await trail_of(api), await make_environment(api)
    ada = await somebody(api)
    first, second = await requested(api, one), await requested(api, other, environmentId=environment["id"])
    await ada.approve(first)
    flow = (await api.get(f"/trails/{other}")).json["flowId"]
    for query, expected in {
        "": [first, second],
        "?status=PENDING_APPROVAL": [second],
        "?status=approved": [first],
        "?status=REJECTED": [],
        "?status=EXPIRED": [],
        f"?trailId={one}": [first],
        f"?flowId={flow}": [second],
        f"?environmentId={environment['id']}": [second],
        f"?flowId={flow}&status=APPROVED": [],
    }.items():
        assert [found["id"] for found in (await api.get(f"/approvals{query}")).json] == expected, query


async def test_a_dry_run_decides_nothing(api: Caller) -> None:
    trail, admin = await trail_of(api), await somebody(api, "admin")
    dry = {"headers": {"X-Dry-Run": "true"}}
    preview = (await api.post(f"/trails/{trail}/approvals", {}, 200, **dry)).json["wouldCreate"]
    assert (preview["status"], (await api.get("/approvals")).json) == ("PENDING_APPROVAL", [])
    approval = await requested(api, trail)
    for how, status in (("approve", "APPROVED"), ("reject", "REJECTED"), ("break-glass", "APPROVED")):
        answer = await admin.caller.post(f"/approvals/{approval}/{how}", {"reason": "x"}, 200, **dry)
        assert answer.json["wouldCreate"]["status"] == status
    assert (await shown(api, approval))["status"] == "PENDING_APPROVAL"
    assert await api.status_of(trail) == "PENDING"
