"""Deliveries that cannot be processed fail alone, are kept, and come back when their cause is mended."""

import json
from uuid import UUID

import pytest

from storage.inbox.commands import replay
from storage.inbox.queries import dead_letters
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
from workers.drain import drain

COMMITS = [commit_of("poison", n) for n in range(20)]


async def corrupt(services: Services, receipt: UUID) -> None:
    """Stored headers that no parser expects: it breaks on them in its own way."""
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE inbox_bodies SET headers = '[]' WHERE id = $1", receipt)


async def mend(services: Services) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE inbox_bodies SET headers = '{}' WHERE headers = '[]'")


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
