"""What defining, changing, rotating and deleting rules leaves behind: secrets, destinations, what waits, seals."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.audit.events import Actor
from domain.errors import Conflict, Invalid, NotFound, Stale
from domain.notifications.rules import Channel, NotificationRule, RuleChange
from domain.notifications.triggers import Notice, Trigger, attestation_failed
from storage.ledger.verification import VerificationOutcome, verify_record
from storage.notifications.commands.notices import raise_notices
from storage.notifications.commands.rules import (
    Issued,
    NewSigningSecret,
    archive_rule,
    rotate_signing_secret,
    send_test,
    update_rule,
)
from storage.notifications.queries.rules import RuleTarget, channel_targets, get_rule, list_rules
from storage.outbox.queries import Message, list_messages
from storage.paging import Window
from storage.registry import RECORDS
from storage.schedule.wakeups import Job
from storage.secrets.envelope import SecretCipher, Undecipherable
from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer

URL = "https://hooks.example.com/services/xyzzy"
OTHER_URL = "https://elsewhere.example.com/xyzzy"
SECRET = "whsec_" + "QUJD" * 11


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


async def change(world: World, rule_id: UUID, expected: set[int] | None = None, **fields: Any) -> Issued:
    asked: RuleChange = {**fields}  # type: ignore[typeddict-item]
    async with world.services.database.transaction() as tx:
        return await update_rule(
            tx, world.tenant, rule_id, asked, world.actor, envelope=world.services.envelope, expected=expected
        )


async def rotate(world: World, rule_id: UUID, secret: str | None = None, grace: int = 24) -> Issued:
    new = NewSigningSecret(rule_id, secret, timedelta(hours=grace))
    async with world.services.database.transaction() as tx:
        return await rotate_signing_secret(tx, world.tenant, new, world.services.envelope, world.actor)


async def archive(world: World, rule_id: UUID) -> NotificationRule:
    async with world.services.database.transaction() as tx:
        return await archive_rule(tx, world.tenant, rule_id, world.actor)


async def target(world: World, rule_id: UUID) -> RuleTarget:
    async with world.services.database.read() as reader:
        return (await channel_targets(reader, world.services.envelope, [rule_id]))[rule_id]


async def raised(world: World, count: int = 1) -> list[UUID]:
    notices: list[Notice] = [attestation_failed(uuid4(), uuid4(), uuid4(), "test", None) for _ in range(count)]
    async with world.services.database.transaction() as tx:
        return await raise_notices(tx, world.tenant, notices)


async def messages(world: World, rule_id: UUID) -> list[Message]:
    async with world.services.database.read() as reader:
        return (await list_messages(reader, world.tenant, Window(100), rule_id=rule_id)).items


async def queue(world: World) -> list[Any]:
    async with world.services.database.read() as reader:
        return await reader.rows("SELECT * FROM outbox WHERE org_id = $1 ORDER BY message_id", world.tenant.org_id)


async def run(world: World, sql: str, *args: Any) -> None:
    async with world.services.database.transaction() as tx:
        assert await tx.execute(sql, *args) > 0


# Definitions


async def test_a_rule_is_kept_without_its_secrets_in_clear(world: World) -> None:
    issued = await world.rule(config={"webhookUrl": URL, "secret": SECRET, "token": "xyzzy"})
    async with world.services.database.read() as reader:
        [row] = await reader.rows("SELECT * FROM notification_rules WHERE id = $1", issued.rule.id)
        destination = await reader.row("SELECT * FROM destinations WHERE id = $1", row["destination_id"])
        kept = await reader.rows("SELECT data FROM secrets WHERE org_id = $1", world.tenant.org_id)
        assert await get_rule(reader, world.tenant, issued.rule.id) == issued.rule
    assert row["config_shown"] == {"webhookUrl": "https://hooks.example.com/…", "token": "…"}
    assert destination is not None
    assert (destination["channel"], destination["label"]) == ("WEBHOOK", "https://hooks.example.com/…")
    assert "xyzzy" not in f"{dict(row)}{dict(destination)}"
    assert len(kept) == 2
    assert not [one for one in kept if b"xyzzy" in one["data"] or SECRET.encode() in one["data"]]


async def test_the_relay_gets_everything_in_clear(world: World) -> None:
    issued = await world.rule(
        config={"webhookUrl": URL, "secret": SECRET}, title_template="{{ title }}", message_template="m"
    )
    assert await target(world, issued.rule.id) == RuleTarget(
        rule_id=issued.rule.id,
        org_id=world.tenant.org_id,
        channel="WEBHOOK",
        config={"webhookUrl": URL},
        signing_secrets=(SECRET,),
        title_template="{{ title }}",
        message_template="m",
        archived=False,
        is_active=True,
    )


async def test_targets_of_many_rules_take_three_statements(world: World, services: Services) -> None:
    other = await World.founded(services)
    rules = [await world.rule(), await other.rule(Channel.EMAIL, config={"to": "a@x.org"}), await world.rule()]
    rules.append(await world.rule(Channel.IN_APP, config={}))
    ids = [one.rule.id for one in rules]
    async with services.database.read() as reader:
        seen: list[str] = []
        log = lambda query: seen.append(query.query)  # noqa: E731
        reader.connection.add_query_logger(log)
        found = await channel_targets(reader, services.envelope, [*ids, uuid4()])
        assert await channel_targets(reader, services.envelope, []) == {}
        reader.connection.remove_query_logger(log)
    assert set(found) == set(ids)
    assert len([one for one in seen if "secrets" in one or "notification_rules" in one]) == 3 + 2
    assert [len(found[one].signing_secrets) for one in ids] == [1, 0, 1, 0]
    assert found[ids[1]].config == {"to": ["a@x.org"]}
    assert found[ids[1]].org_id == other.tenant.org_id


async def test_a_foreign_key_opens_nothing(world: World) -> None:
    issued = await world.rule()
    async with world.services.database.read() as reader:
        with pytest.raises(Undecipherable):
            await channel_targets(reader, SecretCipher([b"x" * 32]), [issued.rule.id])


async def test_a_rule_whose_master_key_was_lost_is_repaired_by_entering_its_configuration(world: World) -> None:
    issued = await world.rule()
    rule_id, found = issued.rule.id, SecretCipher([b"x" * 32])

    async def enter(**fields: Any) -> Issued:
        async with world.services.database.transaction() as tx:
            return await update_rule(tx, world.tenant, rule_id, {**fields}, world.actor, envelope=found)  # type: ignore[typeddict-item]

    for lost in ({"name": "x"}, {"config": issued.rule.config_shown}):
        with pytest.raises(Invalid):
            await enter(**lost)
    entered = await enter(config={"webhookUrl": OTHER_URL})
    assert entered.signing_secret is not None
    assert entered.rule.previous_until is None
    async with world.services.database.read() as reader:
        target = (await channel_targets(reader, found, [rule_id]))[rule_id]
    assert (target.config, target.signing_secrets) == ({"webhookUrl": OTHER_URL}, (entered.signing_secret,))


async def test_only_webhooks_are_given_a_secret(world: World) -> None:
    given = [(await world.rule(Channel.SLACK)), await world.rule(Channel.IN_APP, config={"secret": SECRET})]
    assert [one.signing_secret for one in given] == [None, None]
    made = [(await world.rule()).signing_secret for _ in range(2)]
    assert made[0] != made[1]
    assert all(one is not None and one.startswith("whsec_") for one in made)


async def test_rules_of_one_address_share_a_destination(world: World) -> None:
    one, two = [await world.rule(config={"webhookUrl": URL}) for _ in range(2)]
    slack = await world.rule(Channel.SLACK, config={"webhookUrl": URL})
    mail = [await world.rule(Channel.EMAIL, config={"to": to}) for to in ("a@x.org,b@x.org", ["b@x.org", "a@x.org"])]
    assert one.rule.destination_id == two.rule.destination_id != slack.rule.destination_id
    assert mail[0].rule.destination_id == mail[1].rule.destination_id


async def test_a_foreign_rule_is_nobodys(world: World, services: Services) -> None:
    issued = await world.rule()
    stranger = await World.founded(services)
    for attempt in (change(stranger, issued.rule.id, name="x"), rotate(stranger, issued.rule.id)):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(NotFound):
        await archive(stranger, issued.rule.id)
    async with services.database.transaction() as tx:
        with pytest.raises(NotFound):
            await send_test(tx, stranger.tenant, issued.rule.id)
    async with services.database.read() as reader:
        assert (await list_rules(reader, stranger.tenant, Window(10))).items == []
        assert (await list_rules(reader, world.tenant, Window(10))).items == [issued.rule]


# Changes


async def test_what_changes_nothing_makes_no_version(world: World) -> None:
    issued = await world.rule(config={"webhookUrl": URL, "token": "t", "secret": SECRET})
    for fields in (
        {},
        {"name": issued.rule.name, "trigger": Trigger.ATTESTATION_FAILED, "channel": Channel.WEBHOOK},
        {"config": issued.rule.config_shown},
        {"config": {"webhookUrl": URL, "token": "t"}},
        {"config": {"webhookUrl": URL, "token": "…", "secret": SECRET}},
    ):
        assert await change(world, issued.rule.id, **fields) == Issued(issued.rule)


async def test_fields_are_changed_one_by_one(world: World) -> None:
    issued = await world.rule(filter_flow_id=(await world.flow()).id, title_template="t")
    fields: dict[str, Any] = {
        "name": "another",
        "is_active": False,
        "trigger": Trigger.GATE_BLOCKED,
        "filter_flow_id": None,
        "filter_environment_id": uuid4(),
        "title_template": None,
        "message_template": "m",
    }
    expected = issued.rule
    for version, (name, value) in enumerate(fields.items(), 2):
        changed = (await change(world, issued.rule.id, **{name: value})).rule
        expected = replace(expected, **{name: value}, version=version, updated_at=changed.updated_at)
        assert changed == expected
        assert changed.updated_at > issued.rule.updated_at
    assert (await target(world, issued.rule.id)).config["webhookUrl"]


async def test_a_change_meant_for_another_version_is_stale(world: World) -> None:
    issued = await world.rule()
    await change(world, issued.rule.id, {1}, name="second")
    for expected in ({1}, set(), {3}):
        with pytest.raises(Stale):
            await change(world, issued.rule.id, expected, name="third")
    assert (await change(world, issued.rule.id, {2, 7}, name="third")).rule.version == 3


async def test_racing_changes_are_all_made(world: World) -> None:
    issued = await world.rule()
    await asyncio.gather(*(change(world, issued.rule.id, name=f"name {n}") for n in range(8)))
    async with world.services.database.read() as reader:
        assert (await get_rule(reader, world.tenant, issued.rule.id)).version == 9


async def test_the_merged_result_must_fit_its_channel(world: World) -> None:
    issued = await world.rule(Channel.IN_APP, config={})
    for channel in (Channel.SLACK, Channel.WEBHOOK, Channel.EMAIL):
        with pytest.raises(Invalid):
            await change(world, issued.rule.id, channel=channel)
    with pytest.raises(Invalid):
        await change(world, issued.rule.id, channel=Channel.SLACK, config={"to": "a@x.org"})
    moved = await change(world, issued.rule.id, channel=Channel.SLACK, config={"webhookUrl": URL})
    assert (moved.rule.channel, moved.rule.version) == ("SLACK", 2)
    with pytest.raises(Invalid):
        await change(world, issued.rule.id, config={})


async def test_another_channel_keeps_the_configuration_and_not_the_secret(world: World) -> None:
    issued = await world.rule(config={"webhookUrl": URL, "secret": SECRET})
    for channel in (Channel.IN_APP, Channel.SLACK):
        changed = await change(world, issued.rule.id, channel=channel)
        assert changed.signing_secret is None
        found = await target(world, issued.rule.id)
        assert (found.channel, found.config, found.signing_secrets) == (channel, {"webhookUrl": URL}, ())
    back = await change(world, issued.rule.id, channel=Channel.WEBHOOK)
    assert back.signing_secret not in (None, SECRET)
    assert (await target(world, issued.rule.id)).signing_secrets == (back.signing_secret,)
    assert back.rule.destination_id == issued.rule.destination_id


# Secrets


async def test_both_secrets_sign_until_the_grace_ends(world: World) -> None:
    issued = await world.rule()
    rotated = await rotate(world, issued.rule.id, SECRET)
    assert (rotated.signing_secret, rotated.rule.version) == (SECRET, 2)
    assert rotated.rule.previous_until == rotated.rule.updated_at + timedelta(hours=24)
    assert (await target(world, issued.rule.id)).signing_secrets == (SECRET, issued.signing_secret)
    again = await rotate(world, issued.rule.id, grace=0)
    assert again.signing_secret not in (None, SECRET, issued.signing_secret)
    assert (await target(world, issued.rule.id)).signing_secrets == (again.signing_secret,)


async def test_a_secret_in_a_changed_configuration_is_a_rotation(world: World) -> None:
    issued = await world.rule(config={"webhookUrl": URL})
    changed = await change(world, issued.rule.id, config={**issued.rule.config_shown, "secret": SECRET})
    assert changed.signing_secret == SECRET
    found = await target(world, issued.rule.id)
    assert found.config == {"webhookUrl": URL}
    assert found.signing_secrets == (SECRET, issued.signing_secret)


@pytest.mark.parametrize("channel", [Channel.SLACK, Channel.IN_APP])
async def test_there_is_nothing_to_rotate_where_nothing_is_signed(world: World, channel: Channel) -> None:
    issued = await world.rule(channel)
    with pytest.raises(Conflict):
        await rotate(world, issued.rule.id)


@pytest.mark.parametrize("secret", ["hunter2", ""])
async def test_a_bad_secret_changes_nothing(world: World, secret: str) -> None:
    issued = await world.rule()
    with pytest.raises(Invalid):
        await rotate(world, issued.rule.id, secret)
    with pytest.raises(Invalid):
        await change(world, issued.rule.id, config={"webhookUrl": OTHER_URL, "secret": secret})
    found = await target(world, issued.rule.id)
    assert found.signing_secrets == (issued.signing_secret,)
    assert found.config["webhookUrl"] != OTHER_URL


# What waits


async def test_what_waits_follows_the_rule_to_its_new_address_at_once(world: World) -> None:
    issued = await world.rule(config={"webhookUrl": URL})
    other = await world.rule(config={"webhookUrl": URL})
    ids = await raised(world, 3)
    await run(
        world,
        "UPDATE outbox SET attempts = 1, due_at = due_at + interval '5 hours' WHERE org_id = $1",
        world.tenant.org_id,
    )
    changed = (await change(world, issued.rule.id, config={"webhookUrl": OTHER_URL})).rule
    assert changed.destination_id != issued.rule.destination_id
    moved = await messages(world, issued.rule.id)
    assert [one.destination_id for one in moved] == [changed.destination_id] * 3
    assert all(one.due_at is not None and one.due_at <= changed.updated_at for one in moved)
    stayed = await messages(world, other.rule.id)
    assert [one.destination_id for one in stayed] == [other.rule.destination_id] * 3
    assert all(one.due_at is not None and one.due_at > changed.updated_at for one in stayed)
    assert {row["message_id"] for row in await queue(world)} == set(ids)
    assert {row["destination_id"] for row in await queue(world)} == {
        changed.destination_id,
        other.rule.destination_id,
    }


async def test_what_is_being_sent_keeps_its_lease(world: World) -> None:
    issued = await world.rule()
    await raised(world)
    claim, hour = uuid4(), timedelta(hours=1)
    await run(
        world,
        "UPDATE outbox SET claim_id = $2, due_at = due_at + $3 WHERE org_id = $1",
        *(world.tenant.org_id, claim, hour),
    )
    [before] = await queue(world)
    changed = (await change(world, issued.rule.id, config={"webhookUrl": OTHER_URL})).rule
    [after] = await queue(world)
    assert dict(after) == {**before, "destination_id": changed.destination_id}


async def test_another_channel_takes_what_waits_along(world: World) -> None:
    issued = await world.rule()
    await raised(world)
    changed = (await change(world, issued.rule.id, channel=Channel.SLACK)).rule
    [message] = await messages(world, issued.rule.id)
    assert (message.channel, message.destination_id, message.status) == ("SLACK", changed.destination_id, "PENDING")


async def test_what_is_settled_stays_where_it_was(world: World) -> None:
    issued = await world.rule()
    await raised(world)
    await run(world, "DELETE FROM outbox WHERE org_id = $1", world.tenant.org_id)
    await run(world, "UPDATE messages SET status = 'SENT' WHERE org_id = $1", world.tenant.org_id)
    await change(world, issued.rule.id, config={"webhookUrl": OTHER_URL})
    await archive(world, issued.rule.id)
    [message] = await messages(world, issued.rule.id)
    assert (message.status, message.destination_id, message.error) == ("SENT", issued.rule.destination_id, None)


async def test_what_moves_to_a_disabled_destination_can_be_replayed(world: World) -> None:
    disabled = await world.rule(config={"webhookUrl": OTHER_URL})
    await run(world, "UPDATE destinations SET disabled_at = now() WHERE id = $1", disabled.rule.destination_id)
    await archive(world, disabled.rule.id)
    issued = await world.rule(config={"webhookUrl": URL})
    await raised(world)
    await change(world, issued.rule.id, config={"webhookUrl": OTHER_URL})
    assert await queue(world) == []
    [message] = await messages(world, issued.rule.id)
    assert (message.status, message.error) == ("FAILED", "The destination is disabled.")
    assert (message.destination_id, message.settled_at is not None) == (disabled.rule.destination_id, True)


@pytest.mark.parametrize(("fields", "wakes"), [({"config": {"webhookUrl": OTHER_URL}}, True), ({"name": "x"}, False)])
async def test_the_relay_is_woken_when_something_moves(world: World, fields: Any, wakes: bool) -> None:
    issued = await world.rule()
    await raised(world)
    async with world.services.database.transaction() as tx:
        envelope = world.services.envelope
        await update_rule(tx, world.tenant, issued.rule.id, fields, world.actor, envelope=envelope)
        assert (Job.RELAY in tx.wakes) is wakes


async def test_a_deleted_rule_sends_nothing_more(world: World) -> None:
    issued, other = await world.rule(), await world.rule()
    await raised(world, 2)
    archived = await archive(world, issued.rule.id)
    assert (archived.is_active, archived.version) == (False, 2)
    ended = await messages(world, issued.rule.id)
    assert [(one.status, one.error, one.due_at) for one in ended] == [("SKIPPED", "The rule was deleted.", None)] * 2
    assert [one.status for one in await messages(world, other.rule.id)] == ["PENDING"] * 2
    assert len(await queue(world)) == 2
    await raised(world)
    assert len(await messages(world, issued.rule.id)) == 2
    assert (await target(world, issued.rule.id)).archived is True
    for attempt in (change(world, issued.rule.id, name="x"), rotate(world, issued.rule.id)):
        with pytest.raises(NotFound):
            await attempt
    async with world.services.database.read() as reader:
        with pytest.raises(NotFound):
            await get_rule(reader, world.tenant, issued.rule.id)
        page = await list_rules(reader, world.tenant, Window(10))
    assert (page.items, page.total) == ([other.rule], 1)


async def test_a_deactivated_rule_hears_nothing_new_and_sends_what_waits(world: World) -> None:
    issued = await world.rule()
    await raised(world)
    await change(world, issued.rule.id, is_active=False)
    await raised(world)
    [message] = await messages(world, issued.rule.id)
    assert message.status == "PENDING"
    found = await target(world, issued.rule.id)
    assert (found.is_active, found.archived) == (False, False)


# Tests


@pytest.mark.parametrize("active", [True, False])
async def test_a_test_is_one_message_for_one_rule(world: World, active: bool) -> None:
    flow_id = (await world.flow()).id
    issued, _ = await world.rule(filter_flow_id=flow_id), await world.rule()
    await change(world, issued.rule.id, is_active=active)
    async with world.services.database.transaction() as tx:
        message_id = await send_test(tx, world.tenant, issued.rule.id)
        assert Job.RELAY in tx.wakes
    [row] = await queue(world)
    assert (row["message_id"], row["subject"]) == (message_id, f"rule:{issued.rule.id}")
    [message] = await messages(world, issued.rule.id)
    assert (message.event, message.channel) == ("ATTESTATION_FAILED", "WEBHOOK")
    assert message.payload == {
        "triggerEvent": "ATTESTATION_FAILED",
        "severity": "INFO",
        "title": "Test notification",
        "message": f"This is a test of the notification rule {issued.rule.name}.",
        "entityType": None,
        "entityId": None,
        "flowId": str(flow_id),
        "environmentId": None,
        "data": {"test": True, "ruleId": str(issued.rule.id)},
    }


# Seals


async def test_every_change_is_sealed(own_services: Services) -> None:
    world = await World.founded(own_services)
    issued = await world.rule(title_template="t")
    rule_id = issued.rule.id
    await change(world, rule_id, name="another", config={"webhookUrl": OTHER_URL})
    await rotate(world, rule_id)
    await archive(world, rule_id)
    await Sealer()(own_services)
    async with own_services.database.read() as reader:
        events = await reader.rows(
            "SELECT name, record_version, actor_id, payload FROM audit_events WHERE record_id = $1 "
            "ORDER BY record_version",
            rule_id,
        )
        verdict = await verify_record(reader, world.tenant, rule_id, RECORDS, world.services.trusted_keys)
    assert [row["name"].partition(".")[2] for row in events] == ["created", "updated", "rotated", "deleted"]
    assert [row["record_version"] for row in events] == [1, 2, 3, 4]
    assert {row["actor_id"] for row in events} == {world.actor.principal_id}
    assert events[1]["payload"] == {
        "notificationRuleId": str(rule_id),
        "name": "another",
        "triggerEvent": "ATTESTATION_FAILED",
        "channelType": "WEBHOOK",
    }
    assert verdict.outcome is VerificationOutcome.VERIFIED


async def test_who_made_a_rule_is_kept_whoever_changes_it(world: World) -> None:
    issued = await world.rule()
    other = World(world.services, world.tenant, Actor(uuid4(), region="test"))
    assert (await change(other, issued.rule.id, name="x")).rule.created_by == world.actor.principal_id
