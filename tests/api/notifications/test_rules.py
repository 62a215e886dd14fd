"""Notification rules over HTTP: fields, masks, secrets, versions, tests, deliveries."""

import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from domain.notifications.rules import Channel
from domain.notifications.triggers import Trigger
from storage.notifications.queries.rules import RuleTarget, channel_targets
from storage.services import Services
from tests.api.caller import Caller, found_organisation, unique
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

RULES = "/notification-rules"
URL = "https://hooks.example.com/services/xyzzy?token=xyzzy"
MASKED = "https://hooks.example.com/…"
SECRET = "whsec_" + b64encode(b"0123456789abcdef0123456789abcdef").decode()
DRY: dict[str, Any] = {"headers": {"X-Dry-Run": "true"}}


def body(**fields: Any) -> dict[str, Any]:
    """A webhook rule; a field that is None is left away."""
    whole = {
        "name": "to the chat",
        "triggerEvent": "ATTESTATION_FAILED",
        "channelType": "WEBHOOK",
        "channelConfig": json.dumps({"webhookUrl": URL}),
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


async def make(api: Caller, **fields: Any) -> Any:
    return (await api.post(RULES, body(**fields))).json


async def put(api: Caller, rule: Any, change: dict[str, Any], status: int = 200, **request: Any) -> Any:
    answer = await api.send("PUT", f"{RULES}/{rule['id']}", json=change, **request)
    assert answer.status == status, answer.text
    return answer.json


async def read(api: Caller, rule: Any) -> Any:
    return (await api.get(f"{RULES}/{rule['id']}")).json


async def deliveries(api: Caller, rule: Any, query: str = "") -> Any:
    return (await api.get(f"{RULES}/{rule['id']}/deliveries{query}")).json


async def target(services: Services, rule: Any) -> RuleTarget:
    async with services.database.read() as reader:
        [found] = (await channel_targets(reader, services.envelope, [rule["id"]])).values()
    return found


def shown(rule: Any) -> Any:
    """As every answer but the first shows it."""
    return {name: value for name, value in rule.items() if name != "signingSecret"}


# Making and reading


async def test_a_rule_shows_its_fields_and_its_secret_once(api: Caller) -> None:
    flow = await api.make_flow()
    environment = str(uuid4())
    sent = body(
        triggerEvent="GATE_BLOCKED",
        filterFlowId=flow["id"],
        filterEnvironmentId=environment,
        titleTemplate="{{ title }}",
        isActive=False,
        unknown="ignored",
    )
    answer = await api.post(RULES, sent)
    rule = answer.json
    assert rule == {
        "id": rule["id"],
        "name": "to the chat",
        "isActive": True,
        "triggerEvent": "GATE_BLOCKED",
        "channelType": "WEBHOOK",
        "channelConfig": json.dumps({"webhookUrl": MASKED}, ensure_ascii=False),
        "filterFlowId": flow["id"],
        "filterEnvironmentId": environment,
        "titleTemplate": "{{ title }}",
        "messageTemplate": None,
        "previousSecretUntil": None,
        "version": 1,
        "createdAt": rule["createdAt"],
        "updatedAt": rule["createdAt"],
        "signingSecret": rule["signingSecret"],
    }
    assert rule["signingSecret"].startswith("whsec_")
    assert answer.headers["ETag"] == '"1"'
    assert_times(rule, "createdAt", "updatedAt")
    found = await api.get(f"{RULES}/{rule['id']}")
    assert (found.json, found.headers["ETag"]) == (shown(rule), '"1"')
    listed = await api.get(RULES)
    assert (listed.json, listed.headers["X-Total-Count"]) == ([shown(rule)], "1")
    audit = await api.get("/audit")
    assert not [one for one in (answer, found, listed, audit) if "xyzzy" in one.text]
    assert not [one for one in (found, listed, audit) if rule["signingSecret"] in one.text]


async def test_rules_are_listed_oldest_first_and_in_pages(api: Caller) -> None:
    made = [shown(await make(api, name=unique("rule"))) for _ in range(3)]
    assert (await api.get(RULES)).json == made
    first = await api.get(f"{RULES}?size=2")
    assert (first.json, first.headers["X-Total-Count"]) == (made[:2], "3")
    following = first.headers["Link"].partition(">")[0].removeprefix("<")
    assert (await api.get(following)).json == made[2:]


@pytest.mark.parametrize("trigger", Trigger)
async def test_every_trigger_in_any_spelling(api: Caller, trigger: Trigger) -> None:
    for spelling in (trigger.value, trigger.value.lower(), trigger.value.replace("_", "-")):
        assert (await make(api, triggerEvent=spelling))["triggerEvent"] == trigger


@pytest.mark.parametrize(
    ("channel", "config", "seen"),
    [
        ("WEBHOOK", {"webhookUrl": URL}, {"webhookUrl": MASKED}),
        ("slack", {"webhookUrl": URL, "channel": "#ops"}, {"webhookUrl": MASKED, "channel": "…"}),
        ("Email", {"to": " ada@example.org, bob@example.org"}, {"to": ["ada@example.org", "bob@example.org"]}),
        ("in-app", {}, {}),
        ("IN_APP", None, {}),
        ("IN_APP", {"secret": SECRET}, {}),
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
async def test_every_channel(api: Caller, channel: str, config: Any, seen: Any, as_text: bool) -> None:
    sent = json.dumps(config) if as_text and config is not None else config
    rule = await make(api, channelType=channel, channelConfig=sent)
    assert rule["channelType"] == channel.upper().replace("-", "_")
    assert json.loads(rule["channelConfig"]) == seen
    assert (rule["signingSecret"] is not None) is (channel == "WEBHOOK")
    assert await read(api, rule) == shown(rule)


@pytest.mark.parametrize("secret", [SECRET, SECRET.removeprefix("whsec_")])
async def test_a_secret_of_ones_own(api: Caller, app_services: Services, secret: str) -> None:
    rule = await make(api, channelConfig={"webhookUrl": URL, "secret": secret})
    assert rule["signingSecret"] == SECRET
    assert json.loads(rule["channelConfig"]) == {"webhookUrl": MASKED}
    found = await target(app_services, rule)
    assert (found.config, found.signing_secrets) == ({"webhookUrl": URL}, (SECRET,))


# Refusals

BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": " \t"}, "name"),
    ({"name": "x" * 256}, "name"),
    ({"triggerEvent": "SUNRISE"}, "triggerEvent"),
    ({"channelType": "PIGEON"}, "channelType"),
    ({"channelConfig": "{"}, "channelConfig"),
    ({"channelConfig": ""}, "channelConfig"),
    ({"channelConfig": "[]"}, "channelConfig"),
    ({"channelConfig": '"x"'}, "channelConfig"),
    ({"channelConfig": "null"}, "channelConfig"),
    ({"channelConfig": []}, "channelConfig"),
    ({"channelConfig": 5}, "channelConfig"),
    ({"channelConfig": '{"a": NaN}'}, "channelConfig"),
    ({"channelConfig": '{"a": "\\u0000"}'}, "channelConfig"),
    ({"channelConfig": '{"a": "\\ud800"}'}, "channelConfig"),
    ({"channelConfig": '{"a": ' + "[" * 100 + "]" * 100 + "}"}, "channelConfig"),
    ({"channelConfig": json.dumps({"webhookUrl": URL, "a": "x" * 8192})}, "channelConfig"),
    ({"channelConfig": {"webhookUrl": URL, "a": "ü" * 4096}}, "channelConfig"),
    ({"channelConfig": {"webhookUrl": "ftp://example.com/xyzzy"}}, "channelConfig.webhookUrl"),
    ({"channelConfig": {"webhookUrl": "https://u:xyzzy@example.com"}}, "channelConfig.webhookUrl"),
    ({"channelConfig": {"webhookUrl": "https://elsewhere.example.com/…"}}, "channelConfig.webhookUrl"),
    ({"channelConfig": {"webhookUrl": URL, "secret": "xyzzy"}}, "channelConfig.secret"),
    ({"channelType": "SLACK", "channelConfig": {}}, "channelConfig.webhookUrl"),
    ({"channelType": "EMAIL", "channelConfig": {"to": []}}, "channelConfig.to"),
    ({"channelType": "EMAIL", "channelConfig": {"to": "a@x.org,b"}}, "channelConfig.to.1"),
    ({"channelType": "EMAIL", "channelConfig": {"to": "a@x.org\r\nBcc: b@x.org"}}, "channelConfig.to.0"),
    ({"filterFlowId": "x"}, "filterFlowId"),
    ({"filterEnvironmentId": "x"}, "filterEnvironmentId"),
    ({"filterEnvironmentId": str(UUID(int=1))}, "filterEnvironmentId"),  # no attestation has an environment
    ({"triggerEvent": "TRAIL_NON_COMPLIANT", "filterEnvironmentId": str(UUID(int=1))}, "filterEnvironmentId"),
    ({"channelConfig": {"webhookUrl": "https://127.0.0.1/xyzzy"}}, "channelConfig.webhookUrl"),
    ({"channelConfig": {"webhookUrl": "http://localhost:8090/xyzzy"}}, "channelConfig.webhookUrl"),
    ({"channelConfig": {"webhookUrl": "http://hooks.example.com/xyzzy"}}, "channelConfig.webhookUrl"),
    ({"messageTemplate": "{{ titel }}"}, "messageTemplate"),
    ({"titleTemplate": "{{ title"}, "titleTemplate"),
    ({"messageTemplate": "a\n{% include 'x' %}"}, "messageTemplate"),
    ({"messageTemplate": " "}, "messageTemplate"),
    ({"titleTemplate": "x" * 8193}, "titleTemplate"),
]


@pytest.mark.parametrize(("fields", "named"), BAD)
async def test_a_refusal_names_the_field_and_gives_nothing_away(api: Caller, fields: Any, named: str) -> None:
    rule = await make(api)
    refused = await api.post(RULES, body(**fields), status=400)
    again = await api.send("PUT", f"{RULES}/{rule['id']}", json=fields)
    for answer in (refused, again):
        assert (answer.status, answer.fields[0]) == (400, named), answer.text
        assert "xyzzy" not in answer.text
    assert (await api.get(RULES)).json == [shown(rule)]


@pytest.mark.parametrize("missing", ["name", "triggerEvent", "channelType"])
async def test_what_is_required(api: Caller, missing: str) -> None:
    assert (await api.post(RULES, body(**{missing: None}), status=400)).fields == [missing]


async def test_a_line_is_named_where_a_template_breaks(api: Caller) -> None:
    refused = await api.post(RULES, body(messageTemplate="fine\nfine\n{% if %}"), status=400)
    assert refused.json["message"].startswith("messageTemplate: line 3: ")


async def test_an_unknown_flow_is_404(http: TestClient[Any, Any], app_services: Services, api: Caller) -> None:
    foreign = await (await found_organisation(http, app_services)).make_flow()
    rule = await make(api)
    for flow_id in (str(uuid4()), foreign["id"]):
        await api.post(RULES, body(filterFlowId=flow_id), status=404)
        await put(api, rule, {"filterFlowId": flow_id}, 404)
        assert (await put(api, rule, {"filterFlowId": flow_id, "clearFilterFlowId": True}))["filterFlowId"] is None


# Changing


async def test_null_keeps_and_a_clear_flag_wins(api: Caller) -> None:
    flow = await api.make_flow()
    texts = {"titleTemplate": "t", "messageTemplate": "m"}
    filters = {"filterFlowId": flow["id"], "filterEnvironmentId": str(uuid4())}
    rule = shown(await make(api, triggerEvent="GATE_BLOCKED", **filters, **texts))
    nulls = dict.fromkeys(["name", "isActive", "triggerEvent", "channelType", "channelConfig", *texts, "filterFlowId"])
    assert shown(await put(api, rule, nulls)) == rule
    for name in ("filterFlowId", "filterEnvironmentId", "titleTemplate", "messageTemplate"):
        flag = f"clear{name[0].upper()}{name[1:]}"
        assert (await put(api, rule, {flag: False}))[name] == rule[name]
        assert (await put(api, rule, {name: rule[name], flag: True}))[name] is None


async def test_a_change_keeps_what_it_does_not_name(api: Caller, app_services: Services) -> None:
    rule = await make(api, channelConfig={"webhookUrl": URL, "secret": SECRET})
    changed = await put(api, rule, {"name": "another", "isActive": False, "triggerEvent": "gate-blocked"})
    assert changed == {
        **rule,
        "name": "another",
        "isActive": False,
        "triggerEvent": "GATE_BLOCKED",
        "version": 2,
        "updatedAt": changed["updatedAt"],
        "signingSecret": None,
    }
    found = await target(app_services, rule)
    assert (found.config, found.signing_secrets) == ({"webhookUrl": URL}, (SECRET,))


async def test_a_change_cannot_make_a_rule_impossible(api: Caller) -> None:
    flow, environment = await api.make_flow(), str(uuid4())
    rule = await make(api, triggerEvent="GATE_BLOCKED", filterFlowId=flow["id"], filterEnvironmentId=environment)
    await put(api, rule, {"triggerEvent": "ATTESTATION_FAILED"}, 400)
    await put(api, rule, {"triggerEvent": "DRIFT_DETECTED"}, 400)
    refused = await api.post(RULES, body(triggerEvent="DRIFT_DETECTED", filterFlowId=flow["id"]), status=400)
    assert refused.fields == ["filterFlowId"]
    unreachable = await put(api, rule, {"channelConfig": {"webhookUrl": "http://10.0.0.1/"}}, 400)
    assert "TRAILGATE_OUTBOUND_ALLOW" in unreachable["message"]
    cleared = {"triggerEvent": "ATTESTATION_FAILED", "clearFilterEnvironmentId": True}
    assert (await put(api, rule, cleared))["filterEnvironmentId"] is None


async def test_without_a_mail_server_no_rule_sends_mail(app_services: Services) -> None:
    settings = app_services.settings.model_copy(update={"smtp_url": None})
    services = replace(app_services, settings=settings)
    async with TestClient(TestServer(build_app(services))) as client:
        caller = await found_organisation(client, services)
        mail = body(channelType="EMAIL", channelConfig={"to": "ada@example.org"})
        refused = await caller.post(RULES, mail, status=400)
        assert refused.fields == ["channelType"]
        assert "TRAILGATE_SMTP_URL" in refused.text


@pytest.mark.parametrize("as_text", [True, False])
async def test_a_mask_that_is_sent_back_changes_nothing(api: Caller, app_services: Services, as_text: bool) -> None:
    rule = await make(api, channelConfig={"webhookUrl": URL, "token": "xyzzy"})
    config = rule["channelConfig"] if as_text else json.loads(rule["channelConfig"])
    changed = await put(api, rule, {"channelConfig": config})
    assert changed == {**rule, "signingSecret": None}
    config = {**json.loads(rule["channelConfig"]), "token": "new"}
    assert (await put(api, rule, {"channelConfig": config}))["version"] == 2
    assert (await target(app_services, rule)).config == {"webhookUrl": URL, "token": "new"}


async def test_a_rule_that_becomes_a_webhook_is_given_a_secret(api: Caller, app_services: Services) -> None:
    rule = await make(api, channelType="SLACK")
    assert rule["signingSecret"] is None
    changed = await put(api, rule, {"channelType": "WEBHOOK"})
    assert (await target(app_services, rule)).signing_secrets == (changed["signingSecret"],)


async def test_the_merged_result_is_what_is_checked(api: Caller) -> None:
    rule = await make(api, channelType="IN_APP", channelConfig=None)
    for channel in ("SLACK", "WEBHOOK", "EMAIL"):
        await put(api, rule, {"channelType": channel}, 400)
    assert await read(api, rule) == shown(rule)


async def test_versions_are_etags(api: Caller) -> None:
    rule = await make(api)
    path = f"{RULES}/{rule['id']}"
    await put(api, rule, {"name": "second"}, headers={"If-Match": '"1"'})
    stale = {"headers": {"If-Match": '"1"'}}
    await put(api, rule, {"name": "third"}, 412, **stale)
    assert (await api.send("POST", f"{path}/rotate-secret", json={}, **stale)).status == 412
    assert (await api.send("DELETE", path, **stale)).status == 412
    answer = await api.send("PUT", path, json={"name": "third"}, headers={"If-Match": "*"})
    assert (answer.json["version"], answer.headers["ETag"]) == (3, '"3"')
    assert (await api.send("DELETE", path, headers={"If-Match": '"3"'})).status == 204


async def test_a_deleted_rule_is_gone(api: Caller) -> None:
    rule, other = await make(api), shown(await make(api))
    path = f"{RULES}/{rule['id']}"
    deleted = await api.send("DELETE", path)
    assert (deleted.status, deleted.text) == (204, "")
    for method, sub in (("GET", ""), ("DELETE", ""), ("PUT", ""), ("GET", "/deliveries"), ("POST", "/test")):
        request: dict[str, Any] = {"json": {}} if method == "PUT" else {}
        assert (await api.send(method, path + sub, **request)).status == 404
    assert (await api.get(RULES)).json == [other]


# The signing secret


async def test_two_secrets_sign_during_a_rotation(api: Caller, app_services: Services) -> None:
    rule = await make(api)
    path = f"{RULES}/{rule['id']}/rotate-secret"
    rotated = await api.post(path, {"secret": SECRET}, status=200)
    assert (rotated.json["signingSecret"], rotated.json["version"]) == (SECRET, 2)
    assert rotated.headers["ETag"] == '"2"'
    until = datetime.fromisoformat(rotated.json["previousSecretUntil"])
    assert abs(until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    assert (await target(app_services, rule)).signing_secrets == (SECRET, rule["signingSecret"])
    again = (await api.post(path, {"graceHours": 0}, status=200)).json
    assert again["signingSecret"] not in (SECRET, rule["signingSecret"])
    assert (await target(app_services, rule)).signing_secrets == (again["signingSecret"],)
    assert await read(api, rule) == shown(again)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"secret": "hunter2"}, "secret"),
        ({"secret": ""}, "secret"),
        ({"secret": "x" * 513}, "secret"),
        ({"graceHours": -1}, "graceHours"),
        ({"graceHours": 169}, "graceHours"),
        ({"graceHours": 1.5}, "graceHours"),
        ({"graceHours": "5"}, "graceHours"),
    ],
)
async def test_bad_rotations(api: Caller, change: Any, named: str) -> None:
    rule = await make(api)
    refused = await api.post(f"{RULES}/{rule['id']}/rotate-secret", change, status=400)
    assert refused.fields == [named]
    assert "hunter2" not in refused.text


@pytest.mark.parametrize("channel", [one for one in Channel if one != Channel.WEBHOOK])
async def test_only_webhooks_are_signed(api: Caller, channel: str) -> None:
    rule = await make(api, channelType=channel, channelConfig={"webhookUrl": URL, "to": "a@x.org"})
    refused = await api.post(f"{RULES}/{rule['id']}/rotate-secret", {}, status=409)
    assert channel in refused.json["message"]


# Tests and deliveries


@pytest.mark.parametrize("active", [True, False])
async def test_a_test_reaches_that_one_rule(api: Caller, active: bool) -> None:
    rule, other = await make(api, triggerEvent="DRIFT_DETECTED"), await make(api, triggerEvent="DRIFT_DETECTED")
    await put(api, rule, {"isActive": active})
    answer = await api.post(f"{RULES}/{rule['id']}/test", status=202)
    assert answer.text == ""
    [delivery] = await deliveries(api, rule)
    wanted = {
        "ruleId": rule["id"],
        "eventType": "DRIFT_DETECTED",
        "status": "PENDING",
        "sentAt": None,
        "error": None,
        "attemptCount": 0,
    }
    assert {name: delivery[name] for name in wanted} == wanted
    payload = json.loads(delivery["payload"])
    assert (payload["title"], payload["severity"], payload["entityId"]) == ("Test notification", "INFO", None)
    assert payload["data"]["test"] is True
    assert await deliveries(api, other) == []


async def test_deliveries_are_listed_newest_first_and_in_pages(api: Caller) -> None:
    rule = await make(api)
    assert await deliveries(api, rule) == []
    seen: list[str] = []
    for _ in range(3):
        await api.post(f"{RULES}/{rule['id']}/test", status=202)
        seen.insert(0, (await deliveries(api, rule, "?size=1"))[0]["id"])
    assert [one["id"] for one in await deliveries(api, rule)] == seen
    answer = await api.get(f"{RULES}/{rule['id']}/deliveries?size=2")
    assert answer.headers["X-Total-Count"] == "3"
    following = answer.headers["Link"].partition(">")[0].removeprefix("<")
    assert [one["id"] for one in (await api.get(following)).json] == seen[2:]


async def test_a_rehearsed_test_queues_nothing(api: Caller) -> None:
    rule = await make(api)
    rehearsed = (await api.post(f"{RULES}/{rule['id']}/test", status=200, **DRY)).json
    assert rehearsed["wouldCreate"]["ruleId"] == rule["id"]
    assert await deliveries(api, rule) == []
    await api.post(f"{RULES}/{uuid4()}/test", status=404, **DRY)


async def test_a_rehearsal_has_the_refusals_of_the_real_thing(api: Caller) -> None:
    rule = await make(api)
    path = f"{RULES}/{rule['id']}"
    await api.post(RULES, body(channelConfig={}), status=400, **DRY)
    await api.post(RULES, body(filterFlowId=str(uuid4())), status=404, **DRY)
    await put(api, rule, {"channelConfig": {}}, 400, **DRY)
    rehearsed = await put(api, rule, {"name": "another"}, **DRY)
    assert rehearsed["wouldUpdate"]["name"] == "another"
    assert (await api.send("DELETE", path, **DRY)).json["wouldDelete"]["isActive"] is False
    assert await read(api, rule) == shown(rule)


async def test_what_fails_is_told_to_the_rule_that_listens(api: Caller) -> None:
    """From the fact to the outbox: filters by flow and trigger."""
    flow, other_flow = await api.make_flow(), await api.make_flow()
    rules = [
        await make(api),
        await make(api, filterFlowId=flow["id"]),
        await make(api, filterFlowId=other_flow["id"]),
        await make(api, triggerEvent="GATE_BLOCKED"),
        await make(api, triggerEvent="GATE_BLOCKED", filterFlowId=flow["id"]),
    ]
    trail = await api.make_trail(flow["id"])
    attestation = await api.attest(trail["id"], status="FAILED")
    told = [await deliveries(api, rule) for rule in rules]
    assert [len(one) for one in told] == [1, 1, 0, 0, 0]
    payload = json.loads(told[0][0]["payload"])
    assert (payload["entityId"], payload["flowId"]) == (attestation["id"], flow["id"])


async def test_a_key_makes_one_rule_of_two_requests(api: Caller) -> None:
    headers = {"Idempotency-Key": unique("key")}
    first, second = [await api.post(RULES, body(), headers=headers) for _ in range(2)]
    assert second.json == first.json
    assert len((await api.get(RULES)).json) == 1
