"""Who may do what: every route by every kind of caller, the expectation derived from domain/identity/permissions.py.

What a route decides about a caller is asked without HTTP, for all routes and roles. Over HTTP go two roles to every
route, one that is let in and one that is refused, and every kind of credential to one route of each permission; in
`make test-all` all of them go everywhere.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from api.__main__ import check_exposure
from api.app import build_app
from api.http.binding import Endpoint
from api.http.calls import Call
from api.surfaces import EXEMPT
from domain.errors import Forbidden, Unauthenticated
from domain.identity.permissions import PROFILE, ROLES, Permission, Principal, narrowed, role_permissions
from domain.identity.scopes import Scopes
from domain.identity.sessions import NewSession, SignInMethod
from domain.tenant import Tenant
from storage.identity.commands.api_keys import revoke_api_key
from storage.identity.commands.sessions import revoke_session, start_session
from storage.services import NotConfigured, Services, open_services
from tests.api.caller import NOBODY, Caller, found_organisation, make_holder, unique
from tests.api.jobs import Jobs
from tests.api.table import ENDPOINTS, GUARDED, SURFACE, name_of, permission_of, url_of
from tests.api.walks import Walk
from tests.api.world import make_world
from tests.conftest import ADMIN_KEY, Installation
from tests.vendors.identity_provider import IdentityProvider, new_key

pytestmark = pytest.mark.asyncio(loop_scope="session")

MakeKey = Callable[[Services, Caller], Awaitable[str | None]]


async def status_of(caller: Caller, endpoint: Endpoint) -> int:
    """A dry run with an empty body and unknown ids: whoever is let in gets 200, 400 or 404, and nothing changes."""
    request: dict[str, Any] = {"json": {}} if endpoint.signature.body else {}
    url = url_of(endpoint, organisation=caller.tenant.org_slug)
    return (await caller.send(endpoint.route.method, url, headers={"X-Dry-Run": "true"}, **request)).status


async def refusals(caller: Caller, endpoints: Sequence[Endpoint] = GUARDED) -> dict[str, int]:
    """What each route answers, where that is a refusal; nothing may be a failure of ours."""
    answers = {endpoint.route.name: await status_of(caller, endpoint) for endpoint in endpoints}
    assert [name for name, status in answers.items() if status >= 500] == []
    return {name: status for name, status in answers.items() if status in {401, 403}}


def beyond(held: frozenset[Permission], endpoints: Sequence[Endpoint] = GUARDED) -> dict[str, int]:
    """The routes that ask for more than is held."""
    return {one.route.name: 403 for one in endpoints if one.route.permission not in held | PROFILE}


def principal(role: str, organisation: str, key: list[Permission] | None = None) -> Principal:
    held = narrowed(role_permissions(role, organisation), key)
    return Principal(NOBODY.principal_id, "user", UUID(int=1), organisation, role, held)


async def decides(endpoint: Endpoint, caller: Principal | None) -> int:
    """The answer's status as far as it depends on the caller: the very code that serves, without what it serves."""

    async def authenticate(_request: web.Request) -> Principal | None:
        return caller

    needed, nothing = endpoint.route.permission, cast("Any", None)
    assert needed is not None
    judge = copy(endpoint)
    judge.surface = replace(SURFACE, authenticate=authenticate, denied=None)
    try:
        admitted = await judge._admitted(Call(nothing, None, nothing, "a request"), needed)
    except Unauthenticated:
        return 401
    except Forbidden:
        return 403
    assert admitted.principal is caller
    return 200


async def decisions(caller: Principal | None) -> dict[str, int]:
    """What each guarded route says to that caller, where that is a refusal."""
    found = {one.route.name: await decides(one, caller) for one in GUARDED}
    return {name: status for name, status in found.items() if status != 200}


@pytest.mark.parametrize("organisation", ["default", "acme"])
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_exactly_its_routes(role: str, organisation: str) -> None:
    assert await decisions(principal(role, organisation)) == beyond(role_permissions(role, organisation))


@pytest.mark.parametrize("permission", Permission)
async def test_a_key_narrowed_to_one_permission(permission: Permission) -> None:
    held = role_permissions("admin", "acme") & {permission}
    assert await decisions(principal("admin", "acme", [permission])) == beyond(held)


@pytest.mark.parametrize("role", ROLES)
async def test_a_key_never_exceeds_its_owner(role: str) -> None:
    held = role_permissions(role, "acme")
    assert await decisions(principal(role, "acme", list(Permission))) == beyond(held)
    assert await decisions(principal(role, "acme", [])) == beyond(frozenset())


async def test_a_key_with_scopes_opens_the_routes_that_apply_them() -> None:
    scoped = replace(principal("admin", "default"), scopes=Scopes.of(["repo:acme/app"]))
    assert await decisions(scoped) == {one.route.name: 403 for one in GUARDED if not one.route.scoped}


async def test_nobody_opens_nothing() -> None:
    assert await decisions(None) == {one.route.name: 401 for one in GUARDED}


EVERY_ROUTE = Walk(GUARDED, requests=1, times=2, pattern=name_of)
"""Who is let in everywhere, and who is refused everywhere."""
EVERY_ROLE = Walk(GUARDED, requests=1, times=2 * len(ROLES), pattern=None)


@EVERY_ROUTE.groups()
async def test_the_administrator_of_default_may_do_everything(admin: Caller, endpoints: Sequence[Endpoint]) -> None:
    assert await refusals(admin, endpoints) == {}


@EVERY_ROUTE.groups()
async def test_a_role_without_permissions_may_do_nothing(
    app_services: Services, api: Caller, endpoints: Sequence[Endpoint]
) -> None:
    holder = await make_holder(app_services, api.tenant, "none")
    assert await refusals(replace(api, key=holder.key), endpoints) == beyond(frozenset(), endpoints)


@EVERY_ROLE.groups()
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_opens_exactly_its_routes_over_http(
    app_services: Services, api: Caller, role: str, endpoints: Sequence[Endpoint]
) -> None:
    holder = await make_holder(app_services, api.tenant, role)
    expected = beyond(role_permissions(role, api.tenant.org_slug), endpoints)
    assert await refusals(replace(api, key=holder.key), endpoints) == expected


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def default(admin: Caller) -> Tenant:
    found = (await admin.get("/organisations/default")).json
    return Tenant(UUID(found["id"]), "default")


@EVERY_ROLE.groups()
@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
async def test_default_gives_other_roles_nothing_more(
    app_services: Services, admin: Caller, default: Tenant, role: str, endpoints: Sequence[Endpoint]
) -> None:
    holder = await make_holder(app_services, default, role)
    assert await refusals(replace(admin, key=holder.key), endpoints) == beyond(ROLES[role], endpoints)


PERMISSIONS = sorted({one.route.permission for one in GUARDED if one.route.permission})
NARROWED_KEYS = Walk(GUARDED, requests=1, times=len(PERMISSIONS), pattern=permission_of)


@NARROWED_KEYS.groups()
@pytest.mark.parametrize("permission", PERMISSIONS)
async def test_a_key_narrowed_to_one_permission_over_http(
    app_services: Services, api: Caller, permission: Permission, endpoints: Sequence[Endpoint]
) -> None:
    holder = await make_holder(app_services, api.tenant, "admin", [permission])
    held = role_permissions("admin", api.tenant.org_slug) & {permission}
    assert await refusals(replace(api, key=holder.key), endpoints) == beyond(held, endpoints)


WIDE_KEYS = Walk(GUARDED, requests=2, pattern=permission_of)


@WIDE_KEYS.groups()
async def test_a_key_never_exceeds_its_owner_over_http(
    app_services: Services, api: Caller, endpoints: Sequence[Endpoint]
) -> None:
    holder = await make_holder(app_services, api.tenant, "viewer", list(Permission))
    assert await refusals(replace(api, key=holder.key), endpoints) == beyond(ROLES["viewer"], endpoints)
    nothing = await make_holder(app_services, api.tenant, "admin", [])
    assert await refusals(replace(api, key=nothing.key), endpoints) == beyond(frozenset(), endpoints)


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


async def session_of(services: Services, api: Caller, role: str = "admin", **change: Any) -> tuple[UUID, str]:
    """A session of a new member, and its text."""
    holder = await make_holder(services, api.tenant, role)
    async with services.database.transaction() as tx:
        new = NewSession(holder.principal_id, SignInMethod.API_KEY, **change)
        session, text = await start_session(tx, api.tenant, new, timedelta(hours=1), NOBODY)
    return session.id, text


async def ended_session(services: Services, api: Caller) -> str | None:
    session_id, text = await session_of(services, api)
    async with services.database.transaction() as tx:
        await revoke_session(tx, api.tenant, session_id, NOBODY)
    return text


async def expired_session(services: Services, api: Caller) -> str | None:
    session_id, text = await session_of(services, api)
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1", session_id)
    return text


async def session_of_a_revoked_key(services: Services, api: Caller) -> str | None:
    holder = await make_holder(services, api.tenant, "admin")
    _, text = await session_of(services, api, api_key_id=holder.key_id)
    async with services.database.transaction() as tx:
        await revoke_api_key(tx, api.tenant, holder.key_id, NOBODY)
    return text


async def token_of_nobody(services: Services, api: Caller) -> str | None:
    """A CI token of an issuer that the organisation does not know."""
    audience = f"{services.settings.address}/{api.tenant.org_slug}"
    return IdentityProvider("https://ci.example.com", new_key("P-256")).github_token(audience)


OUTSIDERS: list[MakeKey] = [
    nobody,
    invented,
    revoked,
    expired,
    disabled_owner,
    former_member,
    ended_session,
    expired_session,
    session_of_a_revoked_key,
    token_of_nobody,
]
WITHOUT_A_KEY = Walk(GUARDED, requests=1, times=len(OUTSIDERS), pattern=permission_of)


@WITHOUT_A_KEY.groups()
@pytest.mark.parametrize("make", OUTSIDERS)
async def test_without_a_key_that_holds_everything_is_401(
    app_services: Services, api: Caller, make: MakeKey, endpoints: Sequence[Endpoint]
) -> None:
    outsider = replace(api, key=await make(app_services, api))
    assert await refusals(outsider, endpoints) == {one.route.name: 401 for one in endpoints}


@pytest.mark.parametrize("make", OUTSIDERS)
async def test_a_401_says_how_to_authenticate(app_services: Services, api: Caller, make: MakeKey) -> None:
    refused = await replace(api, key=await make(app_services, api)).get("/flows", status=401)
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
    assert refused.json["error"] == "Unauthorized"


SESSIONS = Walk(GUARDED, requests=2, pattern=permission_of)


@SESSIONS.groups()
async def test_a_session_opens_what_its_role_opens(
    app_services: Services, api: Caller, endpoints: Sequence[Endpoint]
) -> None:
    for role in ("admin", "viewer"):
        _, text = await session_of(app_services, api, role)
        expected = beyond(role_permissions(role, api.tenant.org_slug), endpoints)
        assert await refusals(replace(api, key=text), endpoints) == expected


CI_TOKENS = Walk(GUARDED, requests=4, pattern=permission_of)


@CI_TOKENS.groups()
async def test_a_ci_token_opens_what_its_role_opens(jobs: Jobs, endpoints: Sequence[Endpoint]) -> None:
    identities = {}
    for role in ("admin", "viewer"):
        identities[role] = await jobs.identity(role=role, environment=role)
        expected = beyond(role_permissions(role, jobs.api.tenant.org_slug), endpoints)
        assert await refusals(jobs.job(environment=role), endpoints) == expected
    await jobs.change(identities["admin"], isActive=False)
    for former in (jobs.job(environment="admin"), jobs.job(environment="viewer", exp=1)):
        assert await refusals(former, endpoints) == {one.route.name: 401 for one in endpoints}


async def test_a_key_holds_until_its_last_moment(app_services: Services, api: Caller) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    holder = await make_holder(app_services, api.tenant, "viewer", expires_at=soon)
    await replace(api, key=holder.key).get("/flows")


STRANGERS = Walk(GUARDED, requests=2, pattern=permission_of)


@STRANGERS.groups()
async def test_a_key_of_another_organisation_opens_the_same_routes(
    http: TestClient[Any, Any], app_services: Services, api: Caller, endpoints: Sequence[Endpoint]
) -> None:
    stranger = await found_organisation(http, app_services)
    assert await refusals(stranger, endpoints) == await refusals(api, endpoints)


async def test_a_key_of_another_organisation_sees_its_own_only(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    world = await make_world(api, "flow_id")
    stranger = await found_organisation(http, app_services)
    await stranger.get(f"/flows/{world['flow_id']}", status=404)
    await api.get(f"/flows/{world['flow_id']}")


def unproven_status(endpoint: Endpoint) -> int:
    """What somebody without a credential gets: an answer, or what a parameter or the body lacks."""
    return 400 if endpoint.signature.query is not None or endpoint.signature.body is not None else 200


async def test_the_exempt_list_is_exact(http: TestClient[Any, Any]) -> None:
    exempt = {one.route.name for one in ENDPOINTS if one.route.permission is None}
    assert (
        exempt
        == EXEMPT
        == {
            "receive_config_webhook",
            "receive_webhook",
            "begin_sign_in",
            "finish_sign_in",
            "accept_invitation",
            "live",
            "ready",
            "kosli_ready",
            "actuator_health",
            "prometheus",
        }
    )
    for endpoint in ENDPOINTS:
        if endpoint.route.permission is None and not endpoint.signature.raw:
            assert await status_of(Caller(http, None), endpoint) == unproven_status(endpoint)


async def test_exempt_routes_do_not_look_at_credentials(http: TestClient[Any, Any]) -> None:
    bogus = Caller(http, "bogus")
    for endpoint in ENDPOINTS:
        if endpoint.route.permission is None and not endpoint.signature.raw:
            assert await status_of(bogus, endpoint) == unproven_status(endpoint)


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
    app_services: Services, admin: Caller, api: Caller, default: Tenant
) -> None:
    narrow = [Permission.PLATFORM_MANAGE, Permission.FACTS_READ]
    holder = await make_holder(app_services, default, "admin", narrow)
    inside: dict[str, Any] = {"headers": {"X-Trailgate-Organisation": api.tenant.org_slug}}
    caller = replace(admin, key=holder.key)
    await caller.get("/flows", **inside)
    await caller.post("/flows", {"name": unique("flow")}, status=403, **inside)
    await caller.get("/audit", status=403, **inside)


async def test_nobody_else_leaves_his_organisation(app_services: Services, api: Caller, admin: Caller) -> None:
    holder = await make_holder(app_services, api.tenant, "admin")
    member = replace(api, key=holder.key)
    for own in (api.tenant.org_slug, str(api.tenant.org_id)):
        await member.get("/flows", headers={"X-Trailgate-Organisation": own})
    for foreign in ("default", "no-such-organisation", "", api.tenant.org_slug.upper()):
        await member.get("/flows", status=404, headers={"X-Trailgate-Organisation": foreign})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def anybody(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """Without a key, where authentication is off."""
    settings = installation.settings(tmp_path_factory.mktemp("off"), auth="off")
    async with (
        open_services(settings, "test auth off") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        yield Caller(client, None)


AUTHENTICATION_OFF = Walk(GUARDED, requests=1, pattern=permission_of)


@AUTHENTICATION_OFF.groups()
async def test_with_authentication_off_everything_is_open(anybody: Caller, endpoints: Sequence[Endpoint]) -> None:
    assert await refusals(anybody, endpoints) == {}


async def test_with_authentication_off_everybody_is_the_administrator_of_default(anybody: Caller) -> None:
    flow = await anybody.make_flow()
    assert flow["orgSlug"] == "default"
    [event] = [e for e in (await anybody.get("/audit?size=100")).json["events"] if e["recordId"] == flow["id"]]
    assert (event["actor"], event["credentialId"]) == ("admin", None)
    assert (await replace(anybody, key="bogus").get("/flows")).status == 200
    assert (await replace(anybody, key=ADMIN_KEY).get("/flows")).status == 200


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
