"""What the receiver refuses: one bare 401 for every failed proof, 400 for what cannot be read, 413 for too much."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from aiohttp.test_utils import TestClient
from structlog.testing import capture_logs

from integrations import SENDERS
from storage.services import Services
from tests.api.caller import SECRET, Answer, Caller, sign
from tests.api.refusals import raw_request
from tests.api.table import WEBHOOK_CAP
from tests.api.webhooks.sending import (
    REFUSED,
    STANDARD_SECRET,
    generic,
    github_headers,
    let_in,
    proof,
    standard_headers,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEAKS = ("Traceback", "asyncpg", "sqlalchemy", "pydantic", "BadSignature")


def told(answer: Answer) -> tuple[Any, ...]:
    """Everything of a refusal that could tell one cause from another."""
    body = {name: value for name, value in answer.json.items() if name not in {"timestamp", "requestId", "path"}}
    return answer.status, json.dumps(body, sort_keys=True), answer.headers["WWW-Authenticate"]


BODY = b'{"eventType": "build.failed", "action": "x"}'
IDENTIFIED = b'{"eventType": "build.failed", "id": "b0f3a1de-6c3f-4a55-9d53-0c2f3f5f9d10"}'
GOOD = sign(BODY)
SHA1 = "sha1=" + "0" * 40
BAD_SIGNATURES: dict[str, Mapping[str, str]] = {
    "missing": {},
    "empty": {"X-Hub-Signature-256": ""},
    "wrong": {"X-Hub-Signature-256": sign(BODY, "another secret")},
    "of another body": {"X-Hub-Signature-256": sign(BODY + b" ")},
    "one digit off": {"X-Hub-Signature-256": GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1")},
    "too short": {"X-Hub-Signature-256": GOOD[:-2]},
    "too long": {"X-Hub-Signature-256": GOOD + "00"},
    "oversize": {"X-Hub-Signature-256": "a" * 4000},
    "not hex": {"X-Hub-Signature-256": "sha256=" + "z" * 64},
    "not ASCII": {"X-Hub-Signature-256": "sha256=" + "\u00e9" * 64},
    "full-width digits": {"X-Hub-Signature-256": "sha256=" + "\uff11" * 64},
    "SHA-1": {"X-Hub-Signature-256": SHA1},
    "the old header": {"X-Hub-Signature": SHA1},
    "the secret itself": {"X-Hub-Signature-256": SECRET},
    "two in one": {"X-Hub-Signature-256": f"{GOOD},{GOOD}"},
}


@pytest.mark.parametrize("source", SENDERS)
async def test_every_failed_proof_gets_the_same_bare_answer(api: Caller, source: str) -> None:
    sender = await let_in(api, source)
    refused = {name: await sender.deliver(BODY, headers, 401) for name, headers in BAD_SIGNATURES.items()}
    bare = told(refused["missing"])
    assert {name: told(answer) for name, answer in refused.items()} == dict.fromkeys(refused, bare)
    assert refused["missing"].json["message"] == REFUSED
    assert refused["missing"].json["details"] == []
    assert await sender.deliveries() == []
    assert bare == told(await unknown_config(api, source))
    assert bare == told(await deliver_to(api, source, "not-a-uuid"))
    await sender.deliver(IDENTIFIED, proof(source, IDENTIFIED))


async def unknown_config(api: Caller, source: str) -> Answer:
    return await deliver_to(api, source, str(uuid4()))


async def deliver_to(api: Caller, source: str, config_id: str) -> Answer:
    path = f"/webhooks/{source.lower()}/{config_id}"
    return await Caller(api.client, None).post(path, status=401, data=BODY, headers={"X-Hub-Signature-256": GOOD})


async def test_a_config_of_another_source_is_no_config(api: Caller) -> None:
    sender = await let_in(api, "GITHUB")
    refused = await deliver_to(api, "GENERIC", sender.config_id)
    assert told(refused) == told(await unknown_config(api, "GITHUB"))


async def test_the_path_without_a_config_refuses_with_the_same_words(api: Caller) -> None:
    caller = Caller(api.client, None)
    answers = [await caller.post(f"/webhooks/{source.lower()}", status=401, data=BODY) for source in SENDERS]
    assert {told(answer) for answer in answers} == {told(await unknown_config(api, "GITHUB"))}


async def test_a_deleted_config_refuses_at_once(api: Caller) -> None:
    sender = await let_in(api)
    headers = github_headers(BODY, "ping")
    await sender.deliver(BODY, headers)  # the config is known now
    assert (await api.send("DELETE", f"/webhook-configs/{sender.config_id}")).status == 204
    refused = await sender.deliver(BODY, github_headers(BODY, "ping"), 401)
    assert told(refused) == told(await unknown_config(api, "GITHUB"))


async def test_a_secret_whose_master_key_was_lost_is_refused_until_it_is_rotated(
    api: Caller, app_services: Services
) -> None:
    sender = await let_in(api)
    async with app_services.database.transaction() as tx:
        await tx.execute(_LOSE_KEY, UUID(sender.config_id))
    refused = await sender.deliver(BODY, github_headers(BODY, "ping"), 401)
    assert told(refused) == told(await unknown_config(api, "GITHUB"))
    await api.post(f"/webhook-configs/{sender.config_id}/rotate", {"secret": STANDARD_SECRET}, status=200)
    await sender.deliver(BODY, github_headers(BODY, "ping", STANDARD_SECRET))


_LOSE_KEY = """
UPDATE secrets SET key_id = 'lost' FROM webhook_configs c WHERE c.secret_id = secrets.id AND c.id = $1
"""


STANDARD_BROKEN: dict[str, Mapping[str, str]] = {
    "no id": {"webhook-id": ""},
    "id with a full stop": {"webhook-id": "a.b"},
    "another id": {"webhook-id": "msg_other"},
    "no time": {"webhook-timestamp": ""},
    "time in words": {"webhook-timestamp": "now"},
    "time with digits of another script": {"webhook-timestamp": "\u0661" * 10},
    "negative time": {"webhook-timestamp": "-1"},
    "another time": {"webhook-timestamp": str(int(datetime.now(UTC).timestamp()) - 1)},
    "empty signature": {"webhook-signature": ""},
    "another version": {"webhook-signature": "v2,AAAA"},
    "no version": {"webhook-signature": "AAAA"},
    "not base64": {"webhook-signature": "v1,\u00fc\u00fc"},
    "oversize": {"webhook-signature": "v1," + "A" * 4000},
}


async def test_a_broken_standard_webhook_gets_the_bare_answer(api: Caller) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    bare = told(await unknown_config(api, "GENERIC"))
    for name, broken in STANDARD_BROKEN.items():
        refused = await sender.deliver(BODY, {**standard_headers(BODY), **broken}, 401)
        assert told(refused) == bare, name
    assert await sender.deliveries() == []


@pytest.mark.parametrize("seconds", [-86_400, -302, 302, 86_400])
async def test_a_replayed_or_skewed_time_is_401(api: Caller, seconds: int) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    headers = standard_headers(BODY, datetime.now(UTC) + timedelta(seconds=seconds))
    refused = await sender.deliver(BODY, headers, 401)
    assert told(refused) == told(await unknown_config(api, "GENERIC"))


@pytest.mark.parametrize("seconds", [-290, 290])
async def test_a_little_skew_is_allowed(api: Caller, seconds: int) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    await sender.deliver(BODY, standard_headers(BODY, datetime.now(UTC) + timedelta(seconds=seconds)))


async def test_a_skewed_time_cannot_be_dodged_with_the_other_header(api: Caller) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    old = standard_headers(BODY, datetime.now(UTC) - timedelta(hours=1))
    await sender.deliver(BODY, {**old, "X-Hub-Signature-256": sign(BODY, STANDARD_SECRET)}, 401)


@pytest.mark.parametrize("source", ["slack", "jira", "x", "%00", "\u00fc", "github%2f"])
async def test_an_unknown_source_is_400_and_lists_the_valid_ones(api: Caller, source: str) -> None:
    for path in (f"/webhooks/{source}", f"/webhooks/{source}/{uuid4()}"):
        refused = await Caller(api.client, None).post(path, status=400, data=BODY)
        assert refused.fields == ["source"]
        if source != "%00":
            assert all(known in refused.json["message"] for known in SENDERS)


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "cut off": b'{"eventType": "build.failed"',
    "not JSON": b"hello",
    "two values": b'{"eventType": "x"} {}',
    "invalid UTF-8": b'{"eventType": "\xff"}',
    "NUL": b'{"eventType": "a\x00"}',
    "NaN": b'{"eventType": "x", "n": NaN}',
    "depth 100,000": b'{"eventType": "x", "n": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "unclosed depth": b"[" * 50_000,
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("source", SENDERS)
async def test_a_body_that_is_no_json_is_400(api: Caller, source: str, name: str) -> None:
    """Malformed JSON and a missing event type are 400; so is an empty body."""
    sender = await let_in(api, source)
    body = MALFORMED[name]
    refused = await sender.deliver(body, github_headers(body, "push") | proof(source, body), 400)
    assert not [leak for leak in LEAKS if leak in refused.text]
    assert await sender.deliveries() == []


@pytest.mark.parametrize("name", ["cut off", "not JSON", "invalid UTF-8", "empty"])
async def test_the_json_inside_a_form_is_checked_as_well(api: Caller, name: str) -> None:
    sender = await let_in(api)
    form = urlencode({"payload": MALFORMED[name]}).encode()
    headers = github_headers(form, "push") | {"Content-Type": "application/x-www-form-urlencoded"}
    await sender.deliver(form, headers, 400)
    assert await sender.deliveries() == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"eventType": None}, "eventType"),
        ({"eventType": ""}, "eventType"),
        ({"eventType": 1}, "eventType"),
        ({"eventType": "x" * 256}, "eventType"),
        ({"eventType": "a\0"}, "eventType"),
        ({"trailId": "not-a-uuid"}, "trailId"),
        ({"attestationStatus": "GREEN"}, "attestationStatus"),
        ({"gitAuthor": " "}, "gitAuthor"),
        ({"observedAt": "yesterday"}, "observedAt"),
        ({"observedAt": "2026-01-01T00:00:00"}, "observedAt"),
        ({"observedAt": "0001-01-01T00:00:00+23:59"}, "observedAt"),
        ({"details": "x" * 16_385}, "details"),
        ({"evidenceUrl": "javascript:alert(1)"}, "evidenceUrl"),
    ],
)
async def test_our_own_schema_is_checked_whole_before_the_202(api: Caller, fields: Any, named: str) -> None:
    sender = await let_in(api, "GENERIC")
    body = json.dumps({**json.loads(generic()), **fields}).encode()
    refused = await sender.deliver(body, github_headers(body), 400)
    assert refused.fields == [named]
    assert str(refused.json["message"]).count(f"{named}: ") == 1
    assert not refused.json["details"][0]["message"].startswith(named)
    assert await sender.deliveries() == []


async def test_a_missing_event_type_is_named(api: Caller) -> None:
    sender = await let_in(api, "GENERIC")
    assert (await sender.deliver(b"{}", github_headers(b"{}"), 400)).fields == ["eventType"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-GitHub-Event", "no such event"),
        ("X-GitHub-Event", "x" * 65),
        ("X-GitHub-Event", "\u00fc"),
        ("X-GitHub-Delivery", "x" * 256),
        ("X-GitHub-Delivery", "\u00fc"),
    ],
)
async def test_a_header_that_cannot_be_kept_is_400_once_the_signature_holds(api: Caller, name: str, value: str) -> None:
    sender = await let_in(api)
    headers = github_headers(BODY, "ping") | {name: value}
    assert (await sender.deliver(BODY, headers, 400)).fields == [name.lower()]
    assert told(await sender.deliver(BODY, {name: value}, 401)) == told(await unknown_config(api, "GITHUB"))


async def test_a_content_type_of_strange_bytes_is_not_our_failure(
    http: TestClient[Any, Any], api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = await let_in(api)
    headers = github_headers(BODY, "ping") | {"Content-Length": str(len(BODY))}
    del headers["Content-Type"]
    lines = [f"{name}: {value}".encode() for name, value in headers.items()]
    head = [f"POST /api/v1{sender.path} HTTP/1.1".encode(), *lines, b"Content-Type: application/json; x=\xff\xfe"]
    monkeypatch.setattr(logging.getLogger("aiohttp.server"), "disabled", True)  # xdist cannot carry such bytes
    with capture_logs():
        status, _ = await raw_request(http, head, BODY)
    assert status in {202, 400, 415}


@pytest.mark.parametrize("source", SENDERS)
async def test_a_body_over_the_cap_is_413_on_both_paths(api: Caller, source: str) -> None:
    sender = await let_in(api, source)
    body = json.dumps({"eventType": "x", "fill": "y" * WEBHOOK_CAP}).encode()
    caller = Caller(api.client, None)
    for path in (sender.path, f"/webhooks/{source.lower()}"):
        refused = await caller.post(path, status=413, data=BytesIO(body), headers=github_headers(body))
        assert str(WEBHOOK_CAP) in refused.json["message"]
    fits = json.dumps({"eventType": "x", "id": str(uuid4()), "fill": ""}).encode()
    fits = fits.replace(b'""', b'"' + b"y" * (WEBHOOK_CAP - len(fits)) + b'"')
    assert len(fits) == WEBHOOK_CAP
    await sender.deliver(fits, github_headers(fits) | proof(source, fits))
