"""What a trail's status follows from."""

import asyncio
from typing import Any

import pytest

from storage.services import Services
from tests.api.caller import Caller
from tests.api.webhooks.sending import generic, github_headers, let_in
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")

Report = tuple[str, str] | tuple[str, str, str]


async def new_trail(api: Caller, **flow: Any) -> str:
    return str((await api.make_trail((await api.make_flow(**flow))["id"]))["id"])


STORIES: dict[str, tuple[list[str], list[tuple[Report, str]]]] = {
    "a failure condemns and a later pass of the same type redeems": (
        ["BUILD"],
        [(("BUILD", "FAILED"), "NON_COMPLIANT"), (("BUILD", "PASSED"), "COMPLIANT")],
    ),
    "a later failure condemns what was compliant": (
        ["BUILD"],
        [(("BUILD", "PASSED"), "COMPLIANT"), (("BUILD", "FAILED"), "NON_COMPLIANT")],
    ),
    "all that is required must pass": (
        ["BUILD", "TEST"],
        [(("BUILD", "PASSED"), "PENDING"), (("TEST", "PENDING"), "PENDING"), (("TEST", "PASSED"), "COMPLIANT")],
    ),
    "what is not required condemns as well": (
        ["BUILD"],
        [
            (("BUILD", "PASSED"), "COMPLIANT"),
            (("EXTRA", "FAILED"), "NON_COMPLIANT"),
            (("EXTRA", "PASSED"), "COMPLIANT"),
        ],
    ),
    "a pass of another type redeems nothing": (
        ["BUILD", "TEST"],
        [(("BUILD", "FAILED"), "NON_COMPLIANT"), (("TEST", "PASSED"), "NON_COMPLIANT")],
    ),
    "a pass under another name redeems nothing": (
        ["TEST"],
        [
            (("TEST", "FAILED", "unit"), "NON_COMPLIANT"),
            (("TEST", "PASSED", "integration"), "NON_COMPLIANT"),
            (("TEST", "PASSED"), "NON_COMPLIANT"),
            (("TEST", "PASSED", "unit"), "COMPLIANT"),
        ],
    ),
    "one pending name of a type holds it back": (
        ["TEST"],
        [(("TEST", "PASSED", "unit"), "COMPLIANT"), (("TEST", "PENDING", "integration"), "PENDING")],
    ),
    "types are told apart by case": (["BUILD"], [(("build", "PASSED"), "PENDING")]),
    "nothing required: any pass suffices": (
        [],
        [(("ANY", "PENDING"), "PENDING"), (("ANY", "PASSED"), "COMPLIANT"), (("ANY", "FAILED"), "NON_COMPLIANT")],
    ),
}


@pytest.mark.parametrize("story", STORIES)
async def test_stories(api: Caller, story: str) -> None:
    required, steps = STORIES[story]
    trail_id = await new_trail(api, requiredAttestations=required)
    assert await api.status_of(trail_id) == "PENDING"
    for (type_, status, *name), expected in steps:
        await api.attest(trail_id, type_, status, **({"name": name[0]} if name else {}))
        assert await api.status_of(trail_id) == expected, (type_, status)


async def test_an_outstanding_approval_keeps_a_trail_pending(api: Caller) -> None:
    trail_id = await new_trail(api, requiredAttestations=["BUILD"], requiresApproval=True)
    await api.attest(trail_id)
    assert await api.status_of(trail_id) == "PENDING"
    await api.attest(trail_id, status="FAILED")
    assert await api.status_of(trail_id) == "NON_COMPLIANT"


async def test_updated_at_moves_with_the_status_alone(api: Caller) -> None:
    trail_id = await new_trail(api, requiredAttestations=["BUILD"])
    before = (await api.get(f"/trails/{trail_id}")).json
    await api.attest(trail_id, "OTHER", "PENDING")
    assert (await api.get(f"/trails/{trail_id}")).json == before
    await api.attest(trail_id)
    after = (await api.get(f"/trails/{trail_id}")).json
    assert after["updatedAt"] > before["updatedAt"]
    assert {**after, "updatedAt": 0, "status": 0} == {**before, "updatedAt": 0, "status": 0}


async def test_two_parallel_reports_that_complete_a_trail_always_do(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD", "TEST"])
    for _ in range(20):
        trail_id = (await api.make_trail(flow["id"]))["id"]
        await asyncio.gather(api.attest(trail_id, "BUILD"), api.attest(trail_id, "TEST"))
        assert await api.status_of(trail_id) == "COMPLIANT"


async def test_parallel_reports_of_many_trails_each_reach_their_verdict(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD", "TEST"])
    trails = [(await api.make_trail(flow["id"]))["id"] for _ in range(12)]
    reports = [
        api.attest(trail_id, type_, "FAILED" if type_ == "TEST" and place % 3 == 0 else "PASSED")
        for type_ in ("BUILD", "TEST")
        for place, trail_id in enumerate(trails)
    ]
    await asyncio.gather(*reports)
    verdicts = [await api.status_of(trail_id) for trail_id in trails]
    assert verdicts == ["NON_COMPLIANT" if place % 3 == 0 else "COMPLIANT" for place in range(12)]


async def test_a_report_to_an_unknown_trail_spoils_no_other_in_its_batch(api: Caller) -> None:
    good = await new_trail(api)
    missing = "00000000-0000-4000-8000-000000000000"
    body = {"type": "BUILD", "passed": True}
    paths = [f"/trails/{trail_id}/attestations" for trail_id in [good, missing] * 10]
    answers = await asyncio.gather(*(api.send("POST", path, json=body) for path in paths))
    assert [answer.status for answer in answers] == [201, 404] * 10
    assert len((await api.get(f"/trails/{good}/attestations")).json) == 10


async def test_an_api_report_and_a_delivery_meet_in_one_trail(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD", "TEST"])
    trail_id = (await api.make_trail(flow["id"]))["id"]
    sender = await let_in(api, "GENERIC", flow_id=flow["id"])
    body = generic("test.passed", trailId=trail_id)
    await sender.deliver(body, github_headers(body))
    await asyncio.gather(api.attest(trail_id, "BUILD"), drain(app_services))
    assert await api.status_of(trail_id) == "COMPLIANT"
