"""Who may do what: every route by every kind of caller, the expectation derived from domain/identity/permissions.py."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.__main__ import check_exposure
from api.app import build_app
from api.http.binding import Endpoint
from api.surfaces import EXEMPT
from domain.identity.permissions import ROLES, Permission, role_permissions
from storage.identity.commands.api_keys import revoke_api_key
from storage.services import NotConfigured, Services, open_services
from tests.api.caller import NOBODY, Caller, found_organisation, make_holder, make_world, unique
from tests.api.table import ENDPOINTS, GUARDED, url_of
from tests.conftest import ADMIN_KEY, Installation

pytestmark = pytest.mark.asyncio(loop_scope="module")

MakeKey = Callable[[Services, Caller], Awaitable[str | None]]


async def status_of(caller: Caller, endpoint: Endpoint) -> int:
    """An empty body and unknown ids: whoever is let in gets 200, 400 or 404, and nothing changes."""
    request: dict[str, Any] = {"json": {}} if endpoint.signature.body else {}
    return (await caller.send(endpoint.route.method, url_of(endpoint), **request)).status


async def refusals(caller: Caller) -> dict[str, int]:
    """What each guarded route answers, where that is a refusal; nothing may be a failure of ours."""
    answers = {endpoint.route.name: await status_of(caller, endpoint) for endpoint in GUARDED}
    assert [name for name, status in answers.items() if status >= 500] == []
    return {name: status for name, status in answers.items() if status in {401, 403}}


def beyond(held: frozenset[Permission]) -> dict[str, int]:
    """The routes that ask for more than is held."""
    return {one.route.name: 403 for one in GUARDED if one.route.permission not in held}


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_exactly_its_routes(open_for_module: Services, api: Caller, role: str) -> None:
    holder = await make_holder(open_for_module, api.tenant, role)
    expected = beyond(role_permissions(role, api.tenant.org_slug))
    assert await refusals(replace(api, key=holder.key)) == expected


async def test_the_administrator_of_default_may_do_everything(admin: Caller) -> None:
    assert await refusals(admin) == {}


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
async def test_default_gives_other_roles_nothing_more(open_for_module: Services, admin: Caller, role: str) -> None:
    default = (await admin.get("/organisations/default")).json
    tenant = replace(admin.tenant, org_id=default["id"])
    holder = await make_holder(open_for_module, tenant, role)
    assert await refusals(replace(admin, key=holder.key)) == beyond(ROLES[role])


@pytest.mark.parametrize("permission", sorted({one.route.permission for one in GUARDED if one.route.permission}))
async def test_a_key_narrowed_to_one_permission(open_for_module: Services, api: Caller, permission: Permission) -> None:
    holder = await make_holder(open_for_module, api.tenant, "admin", [permission])
    held = role_permissions("admin", api.tenant.org_slug) & {permission}
    assert await refusals(replace(api, key=holder.key)) == beyond(held)


async def test_a_key_never_exceeds_its_owner(open_for_module: Services, api: Caller) -> None:
    holder = await make_holder(open_for_module, api.tenant, "viewer", list(Permission))
    assert await refusals(replace(api, key=holder.key)) == beyond(ROLES["viewer"])
    nothing = await make_holder(open_for_module, api.tenant, "admin", [])
    assert await refusals(replace(api, key=nothing.key)) == beyond(frozenset())


async def nobody(services: Services, api: Caller) -> str | None:
    return None


async def invented(services: Services, api: Caller) -> str | None:
    return "tg_" + "0" * 64


async def revoked(services: Services, api: Caller) -> str | None:
    holder = await make_holder(services, api.tenant, "admin")
    async with services.database.transaction() as tx:
        await revoke_api_key(tx, api.tenant, holder.key_id, NOBODY)
    return holder.key


async def expired(services: Services, api: Caller) -> str | None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    return (await make_holder(services, api.tenant, "admin", expires_at=past)).key


async def disabled_owner(services: Services, api: Caller) -> str | None:
    holder = await make_holder(services, api.tenant, "admin")
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE principals SET disabled_at = now() WHERE id = $1", holder.principal_id)
    return holder.key


async def former_member(services: Services, api: Caller) -> str | None:
    holder = await make_holder(services, api.tenant, "admin")
    async with services.database.transaction() as tx:
        await tx.execute("DELETE FROM memberships WHERE principal_id = $1", holder.principal_id)
    return holder.key


@pytest.mark.parametrize("make", [nobody, invented, revoked, expired, disabled_owner, former_member])
async def test_without_a_key_that_holds_everything_is_401(
    open_for_module: Services, api: Caller, make: MakeKey
) -> None:
    outsider = replace(api, key=await make(open_for_module, api))
    assert await refusals(outsider) == {one.route.name: 401 for one in GUARDED}
    refused = await outsider.get("/flows", status=401)
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert refused.json["error"] == "Unauthorized"


async def test_a_key_holds_until_its_last_moment(open_for_module: Services, api: Caller) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    holder = await make_holder(open_for_module, api.tenant, "viewer", expires_at=soon)
    await replace(api, key=holder.key).get("/flows")


async def test_a_key_of_another_organisation_sees_its_own_only(
    http: TestClient[Any, Any], open_for_module: Services, api: Caller
) -> None:
    world = await make_world(api)
    stranger = await found_organisation(http, open_for_module)
    assert await refusals(stranger) == await refusals(api)
    await stranger.get(f"/flows/{world['flow_id']}", status=404)
    await api.get(f"/flows/{world['flow_id']}")


async def test_the_exempt_list_is_exact(http: TestClient[Any, Any]) -> None:
    exempt = {one.route.name for one in ENDPOINTS if one.route.permission is None}
    assert (
        exempt
        == EXEMPT
        == {
            "receive_config_webhook",
            "receive_webhook",
            "live",
            "ready",
            "kosli_ready",
            "actuator_health",
            "prometheus",
        }
    )
    for endpoint in ENDPOINTS:
        if endpoint.route.permission is None and not endpoint.signature.raw:
            assert await status_of(Caller(http, None), endpoint) == 200


async def test_exempt_routes_do_not_look_at_credentials(http: TestClient[Any, Any]) -> None:
    bogus = Caller(http, "bogus")
    for endpoint in ENDPOINTS:
        if endpoint.route.permission is None and not endpoint.signature.raw:
            assert await status_of(bogus, endpoint) == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Api-Key": "{key}"}, 200),
        ({"x-api-key": " {key} "}, 200),
        ({"X-API-KEY": "{key}"}, 200),
        ({"Authorization": "Bearer {key}"}, 200),
        ({"Authorization": "bearer  {key}"}, 200),
        ({"Authorization": "ApiKey {key}"}, 200),
        ({"authorization": "APIKEY {key}"}, 200),
        ({"X-Api-Key": "{key}", "Authorization": "Bearer wrong"}, 200),
        ({"X-Api-Key": "wrong", "Authorization": "Bearer {key}"}, 401),
        ({"X-Api-Key": "", "Authorization": "Bearer {key}"}, 401),
        ({"Authorization": "{key}"}, 401),
        ({"Authorization": "Basic {key}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer {key} {key}"}, 401),
        ({"X-Api-Key": "{key}x"}, 401),
        ({"X-Api-Key": "\u00fc" * 100}, 401),
        ({"X-Api-Key": "x" * 513}, 401),
        ({"Cookie": "X-Api-Key={key}"}, 401),
        ({}, 401),
    ],
)
async def test_credentials(api: Caller, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(key=api.key) for name, value in headers.items()}
    answer = await replace(api, key=None).get("/flows", status=status, headers=sent)
    assert str(api.key) not in answer.text


async def test_a_key_in_the_query_is_not_a_credential(api: Caller) -> None:
    await replace(api, key=None).get(f"/flows?apiKey={api.key}&X-Api-Key={api.key}", status=401)


async def test_the_credential_is_checked_before_the_body_is_read(api: Caller) -> None:
    hostile = {"data": b"{", "headers": {"Content-Type": "text/plain"}}
    assert (await replace(api, key=None).send("POST", "/flows", **hostile)).status == 401


async def test_a_platform_administrator_names_the_organisation(admin: Caller, api: Caller) -> None:
    flow = await api.make_flow()
    for named in (api.tenant.org_slug, str(api.tenant.org_id)):
        inside: dict[str, Any] = {"headers": {"X-Trailgate-Organisation": named}}
        assert (await admin.get("/flows", **inside)).json == [flow]
        made = (await admin.post("/trails", await trail_of(flow["id"]), **inside)).json
        assert made["orgSlug"] == api.tenant.org_slug
    assert flow["id"] not in {one["id"] for one in (await admin.get("/flows")).json}
    missing = await admin.get("/flows", status=404, headers={"X-Trailgate-Organisation": "no-such-organisation"})
    assert "no-such-organisation" in missing.json["message"]


async def trail_of(flow_id: str) -> dict[str, str]:
    git = {"gitCommitSha": "a", "gitBranch": "b", "gitAuthor": "c", "gitAuthorEmail": "d@e"}
    return {"flowId": flow_id, **git}


async def test_a_narrowed_platform_key_stays_narrow_elsewhere(
    open_for_module: Services, admin: Caller, api: Caller
) -> None:
    default = (await admin.get("/organisations/default")).json
    tenant = replace(admin.tenant, org_id=default["id"])
    narrow = [Permission.PLATFORM_MANAGE, Permission.FACTS_READ]
    holder = await make_holder(open_for_module, tenant, "admin", narrow)
    inside: dict[str, Any] = {"headers": {"X-Trailgate-Organisation": api.tenant.org_slug}}
    caller = replace(admin, key=holder.key)
    await caller.get("/flows", **inside)
    await caller.post("/flows", {"name": unique("flow")}, status=403, **inside)
    await caller.get("/audit", status=403, **inside)


async def test_nobody_else_leaves_his_organisation(open_for_module: Services, api: Caller, admin: Caller) -> None:
    holder = await make_holder(open_for_module, api.tenant, "admin")
    member = replace(api, key=holder.key)
    for own in (api.tenant.org_slug, str(api.tenant.org_id)):
        await member.get("/flows", headers={"X-Trailgate-Organisation": own})
    for foreign in ("default", "no-such-organisation", "", api.tenant.org_slug.upper()):
        await member.get("/flows", status=404, headers={"X-Trailgate-Organisation": foreign})


async def test_with_authentication_off_everybody_is_the_administrator_of_default(
    installation: Installation, tmp_path: Path
) -> None:
    settings = installation.settings(tmp_path, auth="off")
    async with (
        open_services(settings, "test auth off") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        anybody = Caller(client, None)
        assert await refusals(anybody) == {}
        flow = await anybody.make_flow()
        assert flow["orgSlug"] == "default"
        [event] = [e for e in (await anybody.get("/audit?size=100")).json["events"] if e["recordId"] == flow["id"]]
        assert (event["actor"], event["credentialId"]) == ("admin", None)
        assert (await Caller(client, "bogus").get("/flows")).status == 200
        assert (await Caller(client, ADMIN_KEY).get("/flows")).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
async def test_authentication_off_binds_loopback(installation: Installation, tmp_path: Path, host: str) -> None:
    check_exposure(installation.settings(tmp_path, auth="off", host=host))


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.1", "10.0.0.1", "example.com", "localhost.example.com", "", "127.0.0.1.nip.io"]
)
async def test_authentication_off_refuses_every_other_address(
    installation: Installation, tmp_path: Path, host: str
) -> None:
    with pytest.raises(NotConfigured, match="TRAILGATE_AUTH=off"):
        check_exposure(installation.settings(tmp_path, auth="off", host=host))
    check_exposure(installation.settings(tmp_path, auth="required", host=host))
