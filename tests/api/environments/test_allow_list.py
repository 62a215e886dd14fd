"""Allow-lists on the wire: added, listed, used and removed."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine

from domain.environments.allow_list import MAX_ENTRIES, NewUse
from domain.environments.artifacts import Running
from domain.identity.permissions import ROLES, Permission
from storage.environments.commands.allow_list_uses import record_uses
from storage.environments.commands.staleness import recheck_drift
from storage.environments.queries.allow_list import allowed_artifacts, effective_entries
from storage.services import Services
from tests.api.caller import NOBODY, Caller, make_holder
from tests.api.environments.reporting import A, B, C, events, line, make_environment, report
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("ALLOWLIST_ADDED", "ALLOWLIST_REMOVED", "ALLOWLIST_USED")


async def add(api: Caller, environment: str, status: int = 201, **fields: Any) -> Any:
    body = {"reason": "a hotfix", **fields}
    return (await api.post(f"/environments/{environment}/allowlist", body, status)).json


async def listed(api: Caller, environment: str, query: str = "") -> list[str]:
    return [one["id"] for one in (await api.get(f"/environments/{environment}/allowlist{query}")).json]


async def test_an_entry_is_added_read_and_removed(api: Caller) -> None:
    environment = await make_environment(api)
    made = await add(api, environment, sha256="A" * 64, namePattern="^api", approvedBy="ada")
    assert_times(made, "createdAt")
    assert {name: value for name, value in made.items() if name not in {"id", "createdAt"}} == {
        "environmentId": environment,
        "sha256": A,
        "artifactName": None,
        "namePattern": "^api",
        "reason": "a hotfix",
        "approvedBy": "ada",
        "status": "ACTIVE",
        "isEffective": True,
        "expiresAt": None,
        "removedAt": None,
        "firstUsedAt": None,
    }
    where = f"/environments/{environment}/allowlist"
    assert (await api.get(f"{where}/{made['id']}")).json == made
    assert (await api.get(where)).json == [made]
    removed = await api.send("DELETE", f"{where}/{made['id']}")
    assert removed.status == 200
    assert_times(removed.json, "removedAt")
    gone = {"status": "REMOVED", "isEffective": False, "removedAt": removed.json["removedAt"]}
    assert removed.json == made | gone
    assert (await api.get(where)).json == [made | gone]
    assert (await api.send("DELETE", f"{where}/{made['id']}")).status == 409


async def test_other_names_of_the_fields_are_accepted(api: Caller) -> None:
    environment = await make_environment(api)
    fields = {"sha256Digest": B, "artifactName": "api.v1", "justification": "agreed"}
    made = (await api.post(f"/environments/{environment}/allowlist", fields)).json
    assert (made["sha256"], made["artifactName"], made["namePattern"]) == (B, "api.v1", None)
    assert made["reason"] == "agreed"


async def test_the_approver_is_the_caller_unless_the_body_names_one(api: Caller) -> None:
    environment = await make_environment(api)
    caller = (await events(api, "ENVIRONMENT_CREATED"))[0]["actor"]
    assert (await add(api, environment, sha256=A))["approvedBy"] == caller
    assert (await add(api, environment, sha256=A, approvedBy=" "))["approvedBy"] == caller


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "sha256"),
    ({"sha256": "", "namePattern": " ", "artifactName": ""}, "sha256"),
    ({"sha256": "abc"}, "sha256"),
    ({"namePattern": "("}, "namePattern"),
    ({"namePattern": "(?=x)"}, "namePattern"),
    ({"namePattern": "a" * 501}, "namePattern"),
    ({"namePattern": r"\pL{400}"}, "namePattern"),
    ({"artifactName": "a" * 256}, "artifactName"),
    ({"sha256": A, "reason": " "}, "reason"),
    ({"sha256": A, "reason": None}, "reason"),
    ({"sha256": A, "expiresAt": "2001-01-01T00:00:00Z"}, "expiresAt"),
    ({"sha256": A, "expiresAt": "tomorrow"}, "expiresAt"),
    ({"sha256": A, "expires": "2999-01-01T00:00:00Z"}, "expires"),
]


@pytest.mark.parametrize(("fields", "named"), BAD)
async def test_a_bad_entry_is_refused_and_its_field_named(api: Caller, fields: dict[str, Any], named: str) -> None:
    environment = await make_environment(api)
    body = {"reason": "a hotfix", **fields}
    assert (await api.post(f"/environments/{environment}/allowlist", body, 400)).fields == [named]
    assert await listed(api, environment) == []


async def test_blank_texts_beside_a_digest_are_absent(api: Caller) -> None:
    made = await add(api, await make_environment(api), sha256=A, namePattern="", artifactName=" ")
    assert (made["namePattern"], made["artifactName"]) == (None, None)


async def test_expired_and_removed_entries_stay_in_the_list(api: Caller) -> None:
    environment = await make_environment(api)
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    expiring, lasting, removed = [
        (await add(api, environment, sha256=A, expiresAt=until))["id"] for until in (soon, None, None)
    ]
    await api.send("DELETE", f"/environments/{environment}/allowlist/{removed}")
    assert await listed(api, environment, "?effective=true") == [expiring, lasting]
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=2)):
        assert await listed(api, environment) == [expiring, lasting, removed]
        assert await listed(api, environment, "?effective=true") == [lasting]
        answer = await api.get(f"/environments/{environment}/allowlist?effective=false&size=1")
        assert [(one["id"], one["isEffective"], one["status"]) for one in answer.json] == [(expiring, False, "ACTIVE")]
        assert answer.headers["X-Total-Count"] == "2"
        assert "after=" in answer.headers["Link"]
        assert (await api.send("DELETE", f"/environments/{environment}/allowlist/{expiring}")).status == 200


async def test_what_is_missing_is_not_found(api: Caller) -> None:
    environment, other = await make_environment(api), await make_environment(api)
    entry = (await add(api, environment, sha256=A))["id"]
    for method, path in [
        ("GET", f"/environments/{other}/allowlist/{entry}"),
        ("GET", f"/environments/{other}/allowlist/{entry}/uses"),
        ("DELETE", f"/environments/{other}/allowlist/{entry}"),
        ("DELETE", f"/environments/{environment}/allowlist/{uuid4()}"),
        ("GET", f"/environments/{uuid4()}/allowlist"),
        ("DELETE", f"/environments/{uuid4()}/allowlist/{entry}"),
    ]:
        assert (await api.send(method, path)).status == 404, path
    await add(api, str(uuid4()), 404, sha256=A)


async def test_an_archived_environment_has_no_allow_list(api: Caller) -> None:
    environment = await make_environment(api)
    entry = (await add(api, environment, sha256=A))["id"]
    await api.send("DELETE", f"/environments/{environment}")
    await add(api, environment, 404, sha256=A)
    for path in ("", f"/{entry}", f"/{entry}/uses"):
        await api.get(f"/environments/{environment}/allowlist{path}", 404)
    assert (await api.send("DELETE", f"/environments/{environment}/allowlist/{entry}")).status == 404


async def test_of_simultaneous_removals_one_succeeds(api: Caller) -> None:
    environment = await make_environment(api)
    entry = (await add(api, environment, sha256=A))["id"]
    path = f"/environments/{environment}/allowlist/{entry}"
    answers = await asyncio.gather(*(api.send("DELETE", path) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409]
    assert len(await events(api, "ALLOWLIST_REMOVED")) == 1


async def test_a_list_takes_as_many_entries_as_is_said(api: Caller, app_services: Services) -> None:
    environment = await make_environment(api)
    first = await add(api, environment, sha256=A)
    async with app_services.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO allowlist SELECT gen_random_uuid(), org_id, environment_id, digest, name, pattern, reason, "
            "claimed_by, added_by, expires_at, created_at FROM allowlist, generate_series(2, $2) WHERE id = $1",
            UUID(first["id"]),
            MAX_ENTRIES,
        )
    refused = await add(api, environment, 409, sha256=B)
    assert (refused["limit"], str(MAX_ENTRIES) in refused["message"]) == ("allowlist_entries", True)
    fixed = {one["name"]: one["limit"] for one in (await api.get("/limits")).json["fixed"]}
    assert fixed["allowlist_entries"] == MAX_ENTRIES
    await api.send("DELETE", f"/environments/{environment}/allowlist/{first['id']}")
    await add(api, environment, sha256=B)


async def test_a_pattern_that_backtracks_elsewhere_costs_nothing(api: Caller, app_services: Services) -> None:
    environment = await make_environment(api)
    await add(api, environment, namePattern="(a+)+$")
    long = [Running("a" * 254 + "!", A, None), Running("a" * 255, A, None)]
    assert await allowed_in(api, app_services, environment, long) == {long[1]}


async def allowed_in(api: Caller, services: Services, environment: str, artifacts: list[Running]) -> set[Running]:
    async with services.database.read() as reader:
        here, now = UUID(environment), services.clock.now()
        return set((await allowed_artifacts(reader, api.tenant, {here: artifacts}, now))[here])


async def test_who_reports_may_not_allow(api: Caller, app_services: Services) -> None:
    environment = await make_environment(api)
    entry = (await add(api, environment, sha256=A))["id"]
    for role, permissions in ROLES.items():
        holder = replace(api, key=(await make_holder(app_services, api.tenant, role)).key)
        expected = 201 if Permission.POLICIES_MANAGE in permissions else 403
        assert (expected == 201) is (role == "admin")
        if Permission.FACTS_READ in permissions:
            await holder.get(f"/environments/{environment}/allowlist")
            await add(holder, environment, expected, sha256=B)
            if expected == 403:
                assert (await holder.send("DELETE", f"/environments/{environment}/allowlist/{entry}")).status == 403


async def test_additions_and_removals_are_audited(api: Caller) -> None:
    environment = await make_environment(api)
    made = await add(api, environment, sha256=A, expiresAt="2999-01-31T12:00:00Z")
    await api.send("DELETE", f"/environments/{environment}/allowlist/{made['id']}")
    found = await events(api, *NAMES)
    assert [one["eventType"] for one in found] == ["ALLOWLIST_ADDED", "ALLOWLIST_REMOVED"]
    for event in found:
        assert (event["environmentId"], event["artifactSha256"]) == (environment, A)
        told = json.loads(event["payload"])
        assert (told["entryId"], told["reason"]) == (made["id"], "a hotfix")
        assert told["expiresAt"].startswith("2999-01-31T12:00:00")


async def test_a_use_is_recorded_and_audited_the_first_time(api: Caller, app_services: Services) -> None:
    environment = await make_environment(api)
    made = await add(api, environment, namePattern="api")
    here, artifacts = UUID(environment), [Running("api", A, "1"), Running("api", A, "2"), Running("api-2", B, None)]
    for some in (artifacts[:2], artifacts, []):
        async with app_services.database.transaction() as tx:
            found = await allowed_artifacts(tx, api.tenant, {here: [*some, Running("web", B, None)]}, tx.now)
            uses = [NewUse(here, entry.id, one.name, one.digest) for one, entry in found[here].items()]
            await record_uses(tx, api.tenant, uses, NOBODY)
    where = f"/environments/{environment}/allowlist/{made['id']}"
    shown = (await api.get(f"{where}/uses")).json
    assert [(one["artifactName"], one["artifactSha256"]) for one in shown] == [("api", A), ("api-2", B)]
    assert (await api.get(where)).json["firstUsedAt"] == shown[0]["firstUsedAt"]
    told = [json.loads(event["payload"]) for event in await events(api, "ALLOWLIST_USED")]
    assert told == [
        {"entryId": made["id"], "environmentId": environment, "artifactName": name, "sha256": digest}
        for name, digest in (("api", A), ("api-2", B))
    ]
    page = await api.get(f"{where}/uses?size=1")
    assert (page.json, page.headers["X-Total-Count"]) == (shown[:1], "2")


async def test_what_is_effective_is_found_with_the_entry_that_allows_it(api: Caller, app_services: Services) -> None:
    environment, other = await make_environment(api), await make_environment(api)
    soon = datetime.now(UTC) + timedelta(hours=1)
    foreign = (await add(api, other, artifactName="job"))["id"]
    gone = await add(api, environment, sha256=A)
    await api.send("DELETE", f"/environments/{environment}/allowlist/{gone['id']}")
    entries: list[dict[str, Any]] = [
        {"sha256": A, "expiresAt": soon.isoformat()},
        {"artifactName": "web"},
        {"sha256": A},
    ]
    made = [(await add(api, environment, **fields))["id"] for fields in entries]
    here, there = UUID(environment), UUID(other)
    app, web, job = Running("api", A, None), Running("web", B, None), Running("job", B, None)
    async with app_services.database.read() as reader:
        for at, ids, by_digest in ((soon - timedelta(seconds=1), made, made[0]), (soon, made[1:], made[2])):
            effective = await effective_entries(reader, api.tenant, [here, there], at)
            assert [str(one.id) for one in effective[here]] == ids
            running = {here: [app, web, job], there: [app, job]}
            found = await allowed_artifacts(reader, api.tenant, running, at)
            assert {one: str(entry.id) for one, entry in found[here].items()} == {app: by_digest, web: made[1]}
            assert {one: str(entry.id) for one, entry in found[there].items()} == {job: foreign}


async def test_a_dry_run_changes_nothing(api: Caller) -> None:
    environment = await make_environment(api)
    where, body = f"/environments/{environment}/allowlist", {"sha256": A, "reason": "a hotfix"}
    assert (await api.post(f"{where}?dryRun=true", body, 200)).json["wouldCreate"]["sha256"] == A
    assert await listed(api, environment) == []
    entry = (await add(api, environment, sha256=A))["id"]
    preview = await api.send("DELETE", f"{where}/{entry}?dryRun=true")
    assert (preview.status, preview.json["wouldDelete"]["status"]) == (200, "REMOVED")
    assert await listed(api, environment, "?effective=true") == [entry]


async def drift(api: Caller, environment: str) -> Any:
    return (await api.get(f"/environments/{environment}/drift")).json


async def approved(api: Caller, *lines: dict[str, Any]) -> str:
    """An environment whose baseline has these artifacts."""
    environment = await make_environment(api)
    await report(api, environment, *lines)
    await api.post(f"/environments/{environment}/baselines", {})
    return environment


@pytest.mark.parametrize("fields", [{"sha256": B}, {"artifactName": "api"}, {"namePattern": "^a.i$"}])
async def test_what_is_allowed_is_no_drift(api: Caller, fields: dict[str, Any]) -> None:
    environment = await approved(api, line("api", A), line("web", A))
    await report(api, environment, line("api", B, "2"), line("web", A), line("job", C))
    entry = await add(api, environment, **fields)
    assert entry["firstUsedAt"] is not None
    found = await drift(api, environment)
    assert (found["status"], [one["artifactName"] for one in found["added"]]) == ("DRIFTED", ["job"])
    assert (found["updated"], [one["artifactName"] for one in found["allowlisted"]]) == ([], ["api"])
    await add(api, environment, artifactName="job")
    assert (await drift(api, environment))["status"] == "IN_SYNC"
    assert (await api.send("DELETE", f"/environments/{environment}/allowlist/{entry['id']}")).status == 200
    found = await drift(api, environment)
    assert (found["status"], [one["artifactName"] for one in found["updated"]]) == ("DRIFTED", ["api"])
    names = [one["eventType"] for one in await events(api, "DRIFT_DETECTED", "DRIFT_CHANGED", "DRIFT_RESOLVED")]
    assert names == ["DRIFT_DETECTED", "DRIFT_CHANGED", "DRIFT_RESOLVED", "DRIFT_DETECTED"]


async def test_what_is_allowed_from_the_beginning_never_drifts(api: Caller) -> None:
    environment = await approved(api, line("api", A))
    entry = await add(api, environment, namePattern="^job-")
    assert entry["firstUsedAt"] is None
    for number in (1, 2, 1, 2):
        await report(api, environment, line("api", A), line(f"job-{number}", B))
        assert (await drift(api, environment))["status"] == "IN_SYNC"
    assert await events(api, "DRIFT_DETECTED") == []
    uses = (await api.get(f"/environments/{environment}/allowlist/{entry['id']}/uses")).json
    assert [one["artifactName"] for one in uses] == ["job-1", "job-2"]


async def test_an_entry_that_expires_lets_drift_begin(api: Caller, app_services: Services) -> None:
    environment = await approved(api, line("api", A))
    soon = datetime.now(UTC) + timedelta(hours=1)
    await add(api, environment, sha256=B, expiresAt=soon.isoformat())
    await add(api, environment, sha256=C, expiresAt=(soon - timedelta(minutes=30)).isoformat())
    await report(api, environment, line("api", B))
    assert (await api.get(f"/environments/{environment}")).json["driftStatus"] == "IN_SYNC"
    for moment, status in ((soon - timedelta(minutes=1), "IN_SYNC"), (soon, "DRIFTED"), (soon, "DRIFTED")):
        with time_machine.travel(moment, tick=False):
            async with app_services.database.transaction() as tx:
                await recheck_drift(tx, api.tenant, [UUID(environment)])
            assert (await api.get(f"/environments/{environment}")).json["driftStatus"] == status
    assert len(await events(api, "DRIFT_DETECTED")) == 1
