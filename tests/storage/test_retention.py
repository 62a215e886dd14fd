"""Retention: old months go whole, what is needed stays, and a second round changes nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.notifications.triggers import Severity
from storage import retention
from storage.ids import first_id_at
from storage.inbox.commands import Done, claim, finish
from storage.notifications.commands.inapp import NewNotification, mark_all_read, mark_read, notify
from storage.notifications.queries.inapp import count_unread
from storage.outbox.commands import NewMessage, destination_for, enqueue
from storage.partitions import PARTITIONED, ensure_partitions, partitions
from storage.retention import ATTEMPTS, BODIES, MESSAGES, Kept, remove_notifications, remove_older
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World

AGE = timedelta(days=90)
LATER = timedelta(days=200)
"""By then the months that a fresh database has are all over, and older than AGE."""


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def value(world: World, sql: str, *args: object) -> object:
    async with world.services.database.read() as reader:
        return await reader.value(sql, *args)


async def months_of(world: World, table: str) -> list[str]:
    async with world.services.database.read() as reader:
        return [month.name for month in await partitions(reader, table)]


async def received(world: World, *names: str, settled: bool = True) -> list[UUID]:
    """Deliveries through the real inbox; the answer is their receipts."""
    config = await world.config(await world.flow())
    receipts = await world.deliver(*(world.arrival(config, name) for name in names))
    found = [receipt.id for receipt in receipts if receipt]
    if settled:
        await settle(world, found)
    return found


async def settle(world: World, receipts: Sequence[UUID]) -> None:
    async with world.services.database.transaction() as tx:
        claimed = await claim(tx, claim_id := tx.new_id(), 1000, timedelta(minutes=1))
        ours = [one for one in claimed if one.id in receipts]
        await finish(tx, claim_id, [Done(one.id, "push", "kept") for one in ours])


async def sent(world: World, count: int = 1, *, settled: bool = True) -> list[UUID]:
    """Messages through the real outbox, with an attempt each."""
    async with world.services.database.transaction() as tx:
        destination = await destination_for(
            tx, world.tenant, "WEBHOOK", "https://receiver.example/x", "receiver.example"
        )
        new = [NewMessage(destination, "WEBHOOK", "ATTESTATION_FAILED", f"s{n}", {}) for n in range(count)]
        ids = await enqueue(tx, world.tenant, new)
        for message_id in ids:
            await tx.execute(
                "INSERT INTO attempts (id, org_id, message_id, outcome, duration_ms, started_at) "
                "VALUES ($1, $2, $3, 'SENT', 1, $4)",
                tx.new_id(),
                world.tenant.org_id,
                message_id,
                tx.now,
            )
        if settled:
            await tx.execute("DELETE FROM outbox WHERE message_id = ANY($1::uuid[])", ids)
    return ids


async def remove(world: World, kept: Kept, ahead: timedelta = LATER) -> None:
    await remove_older(later(world.services, ahead).database, kept, AGE)


async def test_old_months_go_and_their_rows_with_them(world: World) -> None:
    receipts = await received(world, "a", "b")
    before = await months_of(world, "inbox_bodies")
    await remove(world, BODIES)
    assert len(before) >= 4
    assert set(await months_of(world, "inbox_bodies")) < set(before)
    assert await value(world, "SELECT count(*) FROM inbox_bodies") == 0
    assert await value(world, "SELECT count(*) FROM deliveries WHERE id = ANY($1::uuid[])", receipts) == 2


async def test_a_month_goes_when_its_last_day_is_old_enough(world: World) -> None:
    async with world.services.database.read() as reader:
        first = (await partitions(reader, "messages"))[0]
    for kept in (BODIES, ATTEMPTS, MESSAGES):
        old_enough = first.after + AGE - world.services.clock.now()
        await remove(world, kept, old_enough - timedelta(minutes=1))
        names = await months_of(world, kept.table)
        assert len(names) >= 4, "a minute too early"
        await remove(world, kept, old_enough + timedelta(minutes=1))
        assert await months_of(world, kept.table) == names[1:]


async def test_nothing_else_is_touched(world: World) -> None:
    await received(world, "a")
    others = [table for table in PARTITIONED if table != "inbox_bodies"]
    before = [await months_of(world, table) for table in others]
    events = await value(world, "SELECT count(*) FROM audit_events")
    for _ in range(2):
        await remove(world, BODIES)
    assert [await months_of(world, table) for table in others] == before
    assert await value(world, "SELECT count(*) FROM audit_events") == events


async def test_a_month_with_a_delivery_that_waits_stays(world: World) -> None:
    [done], [waiting] = await received(world, "done"), await received(world, "waiting", settled=False)
    before = await months_of(world, "inbox_bodies")
    await remove(world, BODIES)
    this_month = f"inbox_bodies_p{world.services.clock.now():%Y%m}"
    assert len(before) - 1 > len(after := await months_of(world, "inbox_bodies"))
    assert this_month in after
    assert await value(world, "SELECT count(*) FROM inbox_bodies WHERE id = ANY($1::uuid[])", [done, waiting]) == 2
    await settle(world, [waiting])
    await remove(world, BODIES)
    assert this_month not in await months_of(world, "inbox_bodies")


async def test_a_month_with_a_message_that_waits_stays_with_its_attempts(world: World) -> None:
    await sent(world, 3)
    [waiting] = await sent(world, settled=False)
    for kept in (ATTEMPTS, MESSAGES):
        await remove(world, kept)
    assert await value(world, "SELECT count(*) FROM messages") == 4
    assert await value(world, "SELECT count(*) FROM attempts") == 4
    async with world.services.database.transaction() as tx:
        await tx.execute("DELETE FROM outbox WHERE message_id = $1", waiting)
    for kept in (ATTEMPTS, MESSAGES):
        await remove(world, kept)
    assert await value(world, "SELECT count(*) FROM messages") == 0
    assert await value(world, "SELECT count(*) FROM attempts") == 0


async def past(world: World, months: int) -> datetime:
    """The first moment of a month long ago, for which there is a partition now."""
    moment = (world.services.clock.now() - timedelta(days=31 * months)).replace(day=1)
    database = later(world.services, moment - world.services.clock.now()).database
    async with database.transaction() as tx:
        await ensure_partitions(tx)
    return moment


async def put(world: World, table: str, moment: datetime, count: int) -> None:
    """Rows as they were made at that time."""
    first = first_id_at(moment).int
    rows = [UUID(int=first + n) for n in range(count)]
    columns, values = {
        "inbox_bodies": ("id, headers, body, accepted_at, mac", "id, '{}', '', now(), ''"),
        "messages": (
            "id, org_id, destination_id, channel, event, subject, payload, status, attempts, created_at",
            "id, $2, $2, 'WEBHOOK', 'E', 's', '{}', 'SENT', 1, now()",
        ),
        "attempts": (
            "id, org_id, message_id, outcome, duration_ms, started_at",
            "id, $2, $2, 'SENT', 1, now()",
        ),
    }[table]
    async with world.services.database.transaction() as tx:
        await tx.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM unnest($1::uuid[]) AS u(id) "
            "WHERE $2::uuid IS NOT NULL",
            rows,
            world.tenant.org_id,
        )


@pytest.mark.parametrize("kept", [BODIES, ATTEMPTS, MESSAGES], ids=lambda kept: kept.table)
async def test_partitions_of_the_past_go_and_those_of_today_stay(world: World, kept: Kept) -> None:
    today = await months_of(world, kept.table)
    moment = await past(world, 9)
    await put(world, kept.table, moment + timedelta(days=3), 20)
    assert len(await months_of(world, kept.table)) == len(today) + 4
    assert await value(world, f"SELECT count(*) FROM {kept.table}_p{moment:%Y%m}") == 20
    await remove(world, kept, timedelta())
    assert await months_of(world, kept.table) == today


@pytest.mark.parametrize("kept", [BODIES, ATTEMPTS, MESSAGES], ids=lambda kept: kept.table)
async def test_what_lies_outside_of_all_months_goes_in_batches(
    world: World, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    now = world.services.clock.now()
    await put(world, kept.table, datetime(2019, 5, 17, tzinfo=UTC), 20)
    await put(world, kept.table, now - timedelta(days=80), 3)
    await put(world, kept.table, datetime(2222, 1, 1, tzinfo=UTC), 2)
    assert await value(world, f"SELECT count(*) FROM {kept.table}_rest") == 25
    await remove(world, kept, timedelta())
    assert await value(world, f"SELECT count(*) FROM {kept.table}_rest") == 5


async def test_what_waits_outside_of_all_months_stays(world: World) -> None:
    for kept in (BODIES, MESSAGES):
        await put(world, kept.table, datetime(2019, 5, 17, tzinfo=UTC), 3)
    first = first_id_at(datetime(2019, 5, 17, tzinfo=UTC))
    [receipt] = await received(world, "waiting", settled=False)
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE deliveries SET body_id = $2 WHERE id = $1", receipt, first)
        await tx.execute(
            "INSERT INTO outbox (message_id, org_id, destination_id, subject, due_at, attempts) "
            "VALUES ($1, $2, $2, 's', now(), 0)",
            first,
            world.tenant.org_id,
        )
    for kept in (BODIES, MESSAGES):
        await remove(world, kept, timedelta())
        assert await value(world, f"SELECT min(id::text) FROM {kept.table}_rest") == str(first)
        assert await value(world, f"SELECT count(*) FROM {kept.table}_rest") == 1


async def test_a_month_that_is_being_read_waits_for_the_next_time(world: World) -> None:
    """Half a second of everybody's patience is the most that a removal may cost."""
    await sent(world)
    before = await months_of(world, "messages")
    async with world.services.database.snapshot() as reading:
        await reading.value("SELECT count(*) FROM messages")
        await asyncio.wait_for(remove(world, MESSAGES), 20)
        assert await months_of(world, "messages") == before
        assert await reading.value("SELECT count(*) FROM messages") == 1
    await remove(world, MESSAGES)
    assert await months_of(world, "messages") != before


async def test_a_message_that_is_replayed_at_the_last_moment_keeps_its_month(world: World) -> None:
    [message] = await sent(world)
    async with world.services.database.transaction() as replaying:
        await replaying.execute("UPDATE messages SET status = 'PENDING' WHERE id = $1", message)
        await replaying.execute(
            "INSERT INTO outbox (message_id, org_id, destination_id, subject, due_at, attempts) "
            "SELECT id, org_id, destination_id, subject, now(), 0 FROM messages WHERE id = $1",
            message,
        )
        removing = asyncio.create_task(remove(world, MESSAGES))
        await asyncio.sleep(0.25)
    await removing
    assert await value(world, "SELECT count(*) FROM messages") == 1


async def test_two_workers_at_once_do_not_trip_over_each_other(world: World) -> None:
    for months in (6, 8, 10):
        await put(world, "attempts", await past(world, months), 50)
    today = f"attempts_p{world.services.clock.now():%Y%m}"
    await asyncio.gather(*(remove(world, ATTEMPTS, timedelta()) for _ in range(4)))
    await remove(world, ATTEMPTS, timedelta())
    assert await value(world, "SELECT count(*) FROM attempts") == 0
    assert today in await months_of(world, "attempts")


async def test_deliveries_go_on_while_months_go(world: World) -> None:
    await past(world, 12)

    async def go_on() -> int:
        return len([await received(world, f"d{n}") for n in range(20)])

    received_all, *_ = await asyncio.gather(go_on(), *(remove(world, BODIES, timedelta()) for _ in range(3)))
    assert received_all == 20
    assert await value(world, "SELECT count(*) FROM inbox_bodies") == 20


async def test_a_body_that_is_gone_can_come_again(world: World) -> None:
    """A copy of a dead letter brings its bytes along (storage/inbox); retention must not stand in its way."""
    config = await world.config(await world.flow())
    arrival = world.arrival(config, "dead")
    [receipt] = await world.deliver(arrival)
    assert receipt is not None
    async with world.services.database.transaction() as tx:
        await tx.execute("DELETE FROM inbox WHERE delivery_id = $1", receipt.id)
        await tx.execute("UPDATE deliveries SET status = 'FAILED' WHERE id = $1", receipt.id)
    await remove(world, BODIES)
    assert await value(world, "SELECT count(*) FROM inbox_bodies") == 0
    await world.deliver(arrival)
    await remove(world, BODIES)
    assert await value(world, "SELECT count(*) FROM inbox_bodies") == 1


async def notified(world: World, count: int, ahead: timedelta = timedelta()) -> None:
    async with later(world.services, ahead).database.transaction() as tx:
        await notify(tx, world.tenant, [NewNotification(f"n{n}", "", Severity.INFO) for n in range(count)])


async def stream(world: World) -> tuple[int, int, list[int]]:
    """Its first and last number, and those that exist."""
    async with world.services.database.read() as reader:
        row = await reader.row(
            "SELECT first_n, last_n FROM notification_streams WHERE org_id = $1", world.tenant.org_id
        )
        rows = await reader.rows("SELECT n FROM notifications WHERE org_id = $1 ORDER BY n", world.tenant.org_id)
    assert row is not None
    return row["first_n"], row["last_n"], [one["n"] for one in rows]


async def forget_notifications(world: World, ahead: timedelta = timedelta(days=100)) -> None:
    await remove_notifications(later(world.services, ahead).database, AGE)


async def unread(world: World, principal_id: UUID) -> int:
    async with world.services.database.read() as reader:
        return await count_unread(reader, world.tenant, principal_id)


@pytest.mark.parametrize("batch", [1, 4, 5, 1000])
async def test_old_notifications_go_from_the_beginning_of_the_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(retention, "BATCH", batch)
    await notified(world, 10)
    await notified(world, 3, timedelta(days=50))
    for _ in range(2):
        await forget_notifications(world)
        assert await stream(world) == (11, 13, [11, 12, 13])


async def test_an_empty_stream_goes_on_where_it_was(world: World) -> None:
    await notified(world, 5)
    for _ in range(2):
        await forget_notifications(world)
        assert await stream(world) == (6, 5, [])
    assert await unread(world, world.actor.principal_id) == 0
    await notified(world, 1)
    assert await stream(world) == (6, 6, [6])
    assert await unread(world, world.actor.principal_id) == 1


async def test_what_was_marked_as_read_goes_with_it(world: World) -> None:
    await notified(world, 6)
    await notified(world, 4, timedelta(days=50))
    reader_id, other = world.actor.principal_id, UUID(int=7)
    async with world.services.database.transaction() as tx:
        for n in (2, 5, 8):
            found = await tx.value("SELECT id FROM notifications WHERE org_id = $1 AND n = $2", world.tenant.org_id, n)
            await mark_read(tx, world.tenant, reader_id, found)
        await mark_all_read(tx, world.tenant, other)
    assert await unread(world, reader_id) == 7
    await forget_notifications(world)
    assert await stream(world) == (7, 10, [7, 8, 9, 10])
    assert await unread(world, reader_id) == 3
    assert await unread(world, other) == 0
    marks = await value(world, "SELECT array_agg(n) FROM notification_reads WHERE org_id = $1", world.tenant.org_id)
    assert marks == [8]


async def test_a_young_notification_keeps_what_stands_behind_it(world: World) -> None:
    """Numbers follow the commits, times the beginnings of their transactions: the two may cross by a moment."""
    await notified(world, 1, timedelta(days=50))
    await notified(world, 2)
    await forget_notifications(world)
    assert await stream(world) == (1, 3, [1, 2, 3])
    await forget_notifications(world, timedelta(days=141))
    assert await stream(world) == (4, 3, [])


async def test_each_organisation_has_its_own_beginning(world: World) -> None:
    other = await World.founded(world.services)
    await notified(world, 3)
    await notified(other, 2, timedelta(days=50))
    await forget_notifications(world)
    assert await stream(world) == (4, 3, [])
    assert await stream(other) == (1, 2, [1, 2])


async def test_notifications_come_while_old_ones_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    await notified(world, 40)
    soon = timedelta(days=100)
    await asyncio.gather(
        *(notified(world, 2, soon) for _ in range(5)), *(forget_notifications(world, soon) for _ in range(3))
    )
    assert await stream(world) == (41, 50, list(range(41, 51)))
