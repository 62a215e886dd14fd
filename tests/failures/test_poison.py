"""Deliveries that cannot be processed fail alone, are kept, and come back when their cause is mended."""

import json
from uuid import UUID, uuid4

import pytest

from storage.inbox.codes import renew_delivery_codes
from storage.inbox.commands import replay
from storage.inbox.queries import dead_letters, load
from storage.services import Services
from tests.failures.backlog import (
    Target,
    accept_all,
    accept_builds,
    arrival,
    assert_recorded_once,
    count,
    make_target,
    statuses,
)
from tests.journeys.senders import commit_of
from workers.drain import NOT_AUTHENTIC, drain

COMMITS = [commit_of("poison", n) for n in range(20)]


async def corrupt(services: Services, receipt: UUID) -> None:
    """Stored headers that no parser expects: it breaks on them in its own way."""
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE inbox_bodies SET headers = '[]' WHERE id = $1", receipt)
        await renew_delivery_codes(tx, unchecked=True)


async def mend(services: Services) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE inbox_bodies SET headers = '{}' WHERE headers = '[]'")
        await renew_delivery_codes(tx, unchecked=True)


async def message_of(services: Services, receipt: UUID) -> tuple[str, str | None]:
    async with services.database.read() as reader:
        row = await reader.row("SELECT status_message, error FROM deliveries WHERE id = $1", receipt)
    assert row
    return row["status_message"], row["error"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"neither JSON nor anything else", "Invalid JSON"),
        (b'{"action": "completed", "workflow_run": {"head_sha": "x"}}', "workflow_run.head_sha"),
        (b"\x00\xff\xfe", "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
    ],
    ids=["text", "wrong", "binary", "empty", "deep"],
)
async def test_a_body_that_cannot_be_read_is_a_dead_letter_alone(
    own_services: Services, body: bytes, told: str
) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS[:10])
    [poison] = await accept_all(own_services, [arrival(target, body)])
    receipts += await accept_builds(own_services, target, COMMITS[10:])
    await drain(own_services)
    await assert_recorded_once(own_services, receipts, COMMITS)
    assert await statuses(own_services, [poison]) == ["FAILED"]
    message, error = await message_of(own_services, poison)
    assert told in message
    assert error is None, "nothing of ours broke"


async def test_a_parser_that_breaks_costs_only_the_delivery_it_broke_on(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    poison = receipts.pop(7)
    await corrupt(own_services, poison)
    await drain(own_services)
    await assert_recorded_once(own_services, receipts, COMMITS[:7] + COMMITS[8:])
    message, error = await message_of(own_services, poison)
    assert message == "It could not be processed; an operator can replay it."
    assert error
    assert "AttributeError" in error, "the operator sees what broke"
    async with own_services.database.read() as reader:
        [dead] = await dead_letters(reader, 10)
    assert (dead.id, dead.status) == (poison, "FAILED")
    assert await count(own_services, "SELECT count(*) FROM inbox") == 0


async def test_a_command_that_refuses_names_its_reason_and_spares_the_other_flows(own_services: Services) -> None:
    gone, healthy = await make_target(own_services), await make_target(own_services)
    async with own_services.database.transaction() as tx:
        await tx.execute("UPDATE flows SET archived_at = now() WHERE id = $1", gone.flow_id)
    refused = await accept_builds(own_services, gone, COMMITS[:3])
    receipts = await accept_builds(own_services, healthy, COMMITS[3:6])
    await drain(own_services)
    await assert_recorded_once(own_services, receipts, COMMITS[3:6])
    assert await statuses(own_services, refused) == ["FAILED"] * 3
    assert (await message_of(own_services, refused[0]))[0] == f"There is no flow {gone.flow_id}."


async def test_replayed_dead_letters_are_recorded_once(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS[:4])
    for receipt in receipts:
        await corrupt(own_services, receipt)
    await drain(own_services)
    assert await statuses(own_services, receipts) == ["FAILED"] * 4
    await mend(own_services)
    assert await replayed(own_services, target, receipts[:1]) == 1
    assert await statuses(own_services, receipts) == ["PENDING", *["FAILED"] * 3]
    assert await replayed(own_services, target, receipts[:1]) == 0, "it is no dead letter any more"
    assert await replayed(own_services, target, None) == 3
    await drain(own_services)
    await assert_recorded_once(own_services, receipts, COMMITS[:4])
    assert await replayed(own_services, target, None) == 0


async def test_a_replay_that_fails_again_is_a_dead_letter_again(own_services: Services) -> None:
    target = await make_target(own_services)
    [poison] = await accept_all(own_services, [arrival(target, json.dumps({"action": "completed"}).encode())])
    for _ in range(2):
        await drain(own_services)
        assert await statuses(own_services, [poison]) == ["FAILED"]
        assert await replayed(own_services, target, [poison]) == 1
    assert await count(own_services, "SELECT count(*) FROM inbox") == 1


async def test_a_replay_stays_within_its_organisation(own_services: Services) -> None:
    ours, theirs = await make_target(own_services), await make_target(own_services, "others")
    dead = [
        (await accept_all(own_services, [arrival(target, b"neither JSON nor anything else")]))[0]
        for target in (ours, theirs)
    ]
    await drain(own_services)
    assert await replayed(own_services, ours, None) == 1
    assert await replayed(own_services, ours, dead[1:]) == 0
    assert await statuses(own_services, dead) == ["PENDING", "FAILED"]
    async with own_services.database.transaction() as tx:
        assert await replay(tx, None, None) == 1


async def replayed(services: Services, target: Target, receipts: list[UUID] | None) -> int:
    async with services.database.transaction() as tx:
        return await replay(tx, target.tenant, receipts)


async def test_a_delivery_whose_bytes_are_gone_does_not_stop_the_others(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS[:3])
    async with own_services.database.transaction() as tx:
        await tx.execute("DELETE FROM inbox_bodies WHERE id = $1", receipts[1])
    await drain(own_services)
    await assert_recorded_once(own_services, [receipts[0], receipts[2]], [COMMITS[0], COMMITS[2]])
    assert await statuses(own_services, receipts[1:2]) == ["FAILED"]


_COPY = """
INSERT INTO deliveries (id, org_id, config_id, source, delivery_id, identity, event, body_id, body_sha256, status,
                        duplicates, received_at)
SELECT $2, org_id, config_id, source, 'again', 'again', event, body_id, body_sha256, 'PENDING', 0, now()
FROM deliveries WHERE id = $1
"""
FORGED = {
    "body": "UPDATE inbox_bodies SET body = convert_to(replace(encode(body, 'escape'), 'success', 'failure'), 'UTF8')",
    "body and hash": "UPDATE inbox_bodies SET body = 'x'; UPDATE deliveries SET body_sha256 = sha256('x')",
    "event": "UPDATE deliveries SET event = 'check_run'",
    "source": "UPDATE deliveries SET source = 'GENERIC'",
    "config": "UPDATE deliveries d SET config_id = c.id FROM webhook_configs c WHERE c.id <> d.config_id",
    "organisation": "UPDATE deliveries d SET org_id = c.org_id FROM webhook_configs c WHERE c.id <> d.config_id",
    "identity": "UPDATE deliveries SET identity = 'another'",
    "headers": """UPDATE inbox_bodies SET headers = '{"content-type": "text/plain"}'""",
    "code": "UPDATE inbox_bodies SET mac = ''",
    "time": "UPDATE inbox_bodies SET accepted_at = accepted_at + interval '1 day'",
}


@pytest.mark.parametrize("sql", FORGED.values(), ids=FORGED)
async def test_a_delivery_that_was_changed_in_the_database_is_a_dead_letter(own_services: Services, sql: str) -> None:
    target, _ = await make_target(own_services), await make_target(own_services, "others")
    [forged] = await accept_builds(own_services, target, COMMITS[:1])
    async with own_services.database.transaction() as tx:
        for statement in sql.split("; "):
            await tx.execute(statement)
    await drain(own_services)
    assert await message_of(own_services, forged) == (NOT_AUTHENTIC, None)
    async with own_services.database.transaction() as tx:
        assert await replay(tx, None, [forged]) == 1
    await drain(own_services)
    assert await message_of(own_services, forged) == (NOT_AUTHENTIC, None), "also after a replay"
    assert await count(own_services, "SELECT count(*) FROM attestations") == 0


async def test_a_delivery_that_somebody_inserts_is_a_dead_letter(own_services: Services) -> None:
    target = await make_target(own_services)
    [genuine] = await accept_builds(own_services, target, COMMITS[:1])
    await drain(own_services)
    forged = uuid4()
    async with own_services.database.transaction() as tx:
        await tx.execute(_COPY, genuine, forged)
        await tx.execute(
            "INSERT INTO inbox (delivery_id, org_id, due_at, attempts) VALUES ($1, $2, $3, 0)",
            forged,
            target.tenant.org_id,
            tx.now,
        )
    await drain(own_services)
    assert await message_of(own_services, forged) == (NOT_AUTHENTIC, None)


async def test_a_delivery_that_is_queued_again_counts_as_old_as_it_is(own_services: Services) -> None:
    """Whoever owns the database may repeat what was true, and not make it news."""
    target = await make_target(own_services)
    [first] = await accept_builds(own_services, target, COMMITS[:1])
    async with own_services.database.transaction() as tx:
        await tx.execute("UPDATE deliveries SET received_at = received_at + interval '1 day'")
    async with own_services.database.read() as reader:
        [delivery] = await load(reader, own_services.database.authenticator, [first])
        accepted_at = await reader.value("SELECT accepted_at FROM inbox_bodies")
    assert (delivery.authentic, delivery.received_at) == (True, accepted_at)
