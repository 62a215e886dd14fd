"""The app around its routes: health, metrics, log lines, and what is said when the database is gone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from arq.connections import ArqRedis
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from api.app import build_app
from api.monitoring.health import STOPPING
from storage.services import Services, open_services
from tests.api.caller import Caller, unique
from tests.api.times import assert_times
from tests.api.webhooks.sending import Sender, github_headers, let_in
from tests.api.world import make_world
from tests.conftest import ADMIN_KEY, Installation
from workers.drain import drain
from workers.seal import Sealer

READY = ("/health/ready", "/ready", "/actuator/health")
in_session = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[Caller]:
    async with TestClient(TestServer(build_app(services))) as client:
        yield Caller(client, ADMIN_KEY)


@in_session
@pytest.mark.parametrize("path", READY)
async def test_readiness_names_its_components(http: TestClient[Any, Any], path: str) -> None:
    answer = await Caller(http, None).get(path)
    assert answer.json.keys() == {"status", "components", "timestamp"}
    assert answer.json["status"] == "UP"
    assert answer.json["components"] == {"database": "UP", "writing": "UP", "redis": "UP"}
    assert_times(answer.json, "timestamp")


@in_session
async def test_liveness_asks_nobody(http: TestClient[Any, Any]) -> None:
    assert (await Caller(http, None).get("/health/live")).json["status"] == "UP"


async def test_a_stopping_process_is_alive_and_not_ready(own_services: Services) -> None:
    app = build_app(own_services)
    async with TestClient(TestServer(app)) as client:
        caller = Caller(client, None)
        app[STOPPING].begun = True
        for path in READY:
            assert (await caller.get(path, status=503)).json["status"] == "DOWN"
        await caller.get("/health/live")


async def test_without_redis_the_process_serves(own_services: Services) -> None:
    """Redis only wakes workers: without it work waits for the sweep."""
    gone = ArqRedis(unix_socket_path="/nonexistent/valkey.sock")
    async with serving(replace(own_services, redis=gone)) as caller:
        answer = (await caller.get("/health/ready")).json
        assert answer["status"] == "UP"
        assert answer["components"] == {"database": "UP", "writing": "UP", "redis": "DOWN"}


async def test_without_a_database_everything_says_503_and_when_to_come_back(own_services: Services) -> None:
    async with serving(own_services) as caller:
        sender = await let_in(caller)
        await sender.deliver(b"{}", github_headers(b"{}", "ping"))
        await own_services.database.pool.close()
        for path in READY:
            answer = await caller.get(path, status=503)
            assert answer.json["components"]["database"] == "DOWN"
        await caller.get("/health/live")
        flows = await caller.get("/flows", status=503)
        hook = await sender.deliver(b"[]", github_headers(b"[]", "ping"), 503)
        for refused in (flows, hook):
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.json["error"] == "Service Unavailable"
            assert "asyncpg" not in refused.text


async def test_an_unplanned_failure_is_opaque_and_named_by_its_request(own_services: Services) -> None:
    async with serving(own_services) as caller:
        async with own_services.database.transaction() as tx:
            await tx.execute("ALTER TABLE flows RENAME TO flows_elsewhere")
        request_id = unique("request")
        with capture_logs() as logs:
            answer = await caller.get("/flows", status=500, headers={"X-Request-Id": request_id})
        assert answer.json["requestId"] == answer.headers["X-Request-Id"] == request_id
        assert answer.json["error"] == "Internal Server Error"
        assert not [word for word in ("flows_elsewhere", "relation", "asyncpg", "Traceback") if word in answer.text]
        [failed] = [line for line in logs if line["event"] == "request failed"]
        assert failed["request_id"] == request_id
        assert "relation" in str(failed["exc_info"])


async def test_every_request_leaves_one_line_with_its_id(own_services: Services) -> None:
    async with serving(own_services) as api:
        flow = await api.make_flow()
        with capture_logs() as logs:
            answers = [
                await api.get("/flows"),
                await api.get(f"/flows/{flow['id']}?secret=in-the-query"),
                await api.get("/flows/x", status=400),
                await api.get("/nothing", status=404),
            ]
    lines = [line for line in logs if line["event"] == "request"]
    assert [line["request_id"] for line in lines] == [answer.headers["X-Request-Id"] for answer in answers]
    assert [line["status"] for line in lines] == [200, 200, 400, 404]
    assert [line["operation"] for line in lines] == ["list_flows", "get_flow", "get_flow", "unrouted"]
    assert all(line["milliseconds"] >= 0 for line in lines)
    assert str(api.key) not in str(logs)
    assert "in-the-query" not in str(logs)


@in_session
@pytest.mark.parametrize("given", ["a-b_c.9", "x" * 64])
async def test_a_request_id_that_is_fit_is_kept(api: Caller, given: str) -> None:
    assert (await api.get("/flows", headers={"X-Request-Id": given})).headers["X-Request-Id"] == given


@in_session
@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "\u00fc", "a,b", "'"])
async def test_a_request_id_that_is_not_is_replaced(api: Caller, given: str) -> None:
    made = (await api.get("/flows", headers={"X-Request-Id": given})).headers["X-Request-Id"]
    assert made != given
    assert len(made) == 32


@in_session
async def test_every_answer_names_the_region(api: Caller) -> None:
    """Always the server's own, whatever the request names."""
    for path, status in (("/flows", 200), ("/flows/x", 400), ("/nothing", 404), ("/health/live", 200)):
        answer = await api.get(path, status=status, headers={"X-Factstore-Region": "mars"})
        assert answer.headers["X-Factstore-Region"] == "us-east-1"


@in_session
async def test_head_is_get_without_a_body(api: Caller) -> None:
    await api.make_flow()
    got, head = await api.get("/flows"), await api.send("HEAD", "/flows")
    assert (head.status, head.text) == (200, "")
    assert head.headers["X-Total-Count"] == got.headers["X-Total-Count"] == "1"
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


def samples(text: str) -> Mapping[str, float]:
    """Every sample without labels, by its name."""
    families = list(text_string_to_metric_families(text))
    return {one.name: one.value for family in families for one in family.samples if not one.labels}


GAUGES = (
    "trailgate_inbox_waiting",
    "trailgate_inbox_oldest_seconds",
    "trailgate_dead_letters",
    "trailgate_unsealed_events",
    "trailgate_seal_lag_seconds",
)


async def test_the_metrics_follow_the_queues(own_services: Services) -> None:
    async with serving(own_services) as caller:
        sender = await let_in(caller)
        good, bad = b'{"zen": "x"}', b'{"action": "completed"}'
        await sender.deliver(good, github_headers(good, "ping"))
        await sender.deliver(bad, github_headers(bad, "workflow_run"))
        answer = await Caller(caller.client, None).get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        waiting = samples(answer.text)
        assert set(GAUGES) <= waiting.keys()
        assert (waiting["trailgate_inbox_waiting"], waiting["trailgate_dead_letters"]) == (2, 0)
        assert waiting["trailgate_unsealed_events"] > 0
        assert waiting["trailgate_seal_lag_seconds"] > 0
        await drain(own_services)
        await Sealer()(own_services)
        settled = samples((await caller.get("/metrics")).text)
        assert [settled[name] for name in GAUGES] == [0, 0, 1, 0, 0]


@in_session
async def test_requests_and_refusals_are_counted(api: Caller) -> None:
    before = await counted(api)
    await api.get("/flows")
    await api.get("/flows/x", status=400)
    await Caller(api.client, None).get("/flows", status=401)
    await Caller(api.client, None).post("/webhooks/github", status=401, data=b"{}")
    after = await counted(api)
    grown = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert grown["trailgate_requests_total", "list_flows", "200"] == 1
    assert grown["trailgate_requests_total", "list_flows", "401"] == 1
    assert grown["trailgate_requests_total", "get_flow", "400"] == 1
    assert grown["trailgate_denied_total", "no_credential", "401"] == 1
    assert grown["trailgate_denied_total", "signature", "401"] == 1
    assert [value for key, value in grown.items() if key[0] == "trailgate_webhooks_refused_total"] == [1]
    assert grown["trailgate_request_seconds_count", "get_flow"] == 1


async def counted(api: Caller) -> dict[tuple[str, ...], float]:
    text = (await api.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


async def test_a_full_inbox_answers_503_and_loses_nothing_it_accepted(
    own_installation: Installation, tmp_path: Path
) -> None:
    settings = own_installation.settings(tmp_path, inbox_capacity=2)
    async with open_services(settings, "test overload") as services, serving(services) as caller:
        sender = await let_in(caller)
        async with services.database.transaction() as held:
            await held.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
            sending = [asyncio.create_task(attempt(sender, n)) for n in range(30)]
            while sum(task.done() for task in sending) < 20:
                await asyncio.sleep(0.01)
            assert {task.result() for task in sending if task.done()} == {503}
        statuses = [await task for task in sending]
        accepted = statuses.count(202)
        assert 0 < accepted < 30
        assert statuses.count(503) == 30 - accepted
        assert len(await sender.deliveries()) == accepted
        assert await attempt(sender, 0) == 202


async def attempt(sender: Sender, n: int) -> int:
    body = b'{"n": %d}' % n
    answer = await sender.owner.send("POST", sender.path, data=body, headers=github_headers(body, "ping"))
    if answer.status == 503:
        assert answer.headers["Retry-After"] == "1"
    return answer.status


async def test_what_was_accepted_is_written_before_the_app_is_down(own_services: Services) -> None:
    async with serving(own_services) as caller:
        world = await make_world(caller, "trail_id", "attestation_id")
        reports = [asyncio.create_task(caller.attest(world["trail_id"], name=str(n))) for n in range(20)]
        made = await asyncio.gather(*reports)
    async with serving(own_services) as again:
        page = (await again.get(f"/trails/{world['trail_id']}/attestations?size=100")).json
        assert {one["id"] for one in made} < {one["id"] for one in page["items"]}
        used = await used_keys(own_services)
    assert used >= 1


async def used_keys(services: Services) -> int:
    async with services.database.read() as reader:
        return int(await reader.value("SELECT count(*) FROM api_key_uses"))
