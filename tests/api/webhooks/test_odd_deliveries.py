"""Deliveries that are not quite as documented: kept wherever they can be."""

import json
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from storage.services import Services
from tests.api.caller import Caller
from tests.api.webhooks.sending import STANDARD_SECRET, generic, github_headers, let_in, recorded, standard_headers
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")


def run(**fields: Any) -> bytes:
    document = json.loads(recorded("workflow_run__success"))
    document["workflow_run"] |= {"head_sha": f"{uuid4().hex}00000000", **fields}
    return json.dumps(document).encode()


async def settled(api: Caller, services: Services, body: bytes, event: str = "workflow_run") -> Any:
    """The receipt of a delivery of GitHub, and what it attested."""
    sender = await let_in(api)
    accepted = await sender.deliver(body, github_headers(body, event))
    await drain(services)
    receipt = await sender.receipt(accepted)
    return receipt, (await api.get(f"/trails/{receipt['trailId']}/attestations?page=0&size=9")).json["items"]


async def test_a_state_that_nobody_knows_is_kept_counted_and_pending(api: Caller, app_services: Services) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("trailgate_unknown_states_total", {"source": "GITHUB"}) or 0

    before = counted()
    receipt, [attestation] = await settled(api, app_services, run(conclusion="splendid"))
    assert (receipt["status"], receipt["eventType"]) == ("SUCCESS", "build.unknown")
    assert receipt["statusMessage"] == "build.unknown: recorded; the state 'splendid' is unknown"
    assert (attestation["status"], attestation["details"]) == ("PENDING", "workflow build: splendid")
    assert counted() == before + 1


async def test_an_overlong_name_is_shortened(api: Caller, app_services: Services) -> None:
    document = json.loads(recorded("check_run__failure"))
    document["check_run"]["name"] = "matrix " * 60
    receipt, [attestation] = await settled(api, app_services, json.dumps(document).encode(), "check_run")
    assert receipt["status"] == "SUCCESS"
    assert (len(attestation["name"]), attestation["name"][-1], attestation["status"]) == (255, "…", "FAILED")


@pytest.mark.parametrize("prefix", ["type:", "sender:"])
async def test_a_name_that_could_be_a_key_is_refused_as_the_api_does(api: Caller, prefix: str) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    body = generic(attestationName=f"{prefix}BUILD")
    refused = (await sender.deliver(body, standard_headers(body), 400)).json
    trail = await api.make_trail(sender.flow_id)
    wrong = {"type": "BUILD", "status": "PASSED", "name": f"{prefix}BUILD"}
    by_api = (await api.post(f"/trails/{trail['id']}/attestations", wrong, 400)).json
    assert "attestationName" in json.dumps(refused)
    assert all(f"must not begin with '{prefix}'" in json.dumps(answer) for answer in (refused, by_api))
