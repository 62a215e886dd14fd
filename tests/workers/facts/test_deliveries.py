"""Whose results deliveries bring: identities and runs of their senders."""

import json
from uuid import uuid4

import pytest

from domain.facts.attestation_names import checked_name
from domain.facts.attestations import Attestation
from domain.facts.trails import Trail
from domain.facts.webhook_configs import WebhookConfig
from integrations.contract import AttestationHint, Parsed, TrailHint
from storage.facts.queries.attestations import list_attestations
from storage.facts.queries.trails import get_trail
from storage.facts.queries.webhook_configs import ConfigTarget
from storage.inbox.queries import StoredDelivery
from storage.paging import Window
from storage.services import Services
from tests.storage.world import World
from workers.facts.deliveries import ParsedDelivery, record_deliveries


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


async def deliver(world: World, config: WebhookConfig, trail: Trail, *hints: AttestationHint) -> None:
    """Each of these in a delivery of its own, all in one batch."""
    now = world.services.clock.now()
    target = ConfigTarget(world.tenant.org_id, world.tenant.org_slug, config.flow_id, config.principal_id)
    batch = [
        ParsedDelivery(
            StoredDelivery(
                uuid4(), world.tenant.org_id, config.id, config.source, None, now, {}, json.dumps({}).encode(), True
            ),
            Parsed("build.finished", trail=TrailHint(trail_id=trail.id), attestations=(hint,)),
            target,
            "test",
        )
        for hint in hints
    ]
    async with world.services.database.transaction() as tx:
        await record_deliveries(tx, world.tenant, batch)


async def found(world: World, trail: Trail) -> tuple[str, list[Attestation]]:
    async with world.services.database.read() as reader:
        page = await list_attestations(reader, world.tenant, trail.id, Window(50))
        return (await get_trail(reader, world.tenant, trail.id)).status, page.items


async def test_a_sender_tells_apart_what_has_one_name(world: World) -> None:
    flow = await world.flow("CHECK")
    config, trail = await world.config(flow), await world.trail(flow)
    failed = AttestationHint("CHECK", "FAILED", "test", identity="suite 1 test", run="1")
    passed = AttestationHint("CHECK", "PASSED", "test", identity="suite 2 test", run="2")
    await deliver(world, config, trail, failed, passed)
    status, items = await found(world, trail)
    assert status == "NON_COMPLIANT"
    assert [(one.name, one.identity, one.run) for one in items] == [
        ("test", f"sender:GITHUB {config.id}: suite 1 test", f"sender:GITHUB {config.id}: 1"),
        ("test", f"sender:GITHUB {config.id}: suite 2 test", f"sender:GITHUB {config.id}: 2"),
    ]
    runs = [AttestationHint("BUILD", "PASSED", "ci", identity="ci.yml push", run=run) for run in ("1", "2")]
    await deliver(world, config, trail, *runs)
    assert (await found(world, trail))[0] == "COMPLIANT"


async def test_what_two_senders_call_the_same_is_not_the_same(world: World) -> None:
    flow = await world.flow("BUILD")
    github, jenkins, trail = await world.config(flow), await world.config(flow, "JENKINS"), await world.trail(flow)
    await deliver(world, github, trail, AttestationHint("BUILD", "FAILED", "build", identity="build", run="7"))
    await deliver(world, jenkins, trail, AttestationHint("BUILD", "PASSED", "build", identity="build", run="8"))
    status, items = await found(world, trail)
    assert status == "NON_COMPLIANT"
    assert [one.identity for one in items] == [
        f"sender:GITHUB {github.id}: build",
        f"sender:JENKINS {jenkins.id}: build",
    ]


async def test_another_webhook_config_neither_replaces_nor_supersedes(world: World) -> None:
    """Who holds the secret of another config of the same source says nothing of what this one reported."""
    flow = await world.flow("BUILD")
    ours, theirs, trail = await world.config(flow), await world.config(flow), await world.trail(flow)
    await deliver(world, ours, trail, AttestationHint("BUILD", "FAILED", "build", identity="build", run="7"))
    for run in ("7", "8"):
        hint = AttestationHint("BUILD", "PASSED", "build", identity="build", run=run)
        await deliver(world, theirs, trail, hint)
    assert (await found(world, trail))[0] == "NON_COMPLIANT"


async def test_no_name_is_taken_for_what_a_sender_tells_apart(world: World) -> None:
    """A reporter's success under the key of GitHub's failure would replace it: `checked_name` keeps names from this."""
    flow = await world.flow("BUILD")
    config, trail = await world.config(flow), await world.trail(flow)
    await deliver(world, config, trail, AttestationHint("BUILD", "FAILED", "ci", identity="ci.yml push", run="7"))
    _, [failed] = await found(world, trail)
    with pytest.raises(ValueError, match="must not begin with 'sender:'"):
        checked_name(failed.identity)


async def test_without_an_identity_it_is_the_name_else_the_type(world: World) -> None:
    """As over the API, so that either replaces the other."""
    flow = await world.flow("TEST")
    config, trail = await world.config(flow, "GENERIC"), await world.trail(flow)
    await deliver(world, config, trail, AttestationHint("TEST", "FAILED", "unit"), AttestationHint("TEST", "FAILED"))
    assert [one.identity for one in (await found(world, trail))[1]] == ["unit", "type:TEST"]
    await world.attest(world.attestation(trail.id, "TEST", name="unit"), world.attestation(trail.id, "TEST"))
    assert (await found(world, trail))[0] == "COMPLIANT"
