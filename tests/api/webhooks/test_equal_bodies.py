"""Copies: told apart by the body where the signature covers nothing else, otherwise by the sender's id."""

from uuid import uuid4

import pytest

from storage.services import Services
from tests.api.caller import Caller
from tests.api.webhooks.sending import generic, github_headers, let_in, proof, recorded
from tests.paths import FIXTURES
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"Content-Type": "application/json"}


async def test_a_captured_body_is_a_copy_whatever_delivery_id_and_event_it_comes_with(
    api: Caller, app_services: Services
) -> None:
    """GitHub signs the body alone: whoever has seen one can send it again under an id of his own."""
    sender = await let_in(api)
    bodies = [recorded(f"workflow_run__{ending}") for ending in ("success", "failure")]
    first, _ = [await sender.deliver(body, github_headers(body)) for body in bodies]
    await drain(app_services)
    [trail] = (await api.get("/trails")).json
    for headers in (github_headers(bodies[0]), github_headers(bodies[0], "check_run")):
        assert (await sender.deliver(bodies[0], headers)).json["receiptId"] == first.json["receiptId"]
    await drain(app_services)
    assert await api.status_of(trail["id"]) == "NON_COMPLIANT"
    assert (await api.get(f"/trails/{trail['id']}/attestations")).headers["X-Total-Count"] == "2"
    assert [delivery["duplicates"] for delivery in await sender.deliveries()] == [0, 2]


async def test_a_body_of_bitbucket_is_accepted_once(api: Caller) -> None:
    sender, body = await let_in(api, "BITBUCKET"), b'{"push": {}}'
    ids = [{"X-Request-UUID": str(uuid4())} for _ in range(2)]
    answers = [await sender.deliver(body, JSON | proof("BITBUCKET", body) | one) for one in ids]
    assert len({answer.json["receiptId"] for answer in answers}) == 1


async def test_a_reporter_may_report_the_same_twice(api: Caller) -> None:
    """The body of a generic event may say nothing but that something passed: it passed twice."""
    sender, body = await let_in(api, "GENERIC"), generic()
    ids = [{"X-Delivery-Id": str(uuid4())} for _ in range(2)]
    answers = [await sender.deliver(body, JSON | proof("GENERIC", body) | one) for one in ids]
    assert len({answer.json["receiptId"] for answer in answers}) == 2


async def test_a_dead_letter_is_replaced_by_the_body_that_is_resent_under_its_id(
    api: Caller, app_services: Services
) -> None:
    sender = await let_in(api, "JENKINS")
    named = JSON | {"X-Delivery-Id": str(uuid4())}
    bad = b'{"build": {"url": "job/app/1/", "phase": "FINALIZED"}}'
    good = (FIXTURES / "jenkins" / "finalized__success.json").read_bytes()
    accepted = await sender.deliver(bad, named | proof("JENKINS", bad))
    await drain(app_services)
    assert (await sender.receipt(accepted))["status"] == "FAILED"
    again = await sender.deliver(good, named | proof("JENKINS", good))
    assert again.json["receiptId"] == accepted.json["receiptId"]
    assert (await sender.receipt(accepted))["status"] == "PENDING"
    await drain(app_services)
    assert (await sender.receipt(accepted))["status"] == "SUCCESS"
