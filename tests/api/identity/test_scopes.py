"""Keys with scopes: how they are made, handed on and replaced, and what they are told."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.identity.scopes import MAX_SCOPES
from domain.tenant import Tenant
from storage.services import Services
from tests.api.caller import Caller, make_holder, trail_body, unique

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def make_key(api: Caller, status: int = 201, **fields: Any) -> Any:
    """A key of a service account that may do what a reporter may."""
    account = (await api.post("/service-accounts", {"name": unique("ci")})).json
    return (await api.post(f"/service-accounts/{account['id']}/api-keys", {"label": "build", **fields}, status)).json


async def limited(services: Services, api: Caller, *scopes: str) -> Caller:
    """An administrator with a key of these scopes."""
    return replace(api, key=(await make_holder(services, api.tenant, "admin", scopes=list(scopes))).key)


async def test_a_key_shows_its_scopes_and_me_does(api: Caller) -> None:
    flow = await api.make_flow()
    key = await make_key(api, scopes=["repo:acme/app", f"flow:{flow['id'].upper()}"])
    assert key["scopes"] == [f"flow:{flow['id']}", "repo:acme/app"]
    assert (await api.get(f"/api-keys/owners/{key['ownerId']}")).json[0]["scopes"] == key["scopes"]
    assert (await replace(api, key=key["plainTextKey"]).get("/me")).json["scopes"] == key["scopes"]
    assert (await make_key(api))["scopes"] is None
    assert (await api.get("/me")).json["scopes"] is None


@pytest.mark.parametrize(
    ("scopes", "field"),
    [
        ([], "scopes"),
        (["payments"], "scopes"),
        (["flow:payments"], "scopes"),
        ([f"flow:{uuid4()}"], "scopes"),
        (["repo:"], "scopes"),
        ([f"repo:{n}" for n in range(MAX_SCOPES + 1)], "scopes"),
        (["repo:" + "a" * 300], "scopes.0"),
        ([7], "scopes.0"),
        ("repo:a", "scopes"),
    ],
)
async def test_bad_scopes_make_no_key(api: Caller, scopes: Any, field: str) -> None:
    refused = await make_key(api, 400, scopes=scopes)
    assert [detail["field"] for detail in refused["details"]] == [field]


async def test_a_flow_of_another_organisation_is_none(api: Caller, admin: Caller) -> None:
    foreign = await admin.make_flow()
    refused = await make_key(api, 400, scopes=[f"flow:{foreign['id']}"])
    assert "there is no flow" in refused["details"][0]["message"]


async def test_a_key_with_scopes_hands_on_no_more_than_these(app_services: Services, api: Caller) -> None:
    flow, other = await api.make_flow(), await api.make_flow()
    held = f"flow:{flow['id']}"
    holder = await limited(app_services, api, held, "repo:acme/app")
    account = (await api.post("/service-accounts", {"name": unique("ci")})).json
    path, body = f"/service-accounts/{account['id']}/api-keys", {"label": "build"}
    for scopes in (None, [held, f"flow:{other['id']}"], ["repo:acme/lib"], [f"flow:{uuid4()}"]):
        refused = await holder.post(path, {**body, "scopes": scopes}, status=403)
        assert held in refused.json["message"], "it says which scopes may be given"
    made = (await holder.post(path, {**body, "scopes": [f"flow:{flow['id'].upper()}"]})).json
    assert made["scopes"] == [held]


async def test_a_successor_has_the_same_scopes(app_services: Services, api: Caller) -> None:
    flow = await api.make_flow()
    key = await make_key(api, scopes=[f"flow:{flow['id']}"])
    path = f"/service-accounts/{key['ownerId']}/api-keys/{key['id']}/rotate"
    assert (await api.post(path)).json["scopes"] == key["scopes"]
    stranger = await limited(app_services, api, "repo:acme/app")
    await stranger.post(path, status=404)


async def test_a_key_with_scopes_sees_and_revokes_keys_within_them_only(app_services: Services, api: Caller) -> None:
    wide = await make_key(api)
    path = f"/service-accounts/{wide['ownerId']}/api-keys"
    narrow = (await api.post(path, {"label": "narrow", "scopes": ["repo:acme/app"]})).json
    holder = await limited(app_services, api, "repo:acme/app", "repo:acme/lib")
    listed = await holder.get(path)
    assert ([key["id"] for key in listed.json], listed.headers["X-Total-Count"]) == ([narrow["id"]], "1")
    assert (await holder.send("DELETE", f"/api-keys/{wide['id']}/revoke")).status == 404
    assert (await holder.send("DELETE", f"/api-keys/{narrow['id']}/revoke")).status == 204
    assert [key["isActive"] for key in (await api.get(path)).json] == [True, False]


async def test_a_route_that_does_not_apply_scopes_says_why_and_audits_the_write(
    app_services: Services, api: Caller
) -> None:
    holder = await limited(app_services, api, "repo:acme/app")
    refused = await holder.post("/flows", {"name": unique("flow")}, status=403)
    assert "needs a key without scopes" in refused.json["message"]
    assert (await api.get("/audit?size=1")).json["events"][0]["eventType"] == "ACCESS_DENIED"
    await holder.get("/audit", status=403)
    await holder.get("/service-accounts", status=403)


async def test_a_repository_gives_access_to_its_trails_in_every_flow(app_services: Services, api: Caller) -> None:
    flow = await api.make_flow()
    app, lib = [await api.make_trail(flow["id"], gitRepository=name) for name in ("acme/app", "acme/lib")]
    holder = await limited(app_services, api, "repo:acme/app")
    assert [trail["id"] for trail in (await holder.get("/trails")).json] == [app["id"]]
    await holder.attest(app["id"])
    await holder.post(f"/trails/{lib['id']}/attestations", {"type": "BUILD", "status": "PASSED"}, status=404)
    await holder.get(f"/flows/{flow['id']}", status=404)
    assert (await holder.get("/flows")).headers["X-Total-Count"] == "0"


async def test_a_key_for_a_repository_opens_the_trails_of_that_repository_only(
    app_services: Services, api: Caller
) -> None:
    flow = await api.make_flow()
    holder = await limited(app_services, api, "repo:acme/app")
    await holder.make_trail(flow["id"], gitRepository="acme/app")
    for other in (None, "acme/lib", "ACME/app"):
        await holder.post("/trails", trail_body(flow["id"], gitRepository=other), status=404)


async def test_an_idempotency_key_does_not_show_an_answer_beyond_the_scopes(
    app_services: Services, api: Caller
) -> None:
    """Two keys of one owner: what one was answered, the other, which reaches less, is not."""
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    account = (await api.post("/service-accounts", {"name": unique("ci")})).json
    body = {"ownerId": account["id"], "ownerType": "SERVICE_ACCOUNT", "label": "one"}
    wide = (await api.post("/api-keys", body)).json
    narrow = (await api.post("/api-keys", {**body, "scopes": ["repo:acme/app"]})).json
    path, fact = f"/trails/{trail['id']}/attestations", {"type": "BUILD", "status": "PASSED"}
    headers = {"Idempotency-Key": unique("key")}
    await replace(api, key=wide["plainTextKey"]).post(path, fact, headers=headers)
    refused = await replace(api, key=narrow["plainTextKey"]).send("POST", path, json=fact, headers=headers)
    assert refused.status == 422, refused.text
    fresh = {"Idempotency-Key": unique("key")}
    await replace(api, key=narrow["plainTextKey"]).post(path, fact, status=404, headers=fresh)


async def test_a_platform_administrators_key_with_scopes_stays_in_its_organisation(
    app_services: Services, api: Caller, admin: Caller
) -> None:
    found = (await admin.get("/organisations/default")).json
    holder = await limited(app_services, replace(admin, tenant=Tenant(UUID(found["id"]), "default")), "repo:acme/app")
    elsewhere = {"X-Trailgate-Organisation": api.tenant.org_slug}
    await admin.get("/trails", headers=elsewhere)
    await holder.get("/trails", status=404, headers=elsewhere)
