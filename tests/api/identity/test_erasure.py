"""The audit names who acted and whom it concerns, until that person is erased."""

import json
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from storage.services import Services
from tests.api.caller import Caller, found_organisation
from tests.api.identity.test_members import key_of, make_member, stops

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def events(api: Caller, query: str = "") -> Any:
    return (await api.get(f"/audit?size=100&sortDesc=false&{query}")).json["events"]


async def named(api: Caller, who: str, person_id: str) -> set[tuple[str, str]]:
    """What the audit calls somebody, as the actor or the subject of an event, with the actor's other name."""
    return {(one[f"{who}Name"], one["actor"]) for one in await events(api) if one[f"{who}Id"] == person_id}


async def test_events_name_who_acted_and_whom_they_concern(api: Caller) -> None:
    member = await make_member(api, "ADMIN")
    ada = await key_of(api, member)
    account = (await ada.post("/service-accounts", {"name": "builds"})).json
    await ada.post(f"/service-accounts/{account['id']}/api-keys", {"label": "ci"})
    done = await events(api, f"actorId={member['userId']}")
    told = [(one["eventType"], one["actorName"], one["actorKind"], one["subjectName"]) for one in done]
    assert told == [
        ("PRINCIPAL_CREATED", "Ada", "user", "builds"),
        ("MEMBERSHIP_CREATED", "Ada", "user", "builds"),
        ("API_KEY_CREATED", "Ada", "user", "builds"),
    ]
    assert {one["actor"] for one in done} == {member["email"]}
    assert {one["subjectId"] for one in done} == {account["id"]}
    of_her = [one["eventType"] for one in await events(api) if one["subjectId"] == member["userId"]]
    assert of_her == ["PRINCIPAL_CREATED", "MEMBERSHIP_CREATED", "API_KEY_CREATED"]


async def test_an_event_that_concerns_nobody_has_no_subject(api: Caller) -> None:
    await api.make_flow()
    [made] = await events(api, "eventType=FLOW_CREATED")
    assert (made["subjectId"], made["subjectName"]) == (None, None)


async def test_an_erased_person_has_no_name_in_the_audit(api: Caller) -> None:
    member, _ = await make_member(api, "ADMIN"), await make_member(api, "ADMIN")
    ada, person_id = await key_of(api, member, label="Ada's laptop"), member["userId"]
    await ada.make_flow()
    assert await named(api, "actor", person_id) == {("Ada", member["email"])}
    await api.send("DELETE", f"/users/{person_id}")
    assert await named(api, "actor", person_id) == {("Ada", member["email"])}, "a leaver keeps the name"
    path = f"/users/{person_id}/personal-data"
    assert (await api.send("DELETE", path)).status == 204
    assert (await api.send("DELETE", path)).status == 204, "it is erased"
    await stops(ada)
    assert await named(api, "actor", person_id) == {("erased", person_id)}
    assert {name for name, _ in await named(api, "subject", person_id)} == {"erased"}
    everything = json.dumps(await events(api))
    assert member["email"] not in everything
    assert "laptop" not in everything
    made, revoked, erased = [one for one in await events(api) if one["recordKind"] == "api_key"][-3:]
    assert (made["payload"], revoked["payload"]) == ("null", "null")
    assert json.loads(erased["payload"]) == {"apiKeyId": erased["recordId"]}
    labels = [key["label"] for key in (await api.get(f"/api-keys/owners/{person_id}")).json]
    assert labels == ["erased"]


async def test_a_dry_run_shows_what_would_be_erased(api: Caller) -> None:
    member = await make_member(api)
    await key_of(api, member, label="laptop")
    answer = await api.send("DELETE", f"/users/{member['userId']}/personal-data?dryRun=true")
    assert answer.json["wouldDelete"] == {
        "userId": member["userId"],
        "email": member["email"],
        "name": "Ada",
        "githubId": None,
        "apiKeyLabels": ["laptop"],
    }
    assert (await api.get(f"/users/{member['userId']}")).json["name"] == "Ada"


async def test_others_cannot_erase(http: TestClient[Any, Any], app_services: Services, api: Caller) -> None:
    stranger, member = await found_organisation(http, app_services), await make_member(api)
    path = f"/users/{member['userId']}/personal-data"
    assert (await stranger.send("DELETE", path)).status == 404
    body = {"userId": member["userId"], "role": "MEMBER"}
    await stranger.post(f"/organisations/{stranger.tenant.org_slug}/members", body)
    assert (await stranger.send("DELETE", path)).status == 403
    assert (await (await key_of(api, member)).send("DELETE", path)).status == 403
