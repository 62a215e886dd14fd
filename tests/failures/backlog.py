"""Deliveries put into the inbox as the receiver puts them there, and what must have become of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from domain.audit.events import Actor
from domain.facts.flows import NewFlow
from domain.facts.webhook_configs import NewWebhookConfig
from domain.identity.organisations import NewOrganisation
from domain.tenant import Tenant
from storage.facts.commands.flows import create_flow
from storage.facts.commands.webhook_configs import create_webhook_config
from storage.identity.bootstrap import bootstrap
from storage.identity.commands.organisations import create_organisation
from storage.inbox.commands import Arrival, accept
from storage.ledger.inspection import Inspection
from storage.ledger.published import checkpoint_file, read_published
from storage.ledger.queries import unsigned_ledgers
from storage.services import Services
from tests.journeys.senders import Sender, fixture
from tests.journeys.waiting import eventually
from tests.storage.sealing import inspected


@dataclass(frozen=True)
class Target:
    """A webhook config with its flow."""

    tenant: Tenant
    flow_id: UUID
    config_id: UUID
    actor: Actor


async def make_target(services: Services, slug: str | None = None) -> Target:
    """A fresh flow with a GitHub config, in an organisation of its own where `slug` names one."""
    found = await bootstrap(services.database, None, services.signer, services.envelope)
    actor = Actor(found.admin_id)
    async with services.database.transaction() as tx:
        tenant = Tenant(found.org_id, "default")
        if slug:
            tenant = (await create_organisation(tx, NewOrganisation(slug, slug), actor)).tenant
        flow = await create_flow(tx, tenant, NewFlow(name=f"flow {uuid4()}"), actor)
        new = NewWebhookConfig("GITHUB", flow.id, "a secret")
        config = await create_webhook_config(tx, tenant, new, services.envelope, actor)
    return Target(tenant, flow.id, config.id, actor)


def arrival(target: Target, body: bytes, event: str = "workflow_run") -> Arrival:
    """A delivery that proved itself."""
    return Arrival(
        org_id=target.tenant.org_id,
        config_id=target.config_id,
        source="GITHUB",
        delivery_id=str(uuid4()),
        event=event,
        headers={"content-type": "application/json"},
        body=body,
        body_sha256=sha256(body).digest(),
    )


async def accept_all(services: Services, arrivals: Sequence[Arrival]) -> list[UUID]:
    """Keep and queue them, in the order given, without waking anybody; their receipts."""
    async with services.database.transaction() as tx:
        receipts = await accept(tx, arrivals)
    assert None not in receipts
    return [receipt.id for receipt in receipts if receipt]


async def accept_builds(services: Services, target: Target, commits: Sequence[str]) -> list[UUID]:
    """One successful build for each commit."""
    return await accept_all(services, [arrival(target, fixture("workflow_run__success", commit)) for commit in commits])


async def count(services: Services, sql: str, *args: Any) -> int:
    """A number out of the database."""
    async with services.database.read() as reader:
        return int(await reader.value(sql, *args))


async def statuses(services: Services, receipts: Sequence[UUID]) -> list[str]:
    """The states of deliveries, in the order of their receipts."""
    async with services.database.read() as reader:
        rows = await reader.rows("SELECT id, status FROM deliveries WHERE id = ANY($1::uuid[])", receipts)
    found = {row["id"]: row["status"] for row in rows}
    return [found[receipt] for receipt in receipts]


async def assert_recorded_once(services: Services, receipts: Sequence[UUID], commits: Sequence[str]) -> None:
    """Every delivery settled, with one attestation each, on one trail for each commit; nothing is left in the queue."""
    assert set(await statuses(services, receipts)) == {"SUCCESS"}
    async with services.database.read() as reader:
        attested = await reader.rows(
            "SELECT a.source_id, t.git_commit_sha FROM attestations a JOIN trails t ON t.id = a.trail_id "
            "WHERE a.source_id = ANY($1::uuid[])",
            receipts,
        )
        trails = await reader.rows("SELECT git_commit_sha FROM trails WHERE git_commit_sha = ANY($1)", commits)
        queued = await reader.value("SELECT count(*) FROM inbox WHERE delivery_id = ANY($1::uuid[])", receipts)
        told = await reader.value(
            "SELECT count(*) FROM audit_events e JOIN attestations a ON a.id = e.record_id WHERE a.source_id = ANY($1)",
            receipts,
        )
    assert sorted(row["source_id"] for row in attested) == sorted(receipts)
    assert {row["source_id"]: row["git_commit_sha"] for row in attested} == dict(zip(receipts, commits, strict=True))
    assert sorted(row["git_commit_sha"] for row in trails) == sorted(set(commits))
    assert told == len(receipts)
    assert queued == 0


async def is_sealed(services: Services) -> bool:
    """Whether every event is in the ledger and under a checkpoint."""
    async with services.database.read() as reader:
        waiting = await reader.value("SELECT count(*) FROM unsealed")
        return not waiting and not await unsigned_ledgers(reader)


async def assert_ledger_whole(services: Services, org_id: UUID) -> Inspection:
    """Every audit event is an entry, nothing is altered, and the published file says the same as the database."""
    outside = read_published(checkpoint_file(services.settings.checkpoints, org_id).read_text())
    async with services.database.read() as reader:
        state = await inspected(services, reader, org_id, outside)
        events = await reader.value("SELECT count(*) FROM audit_events WHERE org_id = $1", org_id)
        covered = await reader.value("SELECT max(size) FROM checkpoints WHERE org_id = $1", org_id)
    assert state.findings == []
    assert state.waiting == 0
    assert state.entries == events == covered == outside[-1].checkpoint.size
    assert state.outside == state.checkpoints == len(outside)
    return state


async def assert_all_kept(services: Services, sender: Sender, commits: Mapping[str, str], seconds: float) -> None:
    """Within `seconds` every promise that the sender got is kept, once, and the ledger is whole and published.

    `commits` by delivery id: what each of them was about.
    """
    assert sender.receipts.keys() == commits.keys()
    assert {len(given) for given in sender.receipts.values()} == {1}, (
        "a delivery has one receipt, however often it came"
    )
    receipts = {delivery_id: UUID(next(iter(given))) for delivery_id, given in sender.receipts.items()}

    async def done() -> bool:
        return set(await statuses(services, list(receipts.values()))) == {"SUCCESS"}

    async def whole() -> bool:
        try:
            return bool(await assert_ledger_whole(services, org_id))
        except (AssertionError, FileNotFoundError):
            return False

    await eventually(done, seconds, "the outcome of every delivery")
    await assert_recorded_once(services, list(receipts.values()), [commits[delivery_id] for delivery_id in receipts])
    async with services.database.read() as reader:
        org_id = await reader.value("SELECT id FROM organisations WHERE slug = 'default'")
    await eventually(lambda: is_sealed(services), 20, "the seal over everything")
    if not await eventually_true(whole, 10):
        await assert_ledger_whole(services, org_id)


async def eventually_true(ask: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether it came true in time; the caller says what is wrong."""
    try:
        return await eventually(ask, seconds)
    except AssertionError:
        return False
