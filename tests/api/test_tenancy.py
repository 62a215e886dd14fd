"""Another organisation's ids do not exist, on every route that takes one."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from api.http.binding import Endpoint
from domain.identity.permissions import Permission
from storage.services import Services
from tests.api.caller import Caller, found_organisation, trail_body
from tests.api.table import EMPTY_OF_NOBODY, WITH_ID, asking_url, body_of, file_for, wanted_by
from tests.api.walks import TO_MAKE, Walk
from tests.api.world import make_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

OF_TENANTS = tuple(one for one in WITH_ID if one.route.permission is not Permission.PLATFORM_MANAGE)
FOREIGN_IDS = Walk(OF_TENANTS, requests=2 + TO_MAKE)


@FOREIGN_IDS.routes()
async def test_a_foreign_id_is_404_and_ones_own_is_not(
    http: TestClient[Any, Any], app_services: Services, api: Caller, endpoint: Endpoint
) -> None:
    stranger = await found_organisation(http, app_services)
    world = await make_world(api, *wanted_by(endpoint))
    url, body = asking_url(endpoint, **world), body_of(endpoint, world) or None
    foreign = await stranger.send(endpoint.route.method, url, json=body, data=file_for(endpoint))
    if endpoint.route.name in EMPTY_OF_NOBODY:
        assert (foreign.status, foreign.json) == (200, [])
    elif endpoint.route.name == "verify_ledger_record":
        assert (foreign.status, foreign.json["verified"], foreign.json["result"]) == (200, False, "missing")
        assert foreign.json["contentHash"] is None
    else:
        assert foreign.status == 404, foreign.text
    own = await api.send(endpoint.route.method, url, json=body, data=file_for(endpoint))
    not_there_yet = endpoint.route.name in {
        "get_ledger_entry",
        "get_provenance",
        "prove_ledger_entry",
        "get_checkpoint",
    }
    assert own.status in ({404} if not_there_yet else {200, 201, 202, 204}), own.text


async def test_a_foreign_id_in_a_body_or_filter_is_nobodys(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger = await found_organisation(http, app_services)
    world = await make_world(api, "trail_id", "config_id", "flow_id")
    await stranger.post("/trails", trail_body(world["flow_id"]), status=404)
    config = {"source": "GENERIC", "secret": "s", "flowId": world["flow_id"]}
    await stranger.post("/webhook-configs", config, status=404)
    assert (await stranger.get(f"/trails?flowId={world['flow_id']}")).json == []
    assert (await stranger.get(f"/audit?trailId={world['trail_id']}")).json["events"] == []
    for path in ("/flows", "/trails", "/webhook-configs"):
        assert (await stranger.get(path)).json == []
        assert (await api.get(path)).json != []


async def test_a_foreign_name_does_not_show_in_a_404(api: Caller, admin: Caller) -> None:
    flow = await admin.make_flow()
    foreign = (await api.get(f"/flows/{flow['id']}", status=404)).json
    missing = (await api.get("/flows/00000000-0000-4000-8000-000000000000", status=404)).json
    assert foreign["message"].replace(flow["id"], "") == missing["message"].replace(
        "00000000-0000-4000-8000-000000000000", ""
    )
