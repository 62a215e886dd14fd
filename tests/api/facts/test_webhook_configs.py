"""Webhook configs: created, listed, rotated, deleted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from domain.facts.webhook_configs import MAX_DEFAULT_CONFIGS
from storage.services import Services
from tests.api.caller import SECRET, Caller
from tests.api.times import assert_times
from tests.api.webhooks.sending import github_headers, let_in
from tests.conftest import ADMIN_KEY

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"zen": "Half measures are as bad as nothing at all."}'
CACHED = 1.1
"""Seconds after which the receiver has forgotten what it looked up."""


async def test_a_config_says_where_to_deliver_and_never_its_secret(api: Caller) -> None:
    flow = await api.make_flow()
    sent = {"source": "github", "secret": SECRET, "flowId": flow["id"], "name": "ignored"}
    answer = await api.post("/webhook-configs", sent)
    config = answer.json
    assert config == {
        "id": config["id"],
        "source": "GITHUB",
        "flowId": flow["id"],
        "isActive": True,
        "url": f"http://127.0.0.1:8080/api/v1/webhooks/github/{config['id']}",
        "previousSecretUntil": None,
        "version": 1,
        "createdAt": config["createdAt"],
    }
    assert_times(config, "createdAt")
    listed = await api.get("/webhook-configs")
    assert listed.json == [config]
    audit = await api.get("/audit")
    assert not [one for one in (answer, listed, audit) if SECRET in one.text]


@pytest.mark.parametrize("source", ["github", "GitHub", "generic", "Generic"])
async def test_a_source_is_taken_in_any_case(api: Caller, source: str) -> None:
    flow = await api.make_flow()
    assert (await api.make_config(flow["id"], source))["source"] == source.upper()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"source": "subversion"}, "source"),
        ({"source": None}, "source"),
        ({"secret": ""}, "secret"),
        ({"secret": " \t "}, "secret"),
        ({"secret": None}, "secret"),
        ({"secret": "x" * 513}, "secret"),
        ({"flowId": "x"}, "flowId"),
        ({"flowId": None}, "flowId"),
    ],
)
async def test_a_refusal_names_the_field_and_not_the_secret(api: Caller, fields: Any, named: str) -> None:
    flow = await api.make_flow()
    body = {"source": "GITHUB", "secret": SECRET, "flowId": flow["id"], **fields}
    refused = await api.post("/webhook-configs", body, status=400)
    assert refused.fields == [named]
    assert SECRET not in refused.text
    assert (await api.get("/webhook-configs")).json == []


async def test_an_unknown_flow_is_404(api: Caller) -> None:
    await api.post("/webhook-configs", {"source": "GITHUB", "secret": "s", "flowId": str(uuid4())}, status=404)


async def test_two_secrets_hold_during_a_rotation(api: Caller) -> None:
    sender = await let_in(api)
    rotated = (await api.post(f"/webhook-configs/{sender.config_id}/rotate", {"secret": "new"}, status=200)).json
    until = datetime.fromisoformat(rotated["previousSecretUntil"])
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    for secret in (SECRET, "new"):
        await sender.deliver(BODY, github_headers(BODY, "ping", secret))
    await sender.deliver(BODY, github_headers(BODY, "ping", "newer"), 401)
    rotation = {"secret": "newer", "graceHours": 1}
    await api.post(f"/webhook-configs/{sender.config_id}/rotate", rotation, status=200)
    await asyncio.sleep(CACHED)
    for secret in ("new", "newer"):
        await sender.deliver(BODY, github_headers(BODY, "ping", secret))
    await sender.deliver(BODY, github_headers(BODY, "ping", SECRET), 401)


async def test_a_rotation_without_grace_ends_the_old_secret(api: Caller) -> None:
    sender = await let_in(api)
    rotation = {"secret": "new", "graceHours": 0}
    await api.post(f"/webhook-configs/{sender.config_id}/rotate", rotation, status=200)
    await sender.deliver(BODY, github_headers(BODY, "ping"), 401)
    await sender.deliver(BODY, github_headers(BODY, "ping", "new"))


async def test_a_new_secret_counts_at_once_where_the_old_one_was_just_used(api: Caller) -> None:
    """The sender is changed the moment the answer is there; a refusal then would be a lost delivery."""
    sender = await let_in(api)
    await sender.deliver(BODY, github_headers(BODY, "ping"))
    await api.post(f"/webhook-configs/{sender.config_id}/rotate", {"secret": "new"}, status=200)
    await sender.deliver(BODY, github_headers(BODY, "ping", "new"))


@pytest.mark.parametrize("hours", [-1, 169, 1.5, "x"])
async def test_a_bad_grace_is_named(api: Caller, hours: Any) -> None:
    sender = await let_in(api)
    path = f"/webhook-configs/{sender.config_id}/rotate"
    assert (await api.post(path, {"secret": "new", "graceHours": hours}, status=400)).fields == ["graceHours"]


async def test_what_a_deleted_config_delivered_stays(api: Caller) -> None:
    sender = await let_in(api)
    accepted = await sender.deliver(BODY, github_headers(BODY, "ping"))
    path = f"/webhook-configs/{sender.config_id}"
    deleted = await api.send("DELETE", path)
    assert (deleted.status, deleted.text) == (204, "")
    assert (await api.send("DELETE", path)).status == 404
    assert (await api.get("/webhook-configs")).json == []
    await api.get(f"{path}/deliveries", status=404)
    assert (await sender.receipt(accepted))["webhookConfigId"] == sender.config_id


async def test_every_change_of_a_config_is_audited(api: Caller) -> None:
    sender = await let_in(api)
    path = f"/webhook-configs/{sender.config_id}"
    await api.post(f"{path}/rotate", {"secret": "new"}, status=200)
    await api.send("DELETE", path)
    events = (await api.get("/audit?sortDesc=false&size=100")).json["events"]
    changes = [(e["eventType"], e["recordVersion"]) for e in events if e["recordId"] == sender.config_id]
    assert changes == [("WEBHOOK_CONFIG_CREATED", 1), ("WEBHOOK_CONFIG_ROTATED", 2), ("WEBHOOK_CONFIG_DELETED", 3)]


async def test_several_configs_of_one_source(api: Caller) -> None:
    flow = await api.make_flow()
    made = [await api.make_config(flow["id"]) for _ in range(MAX_DEFAULT_CONFIGS + 2)]
    assert (await api.get("/webhook-configs")).json == made


@pytest.mark.asyncio(loop_scope="function")
async def test_default_takes_sixteen_configs_of_a_source_and_no_more(own_services: Services) -> None:
    async with TestClient(TestServer(build_app(own_services))) as client:
        admin = Caller(client, ADMIN_KEY)
        flow = await admin.make_flow()
        body = {"source": "GITHUB", "secret": SECRET, "flowId": flow["id"]}
        answers = await asyncio.gather(
            *(admin.send("POST", "/webhook-configs", json=body) for _ in range(MAX_DEFAULT_CONFIGS + 4))
        )
        assert sorted(one.status for one in answers) == [201] * MAX_DEFAULT_CONFIGS + [409] * 4
        refused = await admin.post("/webhook-configs", body, status=409)
        assert str(MAX_DEFAULT_CONFIGS) in refused.json["message"]
        await admin.make_config(flow["id"], "GENERIC")
        first = (await admin.get("/webhook-configs")).json[0]
        await admin.send("DELETE", f"/webhook-configs/{first['id']}")
        await admin.make_config(flow["id"])
