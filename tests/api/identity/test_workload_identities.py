"""Workload identities on the wire: which CI jobs may act."""

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from domain.identity.permissions import ROLES, Permission
from domain.identity.quotas import Quota
from storage.identity.commands.quotas import set_limits
from storage.services import Services
from tests.api.caller import NOBODY, Caller, found_organisation, make_holder, unique

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDENTITIES = "/workload-identities"


async def make_identity(api: Caller, **fields: Any) -> Any:
    body = {"name": unique("jobs"), "provider": "github", "repository": "acme/shop", **fields}
    return (await api.post(IDENTITIES, body)).json


def path_of(identity: Any) -> str:
    return f"{IDENTITIES}/{identity['id']}"


async def test_an_identity_has_every_field(api: Caller, app_services: Services) -> None:
    made = await make_identity(api, repository="Acme/Shop", description="Releases", environment="production")
    assert made == {
        "id": made["id"],
        "principalId": made["principalId"],
        "name": made["name"],
        "description": "Releases",
        "role": "SERVICE_ACCOUNT",
        "isActive": True,
        "provider": "github",
        "issuer": "https://token.actions.githubusercontent.com",
        "repository": "acme/shop",
        "repositoryId": None,
        "refPattern": None,
        "environment": "production",
        "scopes": None,
        "audience": f"{app_services.settings.address}/{api.tenant.org_slug}",
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
        "lastUsedAt": None,
    }
    assert (await api.get(path_of(made))).json == made
    assert (await api.get(IDENTITIES)).json == [made]
    own = await make_identity(api, provider="GITLAB", issuer="https://git.example.com/", repository="a/b/c")
    assert (own["provider"], own["issuer"]) == ("gitlab", "https://git.example.com")


async def test_every_change_is_a_version(api: Caller) -> None:
    made = await make_identity(api, environment="production", repositoryId="7")
    flow = await api.make_flow()
    scopes = [f"flow:{flow['id']}", "repo:acme/shop"]
    changes: list[dict[str, Any]] = [
        {"role": "MEMBER"},
        {"name": unique("other"), "description": "x"},
        {"environment": None, "refPattern": "refs/tags/v*", "description": None},
        {"repository": "acme/Other", "repositoryId": None, "scopes": scopes},
        {"isActive": False},
        {"isActive": True, "scopes": None},
    ]
    for version, change in enumerate(changes, 1):
        headers = {"If-Match": f'"{version}"'}
        answer = await api.send("PUT", path_of(made), json=change, headers=headers)
        shown = {**change, "repository": change["repository"].lower()} if "repository" in change else change
        assert (answer.status, answer.json) == (200, answer.json | shown | {"version": version + 1}), answer.text
        assert (await api.send("PUT", path_of(made), json=change, headers=headers)).status == 412
        assert (await api.send("PUT", path_of(made), json=change)).json["version"] == version + 1
    assert (await api.get(path_of(made))).json["environment"] is None


async def test_the_audit_names_it(api: Caller) -> None:
    made = await make_identity(api)
    await api.send("PUT", path_of(made), json={"role": "VIEWER"})
    assert (await api.send("DELETE", path_of(made))).status == 204
    events = (await api.get("/audit?size=50")).json["events"]
    told = [one for one in events if one["recordId"] == made["id"] and one["eventType"].startswith("WORKLOAD")]
    assert [one["eventType"].rpartition("_")[2] for one in told] == ["DELETED", "UPDATED", "CREATED"]
    assert {(one["subjectId"], one["subjectName"]) for one in told} == {(made["principalId"], made["name"])}
    assert json.loads(told[0]["payload"])["repository"] == "acme/shop"
    names = [one["eventType"] for one in events]
    assert {"PRINCIPAL_CREATED", "MEMBERSHIP_CREATED", "MEMBERSHIP_UPDATED", "PRINCIPAL_DELETED"} <= set(names)


async def test_a_name_is_taken_once_and_free_again(api: Caller) -> None:
    made = await make_identity(api)
    body = {"name": made["name"], "provider": "gitlab", "repository": "acme/shop"}
    await api.post(IDENTITIES, body, 409)
    taken = await api.post("/service-accounts", {"name": made["name"]}, 409)
    assert f"workload identity with the name '{made['name']}' exists" in taken.json["message"], (
        "without the organisation"
    )
    assert (await api.send("DELETE", path_of(made))).status == 204
    await api.get(path_of(made), 404)
    assert (await api.send("PUT", path_of(made), json={"role": "VIEWER"})).status == 404
    await api.post(IDENTITIES, body)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"provider": "jenkins"}, "provider"),
        ({"issuer": "http://idp.example.com"}, "issuer"),
        ({"issuer": "https://gitlab.com"}, "issuer"),
        ({"issuer": "https://gitlab.com/"}, "issuer"),
        ({"issuer": "https://a.example?b"}, "issuer"),
        ({"issuer": "https://u@a.example"}, "issuer"),
        ({"issuer": "https://a.example:99999"}, "issuer"),
        ({"issuer": "https://" + "a" * 250}, "issuer"),
        ({"repository": "acme"}, "repository"),
        ({"refPattern": "main"}, "refPattern"),
        ({"refPattern": "refs/*/main"}, "refPattern"),
        ({"environment": " "}, "environment"),
        ({"role": "KING"}, "role"),
        ({"scopes": ["flow:x"]}, "scopes"),
        ({"scopes": ["flow:0190a8c0-0000-7000-8000-000000000001"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"name": " "}, "name"),
        ({"refpattern": "refs/heads/main"}, "refpattern"),
        ({"scope": ["repo:acme/shop"]}, "scope"),
    ],
)
async def test_a_bad_identity_names_the_field(api: Caller, fields: dict[str, Any], named: str) -> None:
    body = {"name": unique("jobs"), "provider": "github", "repository": "acme/shop", **fields}
    assert (await api.post(IDENTITIES, body, 400)).fields == [named]
    assert (await api.get(IDENTITIES)).json == []


async def test_an_issuer_belongs_to_one_provider(api: Caller) -> None:
    made = await make_identity(api, issuer="https://ci.example.com")
    body = {"name": unique("jobs"), "provider": "gitlab", "repository": "a/b", "issuer": "https://ci.example.com/"}
    await api.post(IDENTITIES, body, 409)
    await api.send("DELETE", path_of(made))
    await api.post(IDENTITIES, body)


async def test_nobody_lets_a_job_do_more_than_they_may(app_services: Services, api: Caller) -> None:
    narrow = [Permission.IDENTITY_MANAGE, Permission.IDENTITY_READ, *sorted(ROLES["reporter"])]
    holder = Caller(api.client, (await make_holder(app_services, api.tenant, "admin", narrow)).key, api.tenant)
    body = {"name": unique("jobs"), "provider": "github", "repository": "eve/own"}
    await holder.post(IDENTITIES, body | {"role": "ADMIN"}, 403)
    mighty = await make_identity(api, role="ADMIN")
    assert (await holder.send("PUT", path_of(mighty), json={"repository": "eve/own"})).status == 403
    assert (await holder.send("PUT", path_of(mighty), json={"isActive": False})).status == 200
    assert (await holder.send("PUT", path_of(mighty), json={"repository": "eve/own"})).status == 200
    assert (await holder.send("PUT", path_of(mighty), json={"isActive": True})).status == 403
    own = (await holder.post(IDENTITIES, body)).json
    assert (await holder.send("PUT", path_of(own), json={"role": "MEMBER"})).status == 403


async def test_it_is_neither_a_person_nor_a_service_account(api: Caller) -> None:
    made = await make_identity(api)
    actor = made["principalId"]
    for path in ("/users", "/service-accounts", f"/organisations/{api.tenant.org_slug}/members"):
        assert actor not in str((await api.get(path)).json)
        assert (await api.send("GET", f"{path}/{actor}")).status == 404
        assert (await api.send("DELETE", f"{path}/{actor}")).status == 404
    assert (await api.send("DELETE", f"/users/{actor}/personal-data")).status == 404
    for kind in ("USER", "SERVICE_ACCOUNT"):
        await api.post("/api-keys", {"ownerId": actor, "ownerType": kind, "label": "x"}, 404)


async def test_an_organisation_with_identities_is_not_deleted(
    admin: Caller, http: TestClient[Any, Any], app_services: Services
) -> None:
    api = await found_organisation(http, app_services)
    await make_identity(api)
    refused = await admin.send("DELETE", f"/organisations/{api.tenant.org_slug}")
    assert (refused.status, "1 workload identities" in refused.json["message"]) == (409, True)


async def test_identities_are_counted_against_a_quota(app_services: Services, api: Caller) -> None:
    async with app_services.database.transaction() as tx:
        await set_limits(tx, api.tenant, {Quota.WORKLOAD_IDENTITIES: 1}, NOBODY)
    made = await make_identity(api)
    body = {"name": unique("jobs"), "provider": "github", "repository": "acme/shop"}
    assert (await api.post(IDENTITIES, body, 409)).json["limit"] == "workload_identities"
    await api.send("DELETE", path_of(made))
    await api.post(IDENTITIES, body)
