"""`Idempotency-Key`: one effect and one answer for all requests of one key, through races and crashes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from api.http.binding import Endpoint
from api.http.calls import SERVICES, STAGING, Call, Reply, Route, Surface, Upload
from api.http.documentation.openapi import document
from api.http.dry_runs import DryRun
from api.http.errors import ErrorOut, render_error
from api.http.idempotency import HEADER, REPLAYED
from api.http.middleware import install
from api.http.wire import WireIn, WireModel
from domain.facts.flows import NewFlow
from domain.identity.permissions import Permission, Principal
from storage.facts.commands.flows import create_flow
from storage.idempotency.sweep import forget, forget_answers
from storage.services import Services
from tests.api.caller import NOBODY, Answer, Caller, make_holder, trail_body, unique
from tests.api.table import CHANGING, ENDPOINTS, OF_JOBS, SURFACE, body_of, file_for, name_of, url_of, wanted_by
from tests.api.walks import TO_MAKE, Walk
from tests.api.world import TO_SIGN_IN, caller_for, make_world
from tests.paths import ROOT
from tests.storage.counting import count_rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

ATTESTATION = {"type": "TEST", "status": "PASSED"}


def under(key: str, **headers: str) -> dict[str, Any]:
    return {"headers": {HEADER: key, **headers}}


def is_replay(answer: Answer) -> bool:
    return answer.headers.get(REPLAYED) == "true"


async def attestations_path(api: Caller) -> str:
    trail = await api.make_trail((await api.make_flow())["id"])
    return f"/trails/{trail['id']}/attestations"


async def attestations(api: Caller, path: str) -> list[str]:
    return [one["id"] for one in (await api.get(path)).json]


async def test_a_repetition_gets_the_same_answer_and_changes_nothing(api: Caller) -> None:
    path, request = await attestations_path(api), under(unique("key"))
    first = await api.post(path, ATTESTATION, **request)
    second = await api.post(path, ATTESTATION, **request)
    assert second.text == first.text
    assert (is_replay(first), is_replay(second)) == (False, True)
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert second.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert await attestations(api, path) == [first.json["id"]]
    assert len((await api.get("/audit?eventType=ATTESTATION_RECORDED")).json["events"]) == 1


async def test_an_answer_without_a_body_is_kept_too(api: Caller) -> None:
    config = await api.make_config((await api.make_flow())["id"])
    request = under(unique("key"))
    answers = [await api.send("DELETE", f"/webhook-configs/{config['id']}", **request) for _ in range(2)]
    assert [(one.status, one.text, is_replay(one)) for one in answers] == [(204, "", False), (204, "", True)]
    assert (await api.send("DELETE", f"/webhook-configs/{config['id']}")).status == 404


async def test_a_secret_that_an_answer_shows_once_is_kept_encrypted(api: Caller, app_services: Services) -> None:
    key = unique("key")
    rule = {
        "name": "signed",
        "triggerEvent": "ATTESTATION_FAILED",
        "channelType": "WEBHOOK",
        "channelConfig": {"webhookUrl": "https://hooks.example.com/x"},
    }
    answers = [await api.post("/notification-rules", rule, **under(key)) for _ in range(2)]
    assert answers[0].json["signingSecret"] == answers[1].json["signingSecret"]
    async with app_services.database.transaction() as tx:
        body = await tx.value("SELECT body FROM idempotency_keys WHERE key = $1", key)
        assert b"signingSecret" not in body
        await tx.execute("UPDATE idempotency_keys SET body = '\\x00' WHERE key = $1", key)
    refused = await api.post("/notification-rules", rule, status=409, **under(key))
    assert "was already performed" in refused.json["message"]


async def test_without_a_key_everything_is_new(api: Caller) -> None:
    path = await attestations_path(api)
    answers = [await api.post(path, ATTESTATION) for _ in range(2)]
    assert await attestations(api, path) == [one.json["id"] for one in answers]
    assert not any(is_replay(one) for one in answers)


async def test_another_request_under_the_key_is_422(api: Caller, admin: Caller) -> None:
    request = under(unique("key"))
    name = unique("flow")
    await api.post("/flows", {"name": name}, **request)
    other_body = await api.post("/flows", {"name": unique("flow")}, status=422, **request)
    assert HEADER in other_body.json["message"]
    await api.post("/flows", {"name": name}, status=422, params={"x": "1"}, **request)
    await api.post("/flows", {"name": name}, status=422, headers={**request["headers"], "X-Dry-Run": "false"})
    assert len((await api.get("/flows")).json) == 1


async def test_another_organisation_is_another_request(api: Caller, admin: Caller) -> None:
    """A platform administrator's key must not answer for one tenant what was done for another."""
    key, body = unique("key"), {"name": unique("flow")}
    await admin.post("/flows", body, **under(key))
    elsewhere = under(key, **{"X-Trailgate-Organisation": api.tenant.org_slug})
    await admin.post("/flows", body, status=422, **elsewhere)
    assert (await api.get("/flows")).json == []


async def test_a_key_counts_for_one_caller_method_and_path(api: Caller, app_services: Services) -> None:
    request, paths = under(unique("key")), [await attestations_path(api) for _ in range(2)]
    colleague = replace(api, key=(await make_holder(app_services, api.tenant, "admin")).key)
    answers = [await api.post(path, ATTESTATION, **request) for path in paths]
    answers.append(await colleague.post(paths[0], ATTESTATION, **request))
    assert not any(is_replay(one) for one in answers)
    assert len({one.json["id"] for one in answers}) == 3


async def test_a_caller_with_another_credential_is_still_the_same(api: Caller, app_services: Services) -> None:
    """A rotated API key in the middle of a retry must not double anything."""
    holder = await make_holder(app_services, api.tenant, "admin")
    other = await make_holder(app_services, api.tenant, "admin")
    async with app_services.database.transaction() as tx:
        moved = "UPDATE api_keys SET principal_id = $1 WHERE id = $2"
        assert await tx.execute(moved, holder.principal_id, other.key_id) == 1
    body, request = {"name": unique("flow")}, under(unique("key"))
    first, second = [await replace(api, key=one.key).post("/flows", body, **request) for one in (holder, other)]
    assert (first.json["id"], is_replay(second)) == (second.json["id"], True)


@pytest.mark.parametrize("key", ["", " ", "a b", "\u00e4", "a\tb", "x" * 256])
async def test_a_key_that_is_none(api: Caller, key: str) -> None:
    refused = await api.send("POST", "/flows", json={"name": "x"}, headers={HEADER: key})
    assert (refused.status, refused.fields) == (400, [HEADER])
    assert (await api.get("/flows")).json == []


@pytest.mark.parametrize("key", ["!", "~" * 255])
async def test_a_key_at_the_edge(api: Caller, key: str) -> None:
    for _ in range(2):
        await api.post("/flows", {"name": "x"}, **under(key))


async def test_two_keys_are_none(api: Caller) -> None:
    headers = [(HEADER, "a"), (HEADER, "b"), ("X-Api-Key", str(api.key))]
    async with api.client.post("/api/v1/flows", json={"name": "x"}, headers=headers) as answer:
        assert answer.status == 400


async def test_a_refusal_is_not_kept(api: Caller) -> None:
    flow, request = await api.make_flow(), under(unique("key"))
    await api.post("/flows", {"name": ""}, status=400, **request)
    await api.post("/flows", {"name": flow["name"]}, status=409, **request)
    made = await api.post("/flows", {"name": unique("flow")}, **request)
    assert not is_replay(made)
    assert [one["id"] for one in (await api.get("/flows")).json] == [flow["id"], made.json["id"]]


async def test_a_dry_run_ignores_the_key(api: Caller) -> None:
    body, request = {"name": unique("flow")}, under(unique("key"))
    rehearsal = {"headers": {**request["headers"], "X-Dry-Run": "true"}}
    assert (await api.post("/flows", body, status=200, **rehearsal)).json["dryRun"] is True
    made = await api.post("/flows", body, **request)
    assert not is_replay(made)
    taken = await api.post("/flows", body, status=409, **rehearsal)
    assert not is_replay(taken)
    await api.post("/flows", {"name": unique("flow")}, status=200, headers={HEADER: "no key", "X-Dry-Run": "true"})


async def test_who_may_no_longer_do_it_gets_no_answer(api: Caller, app_services: Services) -> None:
    holder = await make_holder(app_services, api.tenant, "admin")
    former, body, request = replace(api, key=holder.key), {"name": unique("flow")}, under(unique("key"))
    await former.post("/flows", body, **request)
    async with app_services.database.transaction() as tx:
        await tx.execute("UPDATE memberships SET role = 'viewer' WHERE principal_id = $1", holder.principal_id)
    async with asyncio.timeout(5):  # the change is announced to a process that knows the key for a moment
        while (answer := await former.send("POST", "/flows", json=body, **request)).status != 403:
            assert is_replay(answer)


async def test_ten_at_once_have_one_effect(api: Caller) -> None:
    for path, body in [(await attestations_path(api), ATTESTATION), ("/flows", {"name": unique("flow")})]:
        request = under(unique("key"))
        answers = await asyncio.gather(*(api.post(path, body, **request) for _ in range(10)))
        assert len({one.text for one in answers}) == 1
        assert [is_replay(one) for one in answers].count(False) == 1
        found = await attestations(api, path) if "trails" in path else (await api.get(path)).json[1:]
        assert len(found) == 1


@asynccontextmanager
async def held(services: Services, sql: str, *args: Any) -> AsyncIterator[None]:
    """Somebody else holds a lock meanwhile."""
    async with services.database.transaction() as tx:
        await tx.rows(sql, *args)
        yield


async def blocked_backend(services: Services) -> int:
    """The connection of ours that waits for a lock."""
    async with asyncio.timeout(10), services.database.read() as reader:
        while True:
            pid = await reader.value(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if pid is not None:
                return int(pid)
            await asyncio.sleep(0.01)


def trail_lock(path: str) -> tuple[str, UUID]:
    return "SELECT 1 FROM trails WHERE id = $1 FOR UPDATE", UUID(path.split("/")[2])


async def test_a_second_one_waits_for_the_first(api: Caller, app_services: Services) -> None:
    path, request = await attestations_path(api), under(unique("key"))
    async with held(app_services, *trail_lock(path)):
        both = [asyncio.create_task(api.post(path, ATTESTATION, **request)) for _ in range(2)]
        await blocked_backend(app_services)
        await asyncio.sleep(0.1)
        assert not any(one.done() for one in both)
    first, second = await asyncio.gather(*both)
    assert first.text == second.text
    assert sorted([is_replay(first), is_replay(second)]) == [False, True]


async def test_who_waits_too_long_is_told_to_come_back(
    api: Caller, app_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.idempotency.TIMEOUT_WAIT", 0.1)
    path, request = await attestations_path(api), under(unique("key"))
    async with held(app_services, *trail_lock(path)):
        first = asyncio.create_task(api.post(path, ATTESTATION, **request))
        await blocked_backend(app_services)
        busy = await api.post(path, ATTESTATION, status=409, **request)
        assert busy.headers["Retry-After"] == "1"
        assert busy.json.keys() == ErrorOut.model_json_schema(by_alias=True)["properties"].keys()
        assert busy.json["requestId"] == busy.headers["X-Request-Id"]
    assert not is_replay(await first)
    assert is_replay(await api.post(path, ATTESTATION, **request))
    assert len(await attestations(api, path)) == 1


async def test_waiting_holds_no_connection(
    api: Caller, app_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one client with more retries than the pool has connections would stop everybody."""
    monkeypatch.setattr("api.http.idempotency.TIMEOUT_WAIT", 1.0)
    path, request = await attestations_path(api), under(unique("key"))
    async with held(app_services, *trail_lock(path)):
        many = app_services.settings.database_pool * 2
        waiting = [asyncio.create_task(api.send("POST", path, json=ATTESTATION, **request)) for _ in range(many)]
        await blocked_backend(app_services)
        async with asyncio.timeout(0.9):
            await api.make_flow()
        assert not any(one.done() for one in waiting)
    await asyncio.gather(*waiting)


async def test_a_connection_killed_at_work_leaves_nothing(api: Caller, app_services: Services) -> None:
    path, request = await attestations_path(api), under(unique("key"))
    async with held(app_services, *trail_lock(path)):
        killed = asyncio.create_task(api.send("POST", path, json=ATTESTATION, **request))
        await kill(app_services, await blocked_backend(app_services))
        assert (await killed).status == 503
    assert await attestations(api, path) == []
    assert not is_replay(await api.post(path, ATTESTATION, **request))
    assert is_replay(await api.post(path, ATTESTATION, **request))
    assert len(await attestations(api, path)) == 1


async def test_a_death_between_effect_and_answer_keeps_neither(api: Caller, app_services: Services) -> None:
    path, request = await attestations_path(api), under(unique("key"))
    async with held(app_services, "LOCK TABLE idempotency_keys IN SHARE MODE"):
        killed = asyncio.create_task(api.send("POST", path, json=ATTESTATION, **request))
        pid = await blocked_backend(app_services)
        async with app_services.database.read() as reader:
            at_work = await reader.value("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
            assert "INSERT INTO idempotency_keys" in at_work  # the effect is written, the answer is not
        await kill(app_services, pid)
        assert (await killed).status == 503
    assert await attestations(api, path) == []
    assert not is_replay(await api.post(path, ATTESTATION, **request))
    assert len(await attestations(api, path)) == 1


async def kill(services: Services, pid: int) -> None:
    async with services.database.read() as reader:
        assert await reader.value("SELECT pg_terminate_backend($1)", pid)


async def test_a_client_that_gave_up_may_send_it_again(api: Caller, app_services: Services) -> None:
    path, request = await attestations_path(api), under(unique("key"))
    async with held(app_services, *trail_lock(path)):
        impatient = asyncio.create_task(api.send("POST", path, json=ATTESTATION, **request))
        await blocked_backend(app_services)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
    again = await api.post(path, ATTESTATION, **request)
    assert await attestations(api, path) == [again.json["id"]]


async def test_an_answer_too_long_to_keep_still_counts(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.idempotency.commands.MAX_BODY", 100)
    path, request = await attestations_path(api), under(unique("key"))
    made = await api.post(path, ATTESTATION, **request)
    refused = await api.post(path, ATTESTATION, status=409, **request)
    assert "too long" in refused.json["message"]
    assert await attestations(api, path) == [made.json["id"]]


async def age(services: Services, key: str, hours: float) -> None:
    async with services.database.transaction() as tx:
        older = "UPDATE idempotency_keys SET created_at = created_at - make_interval(secs => $2) WHERE key = $1"
        assert await tx.execute(older, key, hours * 3600) == 1


async def test_a_key_is_forgotten_after_a_day(api: Caller, app_services: Services) -> None:
    path, key = await attestations_path(api), unique("key")
    first = await api.post(path, ATTESTATION, **under(key))
    await age(app_services, key, 23.9)
    assert is_replay(await api.post(path, ATTESTATION, **under(key)))
    await age(app_services, key, 0.2)
    second = await api.post(path, {"type": "SCAN", "status": "PASSED"}, **under(key))
    assert not is_replay(second)
    assert await attestations(api, path) == [first.json["id"], second.json["id"]]
    assert is_replay(await api.post(path, {"type": "SCAN", "status": "PASSED"}, **under(key)))


async def test_the_sweep_takes_what_expired_and_nothing_else(api: Caller, app_services: Services) -> None:
    path, keys = await attestations_path(api), [unique("key") for _ in range(4)]
    for key in keys:
        await api.post(path, ATTESTATION, **under(key))
    for key in keys[:3]:
        await age(app_services, key, 25)
    async with app_services.database.transaction() as tx:
        assert await forget(tx, 2) == 2
    await forget_answers(app_services)
    await forget_answers(app_services)
    async with app_services.database.read() as reader:
        left = await reader.rows("SELECT key FROM idempotency_keys WHERE key = ANY($1)", keys)
    assert [row["key"] for row in left] == keys[3:]


async def test_every_changing_route_documents_the_key() -> None:
    described = document(SURFACE, ENDPOINTS)["paths"]
    takers = set()
    for endpoint in ENDPOINTS:
        operation = described[endpoint.route.plain_path][endpoint.route.method.lower()]
        if any((one["in"], one["name"]) == ("header", HEADER) for one in operation.get("parameters", ())):
            takers.add(endpoint.route.name)
            assert {"409", "422"} <= operation["responses"].keys()
    assert takers == {name_of(one) for one in CHANGING}


def request_of(endpoint: Endpoint, world: dict[str, str]) -> dict[str, Any]:
    """A body as the document shows it, on what there is; made anew each time, as a form has to be."""
    if endpoint.signature.body is None:
        return {"data": file_for(endpoint)}
    body = body_of(endpoint, world)
    return {"json": body | ({"slug": unique("org")} if "slug" in body else {})}


REPEATED = tuple(one for one in CHANGING if one.route.name not in {"delete_organisation", "sign_out"} | OF_JOBS)
"""Once an organisation is deleted, its path leads nowhere, and once a session is ended, nobody has it."""
REPETITIONS = Walk(REPEATED, requests=2 + TO_MAKE + TO_SIGN_IN)


@REPETITIONS.routes()
async def test_no_changing_route_does_it_twice(
    api: Caller, admin: Caller, app_services: Services, endpoint: Endpoint
) -> None:
    world = await make_world(api, *wanted_by(endpoint))
    caller = await caller_for(endpoint, api, admin)
    url, key, request = url_of(endpoint, **world), under(unique("key")), request_of(endpoint, world)
    first = await caller.send(endpoint.route.method, url, **request, **key)
    changed = await changes(app_services)
    again = request if "json" in request else request_of(endpoint, world)
    second = await caller.send(endpoint.route.method, url, **again, **key)
    assert await changes(app_services) == changed
    assert first.status < 300, first.text
    assert (second.status, second.text, is_replay(second)) == (first.status, first.text, True)


async def changes(services: Services) -> dict[str, int]:
    """Every change is audited and every refused write too; a kept answer is a row."""
    async with services.database.read() as reader:
        return await count_rows(reader, "audit_events", "attestation_results", "idempotency_keys")


async def test_facts_are_recorded_through_the_seam() -> None:
    """What a handler gives to a group commit itself would be committed beside the answer, not with it."""
    handlers = [path for path in (ROOT / "api").rglob("*.py") if "handlers" in path.parts]
    assert handlers
    assert not [path for path in handlers if ".submit(" in path.read_text()]


class ThingForm(WireIn):
    name: str
    file: Upload | None = None


class ThingOut(WireModel):
    id: UUID


async def make_thing(call: Call, form: ThingForm, dry_run: DryRun = False) -> Reply[ThingOut]:
    """A flow by form."""
    tenant = call.request.app[CALLER].tenant
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        flow = await create_flow(tx, tenant, NewFlow(form.name), NOBODY)
    async with call.services.database.snapshot() as reader:
        assert await reader.value("SELECT true FROM flows WHERE id = $1", flow.id) is not dry_run
    if form.file and form.file.file_name == "explosive":
        raise RuntimeError("after the effect")
    return Reply(ThingOut(id=flow.id), status=202, headers={"Location": f"/things/{flow.id}"})


CALLER: web.AppKey[Caller] = web.AppKey("caller", Caller)


@asynccontextmanager
async def things(api: Caller, services: Services, staging: Path) -> AsyncIterator[TestClient[Any, Any]]:
    """A surface with one form, over the real database."""

    async def authenticate(_request: web.Request) -> Principal:
        rights = frozenset({Permission.FACTS_MANAGE})
        return Principal(NOBODY.principal_id, "user", api.tenant.org_id, api.tenant.org_slug, "admin", rights)

    route = Route("POST", "/things", make_thing, Permission.FACTS_MANAGE, status=202)
    surface = Surface("things", "Things", "v1", ErrorOut, render_error, authenticate, (route,))
    app = web.Application()
    app[SERVICES], app[STAGING], app[CALLER] = services, staging, api
    install(app, [surface])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_of_a_form_the_fields_and_the_files_count(api: Caller, app_services: Services, tmp_path: Path) -> None:
    key, name = unique("key"), unique("flow")

    async def send(client: TestClient[Any, Any], content: bytes, **fields: str) -> tuple[int, Any, dict[str, str]]:
        form = FormData({"name": name, **fields})
        form.add_field("file", content, filename="a.txt")
        async with client.post("/things", data=form, headers={HEADER: key}) as answer:
            return answer.status, await answer.json(), dict(answer.headers)

    async with things(api, app_services, tmp_path) as client:
        first, second = await send(client, b"content"), await send(client, b"content")
        assert first[:2] == second[:2]
        assert (first[0], second[2]["Location"]) == (202, first[2]["Location"])
        assert (REPLAYED in first[2], REPLAYED in second[2]) == (False, True)
        assert first[2]["Content-Type"] == second[2]["Content-Type"]
        assert (await send(client, b"other"))[0] == 422
        assert (await send(client, b"content", name="another"))[0] == 422
    assert [one["id"] for one in (await api.get("/flows")).json] == [first[1]["id"]]
    assert list(tmp_path.iterdir()) == []


async def test_what_fails_after_its_effect_has_had_none(api: Caller, app_services: Services, tmp_path: Path) -> None:
    """Without a key the flow would stand, behind a 500."""
    form = FormData({"name": unique("flow")})
    form.add_field("file", b"", filename="explosive")
    async with things(api, app_services, tmp_path) as client:
        answer = await client.post("/things", data=form, headers={HEADER: unique("key")})
        assert answer.status == 500
    assert (await api.get("/flows")).json == []


async def test_a_trail_is_opened_once(api: Caller) -> None:
    """The whole day of a pipeline that retries everything."""
    flow, key = await api.make_flow(requiredAttestations=["TEST"]), unique("key")
    body = trail_body(flow["id"], name="build-1")
    trail, again = [await api.post("/trails", body, **under(key)) for _ in range(2)]
    assert trail.text == again.text
    path = f"/trails/{trail.json['id']}/attestations"
    for _ in range(2):
        await api.post(path, ATTESTATION, **under(key))
    assert await api.status_of(trail.json["id"]) == "COMPLIANT"
    assert len(await attestations(api, path)) == 1
