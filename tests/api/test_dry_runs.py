"""Dry runs: everything is checked, nothing is kept."""

from typing import Any
from uuid import uuid4

import pytest

from api.http.binding import Endpoint
from storage.services import Services
from tests.api.caller import SECRET, Caller, trail_body, unique
from tests.api.table import CHANGING, OF_JOBS, body_of, file_for, url_of, wanted_by
from tests.api.walks import TO_MAKE, Walk
from tests.api.world import TO_SIGN_IN, caller_for, make_world
from tests.storage.counting import count_rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

SWITCHES: dict[str, dict[str, Any]] = {
    "X-Dry-Run": {"headers": {"X-Dry-Run": "true"}},
    "x-dry-run, in capitals": {"headers": {"x-dry-run": "TRUE"}},
    "X-Factstore-Dry-Run": {"headers": {"X-Factstore-Dry-Run": "true"}},
    "dryRun": {"params": {"dryRun": "true"}},
    "dryRun, mixed case": {"params": {"dryRun": "True"}},
}
ON = SWITCHES["X-Dry-Run"]
CREATIONS = ("/flows", "/trails", "/trails/{trail_id}/attestations", "/webhook-configs", "/organisations")


def body_for(path: str, world: dict[str, str]) -> dict[str, Any]:
    return {
        "/flows": {"name": unique("flow"), "tags": {"a": "b"}},
        "/trails": trail_body(world["flow_id"], name=unique("trail")),
        "/trails/{trail_id}/attestations": {"type": "TEST", "status": "FAILED"},
        "/webhook-configs": {"source": "GENERIC", "secret": SECRET, "flowId": world["flow_id"]},
        "/organisations": {"slug": unique("org"), "name": "An organisation"},
    }[path]


async def rows(services: Services) -> dict[str, int]:
    """How many rows every table has, the audit and the queues among them.

    When keys were used is written now and then, whoever asks for what meanwhile.
    """
    async with services.database.read() as reader:
        return {name: number for name, number in (await count_rows(reader)).items() if name != "api_key_uses"}


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("path", CREATIONS)
async def test_a_dry_run_answers_as_the_creation_would_and_keeps_nothing(
    api: Caller, admin: Caller, app_services: Services, path: str, switch: str
) -> None:
    world = await make_world(api, "flow_id", "trail_id", "attestation_id")
    caller = admin if path == "/organisations" else api
    body, target = body_for(path, world), path.format(**world)
    before = await rows(app_services)
    rehearsed = (await caller.post(target, body, status=200, **SWITCHES[switch])).json
    assert await rows(app_services) == before
    assert rehearsed.keys() == {"dryRun", "dryRunMessage", "wouldCreate"}
    assert rehearsed["dryRun"] is True
    assert rehearsed["dryRunMessage"]
    real = (await caller.post(target, body)).json
    volatile = {"id", "createdAt", "updatedAt", "observedAt", "url"}
    assert {key: value for key, value in real.items() if key not in volatile} == {
        key: value for key, value in rehearsed["wouldCreate"].items() if key not in volatile
    }
    assert rehearsed["wouldCreate"]["id"] != real["id"]
    assert await rows(app_services) != before
    assert await api.status_of(world["trail_id"]) == ("NON_COMPLIANT" if "attestations" in path else "COMPLIANT")


@pytest.mark.parametrize("value", ["false", "FALSE", "0"])
async def test_a_switch_that_is_off(api: Caller, value: str) -> None:
    await api.post("/flows", {"name": unique("flow")}, headers={"X-Dry-Run": value})
    await api.post("/flows", {"name": unique("flow")}, params={"dryRun": value})
    assert len((await api.get("/flows")).json) == 2


@pytest.mark.parametrize("request_", [{"headers": {"X-Dry-Run": "perhaps"}}, {"params": {"dryRun": "perhaps"}}])
async def test_a_switch_in_between_is_refused(api: Caller, request_: dict[str, Any]) -> None:
    """Neither guess would do: one stores what should not be, the other loses what should."""
    assert len((await api.post("/flows", {"name": unique("flow")}, status=400, **request_)).fields) == 1
    assert (await api.get("/flows")).json == []


async def test_a_dry_run_has_the_errors_of_the_real_call(api: Caller, admin: Caller, app_services: Services) -> None:
    world = await make_world(api, "flow_id")
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"], name="taken")
    slug = api.tenant.org_slug
    before = await rows(app_services)
    refused: list[tuple[str, Any, int]] = [
        ("/flows", {"name": flow["name"]}, 409),
        ("/flows", {"name": ""}, 400),
        ("/flows", {"name": "x", "tags": {"": "v"}}, 400),
        ("/flows", {"name": "x", "orgSlug": "default"}, 404),
        ("/flows", {"name": "x", "templateYaml": "a: b"}, 400),
        ("/trails", trail_body(str(uuid4())), 404),
        ("/trails", trail_body(flow["id"], name="taken"), 409),
        (f"/trails/{uuid4()}/attestations", {"type": "TEST"}, 404),
        (f"/trails/{trail['id']}/attestations", {"type": "TEST", "status": "OK"}, 400),
        ("/webhook-configs", {"source": "GITHUB", "secret": "s", "flowId": str(uuid4())}, 404),
        ("/webhook-configs", {"source": "CVS", "secret": "s", "flowId": world["flow_id"]}, 400),
    ]
    for path, body, status in refused:
        await api.post(path, body, status=status, **ON)
    for organisation, status in (({"slug": slug, "name": "x"}, 409), ({"slug": "api", "name": "x"}, 400)):
        await admin.post("/organisations", organisation, status=status, **ON)
    assert await rows(app_services) == before


async def test_a_dry_run_needs_the_same_permission(api: Caller) -> None:
    await api.post("/organisations", {"slug": unique("org"), "name": "x"}, status=403, **ON)
    await Caller(api.client, None).post("/flows", {"name": "x"}, status=401, **ON)


REHEARSALS = Walk(tuple(one for one in CHANGING if one.route.name not in OF_JOBS), requests=3 + TO_MAKE + TO_SIGN_IN)


@REHEARSALS.routes()
async def test_no_changing_route_changes_anything_in_a_dry_run(
    api: Caller, admin: Caller, app_services: Services, endpoint: Endpoint
) -> None:
    """Who asks for a rehearsal must never get the performance."""
    world = await make_world(api, *wanted_by(endpoint))
    caller = await caller_for(endpoint, api, admin)
    body = body_of(endpoint, world) or None
    before = await rows(app_services), (await api.get("/webhook-configs")).json
    answer = await caller.send(
        endpoint.route.method, url_of(endpoint, **world), json=body, data=file_for(endpoint), **ON
    )
    assert (await rows(app_services), (await api.get("/webhook-configs")).json) == before
    assert answer.status == 200
    assert answer.json["dryRun"] is True
    assert answer.json.keys() & {"wouldCreate", "wouldUpdate", "wouldDelete"}
