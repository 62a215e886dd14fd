"""Reconciling against a server that speaks GitHub's API: what never came is asked for, politely, and only that."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from domain.facts.reconciliations import MAX_REQUESTS, MAX_TIMES, Reconciliation
from domain.facts.webhook_configs import WebhookConfig
from integrations.github.client import PAGE_SIZE
from storage.facts.commands.reconciliations import NewReconciliation, forget_reconciliation, set_reconciliation
from storage.facts.commands.webhook_configs import delete_webhook_config
from storage.facts.queries.reconciliations import get_reconciliation
from storage.outbound import open_outbound
from storage.secrets.envelope import SecretCipher
from storage.services import Services
from tests.api.caller import sign
from tests.storage.shifted import later
from tests.storage.world import SECRET, World
from tests.workers.fake_github import TOKEN, FakeGitHub, Trouble, fake_github
from workers.facts import reconciliation as reconciling
from workers.facts.reconciliation import LEASE, reconcile, reconcile_next

INTERVAL = timedelta(seconds=300)
SOON = INTERVAL + timedelta(seconds=1)
"""After which the next run is due."""
PATIENT = timedelta(minutes=11)
"""After which a delivery is asked for again."""


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "PAUSE", 0)


@pytest.fixture
async def github() -> AsyncIterator[FakeGitHub]:
    async with fake_github() as fake:
        yield fake


@pytest.fixture
async def world(own_services: Services) -> AsyncIterator[World]:
    """With outgoing requests that may reach this machine."""
    settings = own_services.settings.model_copy(update={"outbound_allow": "127.0.0.0/8", "outbound_timeout": 5.0})
    async with open_outbound(settings) as outbound:
        yield await World.founded(replace(own_services, settings=settings, outbound=outbound))


async def reconciled(world: World, github: FakeGitHub, token: str = TOKEN) -> WebhookConfig:
    """A config whose run is due."""
    config = await world.config(await world.flow())
    await point(world, config, github.hook_url, token)
    return config


async def point(world: World, config: WebhookConfig, hook_url: str, token: str = TOKEN) -> None:
    new = NewReconciliation(config.id, hook_url, token)
    async with world.services.database.transaction() as tx:
        await set_reconciliation(tx, world.tenant, new, world.services.envelope, world.actor)


async def state(world: World, config: WebhookConfig) -> Reconciliation:
    async with world.services.database.read() as reader:
        return await get_reconciliation(reader, world.tenant, config.id)


async def requests(world: World) -> dict[str, int]:
    async with world.services.database.read() as reader:
        rows = await reader.rows("SELECT delivery_id, times FROM redelivery_requests")
    return {row["delivery_id"]: row["times"] for row in rows}


async def keep(world: World, config: WebhookConfig, guid: str) -> None:
    await world.deliver(world.arrival(config, guid))


async def test_what_never_came_is_asked_for_and_nothing_else(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    refused = github.attempt(status=401, age=timedelta(hours=1))
    for status, event in ((202, "push"), (502, "push")):
        await keep(world, config, github.attempt(status=status, event=event))
    lost = github.attempt(status=202, age=timedelta(minutes=30))
    github.attempt(status=502, event="ping")
    await reconcile(world.services)
    assert github.redelivered == [refused, lost], "the oldest first: GitHub forgets them first"
    after = await state(world, config)
    assert after.last_error is None
    assert after.last_run_at is not None
    assert after.next_run_at > after.last_run_at + INTERVAL - timedelta(seconds=1)
    assert await requests(world) == {refused: 1, lost: 1}


async def test_the_deliveries_of_another_config_are_no_proof(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    other = await world.config(await world.flow())
    guid = github.attempt()
    await keep(world, other, guid)
    await reconcile(world.services)
    assert github.redelivered == [guid]
    assert (await state(world, config)).last_error is None


async def test_a_delivery_attempted_often_is_asked_for_once(world: World, github: FakeGitHub) -> None:
    await reconciled(world, github)
    guid = github.attempt(age=timedelta(hours=3))
    for minutes in (50, 20):
        github.attempt(guid, age=timedelta(minutes=minutes))
    await reconcile(world.services)
    assert github.redelivered == [guid]


async def test_no_run_before_its_time(world: World, github: FakeGitHub) -> None:
    await reconciled(world, github)
    for _ in range(3):
        await reconcile(world.services)
    assert github.pages == 1
    await reconcile(later(world.services, SOON))
    assert github.pages == 2


async def test_patience_and_then_no_more(world: World, github: FakeGitHub) -> None:
    """GitHub says yes each time, and nothing comes."""
    await reconciled(world, github)
    guid = github.attempt()
    await reconcile(world.services)
    await reconcile(later(world.services, SOON))
    assert github.redelivered == [guid], "asked for five minutes ago"
    for n in range(1, MAX_TIMES + 3):
        await reconcile(later(world.services, n * PATIENT))
    assert github.redelivered == [guid] * MAX_TIMES
    assert await requests(world) == {guid: MAX_TIMES}


async def test_a_redelivery_that_arrives_is_the_end_of_it(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    async with TestClient(TestServer(build_app(world.services))) as client:
        github.deliver = at_the_receiver(client, world, config)
        guid = github.attempt(status=502)
        await reconcile(world.services)
        assert [one.status_code for one in github.attempts if one.guid == guid] == [502, 202]
        for n in (1, 2):
            await reconcile(later(world.services, n * PATIENT))
    assert github.redelivered == [guid]
    async with world.services.database.read() as reader:
        kept = await reader.rows("SELECT delivery_id, event FROM deliveries WHERE config_id = $1", config.id)
    assert [tuple(row.values()) for row in kept] == [(guid, "push")]


def at_the_receiver(client: TestClient[Any, Any], world: World, config: WebhookConfig) -> Callable[[str], Any]:
    """What GitHub does when it is asked: the same guid, body and signature again."""

    async def deliver(guid: str) -> int:
        body = b'{"ref": "refs/heads/main"}'
        headers = {
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": sign(body, SECRET),
            "Content-Type": "application/json",
        }
        async with client.post(f"/api/v1/webhooks/github/{config.id}", data=body, headers=headers) as answer:
            return answer.status

    return deliver


async def test_a_run_asks_for_a_hundred_and_the_next_for_the_rest(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    guids = [github.attempt(age=timedelta(hours=2, seconds=-n)) for n in range(MAX_REQUESTS + 7)]
    await reconcile(world.services)
    assert github.redelivered == guids[:MAX_REQUESTS]
    between = await state(world, config)
    assert (between.last_run_at, between.last_error) == (None, None)
    await reconcile(later(world.services, SOON))
    assert github.redelivered == guids
    assert (await state(world, config)).last_run_at is not None


async def test_the_next_run_looks_back_no_further_than_needed(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    for n in range(2 * PAGE_SIZE):
        await keep(world, config, github.attempt(status=202, age=timedelta(hours=3, seconds=n)))
    await reconcile(world.services)
    assert github.pages == 2
    await reconcile(later(world.services, SOON))
    assert github.pages == 3


async def test_what_is_older_than_three_days_is_not_asked_for(world: World, github: FakeGitHub) -> None:
    await reconciled(world, github)
    github.attempt(age=timedelta(days=3, minutes=1))
    young = github.attempt(age=timedelta(days=2, hours=23))
    await reconcile(world.services)
    assert github.redelivered == [young]


async def test_more_than_can_be_compared_is_said(
    world: World, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.github.client.MAX_PAGES", 2)
    config = await reconciled(world, github)
    for n in range(2 * PAGE_SIZE + 1):
        await keep(world, config, github.attempt(status=202, age=timedelta(hours=2, seconds=n)))
    await reconcile(world.services)
    after = await state(world, config)
    assert "oldest" in (after.last_error or "")
    await reconcile(later(world.services, SOON))
    assert (await state(world, config)).last_error is None


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Trouble(401), "401"),
        (Trouble(404), "404"),
        (Trouble(403), "403"),
        (Trouble(500), "500"),
        (Trouble(301), "moved"),
        (Trouble(body=b"nonsense"), "not what its API describes"),
    ],
)
async def test_a_failure_is_told_and_the_next_success_clears_it(
    world: World, github: FakeGitHub, trouble: Trouble, told: str
) -> None:
    config = await reconciled(world, github)
    guid = github.attempt()
    github.troubles = [trouble]
    await reconcile(world.services)
    failed = await state(world, config)
    assert told in (failed.last_error or "")
    assert (failed.last_run_at, github.redelivered) == (None, [])
    await reconcile(later(world.services, SOON))
    assert (await state(world, config)).last_error is None
    assert github.redelivered == [guid]


async def test_failures_are_tried_again_later_and_later(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    clock, waits = timedelta(), []
    for _ in range(4):
        github.troubles = [Trouble(503)]
        services = later(world.services, clock)
        await reconcile(services)
        wait = (await state(world, config)).next_run_at - services.clock.now()
        waits.append(round(wait / INTERVAL))
        clock += wait + timedelta(seconds=1)
    assert waits == [1, 1, 2, 4]


async def test_github_is_given_the_time_it_wants(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    guids = [github.attempt(age=timedelta(minutes=n)) for n in (3, 2, 1)]
    github.troubles = [Trouble(body=b"[]"), Trouble(429, {"Retry-After": "1800"})]
    await reconcile(world.services)
    await reconcile(later(world.services, SOON))
    limited = await state(world, config)
    assert "limits our requests (429)" in (limited.last_error or "")
    assert limited.next_run_at - world.services.clock.now() > timedelta(minutes=30)
    await reconcile(later(world.services, timedelta(minutes=40)))
    assert github.redelivered == guids


async def test_what_was_asked_for_before_a_failure_counts(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    guids = [github.attempt(age=timedelta(minutes=n)) for n in (3, 2, 1)]

    async def then_fail(_guid: str) -> int:
        if len(github.redelivered) == 2:
            github.troubles = [Trouble(502)]
        return 502

    github.deliver = then_fail
    await reconcile(world.services)
    assert "502" in ((await state(world, config)).last_error or "")
    assert await requests(world) == dict.fromkeys(guids[:2], 1)
    github.deliver = None
    await reconcile(later(world.services, SOON))
    assert github.redelivered == guids


async def test_a_delivery_that_github_makes_no_more_holds_up_nobody(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    hopeless, good = github.attempt(age=timedelta(hours=2)), github.attempt()
    listing = await _listing(github)
    github.troubles = [Trouble(body=listing), Trouble(422, body=b'{"message": "too old", "errors": ["x"]}')]
    await reconcile(world.services)
    assert github.redelivered == [good]
    assert (await state(world, config)).last_error is None
    assert await requests(world) == {hopeless: 1, good: 1}


async def _listing(github: FakeGitHub) -> bytes:
    headers = {
        "Authorization": f"token {TOKEN}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "User-Agent": "Trailgate",
    }
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{github.hook_url}/deliveries") as answer,
    ):
        return await answer.read()


async def test_an_address_of_our_own_network_is_told_and_not_asked(own_services: Services, github: FakeGitHub) -> None:
    world = await World.founded(own_services)
    config = await reconciled(world, github)
    await reconcile(world.services)
    assert "may not be reached" in ((await state(world, config)).last_error or "")
    assert github.pages == 0


async def test_a_token_under_another_master_key(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    await reconcile(replace(world.services, envelope=SecretCipher([b"k" * 32])))
    assert "decrypted" in ((await state(world, config)).last_error or "")
    assert github.pages == 0


async def test_deleted_and_switched_off_configs_are_left_alone(world: World, github: FakeGitHub) -> None:
    deleted, off = await reconciled(world, github), await reconciled(world, github)
    async with world.services.database.transaction() as tx:
        await delete_webhook_config(tx, world.tenant, deleted.id, world.actor)
        await tx.execute("UPDATE webhook_configs SET is_active = false WHERE id = $1", off.id)
    await reconcile(world.services)
    assert github.pages == 0


async def test_one_sender_in_trouble_does_not_hold_up_the_others(world: World, github: FakeGitHub) -> None:
    broken, well = await reconciled(world, github, token="wrong"), await reconciled(world, github)
    guid = github.attempt()
    await reconcile(world.services)
    assert github.redelivered == [guid]
    assert "401" in ((await state(world, broken)).last_error or "")
    assert (await state(world, well)).last_error is None


async def test_two_workers_share_the_work(world: World, github: FakeGitHub) -> None:
    for _ in range(9):
        await reconciled(world, github)
    await asyncio.gather(reconcile(world.services), reconcile(world.services))
    assert github.pages == 9


async def test_nothing_is_locked_while_github_thinks(world: World, github: FakeGitHub) -> None:
    """A config set anew meanwhile is not held up, and what the old run came to is nobody's business any more."""
    config = await reconciled(world, github)
    github.troubles = [Trouble(hangs=True)]
    running = asyncio.create_task(reconcile_next(world.services))
    await asyncio.wait_for(github.asked.wait(), 5)
    await asyncio.wait_for(point(world, config, f"{github.base}/repos/example/other/hooks/7"), 2)
    anew = await state(world, config)
    assert await running
    assert await state(world, config) == anew


async def test_a_run_whose_config_is_forgotten_meanwhile(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github)
    guid = github.attempt()

    async def forget(_guid: str) -> int:
        async with world.services.database.transaction() as tx:
            await forget_reconciliation(tx, world.tenant, config.id)
        return 202

    github.deliver = forget
    await reconcile(world.services)
    assert github.redelivered == [guid]
    assert await requests(world) == {guid: 1}


async def test_a_worker_that_dies_during_a_run_is_succeeded_when_its_lease_is_over(
    world: World, github: FakeGitHub
) -> None:
    config = await reconciled(world, github)
    guid = github.attempt()
    github.troubles = [Trouble(hangs=True)]
    running = asyncio.create_task(reconcile_next(world.services))
    await asyncio.wait_for(github.asked.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not await reconcile_next(later(world.services, LEASE - timedelta(seconds=30)))
    assert await reconcile_next(later(world.services, LEASE + timedelta(seconds=1)))
    assert github.redelivered == [guid]
    assert (await state(world, config)).last_error is None


async def test_the_token_is_kept_encrypted_and_replaced(world: World, github: FakeGitHub) -> None:
    config = await reconciled(world, github, token="first-token")
    await point(world, config, github.hook_url, "second-token")
    async with world.services.database.read() as reader:
        secrets = await reader.rows("SELECT id, data FROM secrets")
        kept: UUID = await reader.value("SELECT secret_id FROM reconciliations WHERE config_id = $1", config.id)
        events = await reader.value("SELECT count(*) FROM audit_events WHERE name = 'webhook_config.reconciled'")
        shown = await reader.rows("SELECT payload FROM audit_events")
    assert {row["id"] for row in secrets} == {kept, await _signing_secret(world, config)}
    assert not [row for row in secrets if b"token" in row["data"]]
    assert not [row for row in shown if "token" in str(row["payload"])]
    assert events == 2


async def _signing_secret(world: World, config: WebhookConfig) -> UUID:
    async with world.services.database.read() as reader:
        found: UUID = await reader.value("SELECT secret_id FROM webhook_configs WHERE id = $1", config.id)
    return found


async def test_requests_are_paced(world: World, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "PAUSE", 0.2)
    await reconciled(world, github)
    for _ in range(3):
        github.attempt(str(uuid4()))
    started = asyncio.get_running_loop().time()
    await reconcile(world.services)
    assert len(github.redelivered) == 3
    assert asyncio.get_running_loop().time() - started >= 0.4
