"""GitLab's two proofs, and never back: once its sender has signed, a token in clear opens nothing any more."""

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from api.app import build_app
from storage.inbox.commands import Arrival, Receipt, accept
from storage.services import Services, open_services
from tests.api.caller import SECRET, Answer, Caller, sign
from tests.api.webhooks.sending import (
    REFUSED,
    STANDARD_SECRET,
    Sender,
    gitlab_headers,
    let_in,
    standard_headers,
)
from tests.conftest import Installation
from tests.paths import FIXTURES
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = (FIXTURES / "gitlab" / "pipeline__success.json").read_bytes()


def by_token(token: str = SECRET) -> dict[str, str]:
    return gitlab_headers() | {"X-Gitlab-Token": token}


def signed(body: bytes = BODY, secret: str = STANDARD_SECRET) -> dict[str, str]:
    delivery_id = str(uuid4())
    return gitlab_headers(delivery_id=delivery_id) | standard_headers(body, secret=secret, message_id=delivery_id)


async def rotate(sender: Sender, secret: str = STANDARD_SECRET, **fields: Any) -> None:
    """As its owner does before the signing token is set in GitLab: the token goes on for a day."""
    await sender.owner.post(f"/webhook-configs/{sender.config_id}/rotate", {"secret": secret, **fields}, status=200)


async def strengthened(owner: Caller) -> Sender:
    """A config that began with a token and whose sender signs now; the token is still in its grace."""
    sender = await let_in(owner, "GITLAB")
    await sender.deliver(BODY, by_token())
    await rotate(sender)
    await sender.deliver(BODY, by_token())  # nobody has signed yet
    await sender.deliver(BODY, signed())
    return sender


async def signed_at(services: Services, sender: Sender) -> Any:
    async with services.database.read() as reader:
        return await reader.value("SELECT signed_at FROM webhook_configs WHERE id = $1", sender.config_id)


def told(answer: Answer) -> tuple[Any, ...]:
    """Everything of a refusal but what tells requests apart."""
    body = {name: value for name, value in answer.json.items() if name not in {"timestamp", "requestId", "path"}}
    return answer.status, body, answer.headers["WWW-Authenticate"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def neighbour(installation: Installation, app_services: Services) -> AsyncIterator[TestClient[Any, Any]]:
    """A second API on the same database and keys, with a cache of configs of its own."""
    settings = installation.settings(app_services.settings.data_dir)
    async with (
        open_services(settings, "neighbour") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        yield client


@pytest.mark.parametrize("how", ["token", "signature"])
async def test_a_pipeline_becomes_a_trail_by_either_proof(api: Caller, app_services: Services, how: str) -> None:
    sender = await let_in(api, "GITLAB", SECRET if how == "token" else STANDARD_SECRET)
    headers = by_token() if how == "token" else signed()
    accepted = await sender.deliver(BODY, headers)
    assert accepted.json["message"] == "Pipeline Hook accepted"
    assert accepted.json["deliveryId"] == headers["Idempotency-Key"]
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"]) == ("SUCCESS", "build.succeeded")
    trail = (await api.get(f"/trails/{settled['trailId']}")).json
    assert trail["gitCommitSha"] == json.loads(BODY)["object_attributes"]["sha"]
    assert trail["status"] == "COMPLIANT"


async def test_a_token_goes_on_as_long_as_nobody_signs(api: Caller, app_services: Services) -> None:
    sender = await let_in(api, "GITLAB")
    for _ in range(3):
        await sender.deliver(BODY, by_token())
    await rotate(sender, "another token")
    for token in (SECRET, "another token"):
        await sender.deliver(BODY, by_token(token))
    assert await signed_at(app_services, sender) is None
    assert len(await sender.deliveries()) == 5


async def test_a_wrong_signature_ends_no_token(api: Caller, app_services: Services) -> None:
    """A stranger could lock the sender out otherwise."""
    sender = await let_in(api, "GITLAB")
    await rotate(sender)
    for headers in (signed(BODY + b" "), signed(secret="whsec_" + "QUJD" * 8), by_token("wrong")):
        await sender.deliver(BODY, headers, 401)
    await sender.deliver(BODY, by_token())
    assert await signed_at(app_services, sender) is None


async def test_after_a_signature_the_token_is_refused_at_once_with_the_bare_answer(api: Caller) -> None:
    """By the write, while the config is known from before, then by the look-up: the reason is for our log alone."""
    sender = await strengthened(api)
    refused = {}
    for reason in ("not_let_in", "token_after_signature"):
        with capture_logs() as logs:
            refused[reason] = await sender.deliver(BODY, by_token(), 401)
        assert [line["reason"] for line in logs if line["event"] == "webhook.refused"] == [reason]
        await asyncio.sleep(1.1)  # what is known of a config holds for a second
    bare = told(await sender.deliver(BODY, by_token("wrong"), 401))
    assert bare[1]["message"] == REFUSED
    assert {reason: told(answer) for reason, answer in refused.items()} == dict.fromkeys(refused, bare)
    await sender.deliver(BODY, signed())
    assert len(await sender.deliveries()) == 4


async def test_a_token_beside_a_bad_signature_rescues_nothing(api: Caller) -> None:
    sender = await let_in(api, "GITLAB")
    await rotate(sender)
    await sender.deliver(BODY, signed(BODY + b" ") | {"X-Gitlab-Token": SECRET}, 401)


async def test_what_was_taken_by_token_is_refused_when_it_is_sent_again(api: Caller) -> None:
    """A replay of a captured token request must not come in as a copy either."""
    sender = await let_in(api, "GITLAB")
    captured = by_token()
    await sender.deliver(BODY, captured)
    await rotate(sender)
    await sender.deliver(BODY, signed())
    await sender.deliver(BODY, captured, 401)
    assert [one["duplicates"] for one in await sender.deliveries()] == [0, 0]


async def test_a_new_token_does_not_lead_back(api: Caller) -> None:
    sender = await strengthened(api)
    await rotate(sender, "a plain token again", graceHours=0)
    await sender.deliver(BODY, by_token("a plain token again"), 401)
    await sender.deliver(BODY, gitlab_headers() | {"X-Hub-Signature-256": sign(BODY, "a plain token again")})


async def test_another_config_keeps_its_token(api: Caller) -> None:
    other = await let_in(api, "GITLAB")
    await strengthened(api)
    await other.deliver(BODY, by_token())


async def test_a_process_that_knew_the_config_from_before_refuses_at_once(
    api: Caller, neighbour: TestClient[Any, Any]
) -> None:
    sender = await let_in(api, "GITLAB")
    await rotate(sender)
    there = Sender(Caller(neighbour, api.key), sender.flow_id, sender.config_id, "GITLAB")
    await there.deliver(BODY, by_token())  # its cache says for a second: never signed
    await sender.deliver(BODY, signed())
    refused = await there.deliver(BODY, by_token(), 401)
    assert refused.json["message"] == REFUSED
    assert len(await sender.deliveries()) == 2


def arrival(api: Caller, sender: Sender, *, by_signature: bool | None) -> Arrival:
    return Arrival(
        api.tenant.org_id,
        UUID(sender.config_id),
        "GITLAB",
        str(uuid4()),
        "Pipeline Hook",
        {},
        BODY,
        sha256(BODY).digest(),
        signed=by_signature,
    )


async def take(services: Services, *arrivals: Arrival) -> list[Receipt | None]:
    async with services.database.transaction() as tx:
        return await accept(tx, arrivals)


async def test_the_statement_that_keeps_a_delivery_is_the_one_that_refuses(api: Caller, app_services: Services) -> None:
    sender, other = await strengthened(api), await let_in(api, "GITLAB")
    batch = [
        arrival(api, sender, by_signature=False),
        arrival(api, other, by_signature=False),
        arrival(api, sender, by_signature=True),
        arrival(api, sender, by_signature=None),
    ]
    receipts = await take(app_services, *batch)
    assert [receipt is not None for receipt in receipts] == [False, True, True, True]
    assert await take(app_services, arrival(api, sender, by_signature=False)) == [None]


async def test_the_first_signature_is_what_counts(api: Caller, app_services: Services) -> None:
    sender = await strengthened(api)
    first = await signed_at(app_services, sender)
    await sender.deliver(BODY, signed())
    assert await signed_at(app_services, sender) == first is not None


async def test_many_first_signatures_at_once_are_all_taken(
    api: Caller, app_services: Services, neighbour: TestClient[Any, Any]
) -> None:
    """Of two configs, through two processes, each in another order: nobody waits for anybody in a circle."""
    senders = [await let_in(api, "GITLAB", STANDARD_SECRET) for _ in range(2)]
    elsewhere = [Sender(Caller(neighbour, api.key), one.flow_id, one.config_id, "GITLAB") for one in senders]
    through = [*senders, *reversed(elsewhere)] * 10
    answers = await asyncio.gather(*(one.deliver(BODY, signed()) for one in through))
    assert len({answer.json["receiptId"] for answer in answers}) == 40
    for sender in senders:
        assert await signed_at(app_services, sender) is not None
        assert len(await sender.deliveries()) == 20
        await sender.deliver(BODY, by_token(), 401)


async def test_of_tokens_and_first_signatures_at_once_no_token_comes_in_later(
    api: Caller, app_services: Services
) -> None:
    sender = await let_in(api, "GITLAB")
    await rotate(sender)
    requests = [headers() for _ in range(10) for headers in (by_token, signed)]
    stranger = Caller(api.client, None)
    answers = await asyncio.gather(
        *(stranger.send("POST", sender.path, data=BODY, headers=headers) for headers in requests)
    )
    assert [one.status for one in answers[1::2]] == [202] * 10
    assert {one.status for one in answers[::2]} <= {202, 401}
    await sender.deliver(BODY, by_token(), 401)
    taken = sum(one.status == 202 for one in answers)
    assert len(await sender.deliveries()) == taken
    await drain(app_services)
    assert {one["status"] for one in await sender.deliveries()} == {"SUCCESS"}
