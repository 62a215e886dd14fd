"""In-app notifications: numbers without gaps in the order of the commits, and who has read what."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import NotFound
from domain.notifications.inapp import Notification
from domain.notifications.triggers import Severity
from storage.notifications.commands.inapp import NewNotification, mark_all_read, mark_read, notify
from storage.notifications.queries.inapp import (
    count_unread,
    get_notification,
    list_notifications,
    newest_numbers,
    notifications_behind,
)
from storage.paging import Page, Window
from storage.services import Services
from tests.storage.world import World

Filters = dict[str, Any]

ALL: Filters = {}
UNREAD, READ = {"is_read": False}, {"is_read": True}


async def listed(
    world: World, filters: Filters = ALL, who: UUID | None = None, size: int = 500, page: int = 0
) -> Page[Notification]:
    async with world.services.database.read() as reader:
        return await list_notifications(
            reader, world.tenant, who or world.actor.principal_id, Window(size, page), **filters
        )


async def unread(world: World, who: UUID | None = None) -> int:
    async with world.services.database.read() as reader:
        return await count_unread(reader, world.tenant, who or world.actor.principal_id)


async def read(world: World, notification: Notification, who: UUID | None = None) -> Notification:
    async with world.services.database.transaction() as tx:
        return await mark_read(tx, world.tenant, who or world.actor.principal_id, notification.id)


async def read_all(world: World, who: UUID | None = None) -> None:
    async with world.services.database.transaction() as tx:
        await mark_all_read(tx, world.tenant, who or world.actor.principal_id)


async def marks(world: World) -> tuple[int, int]:
    """How far the reader has read everything, and how many marks stand behind that."""
    async with world.services.database.read() as reader:
        read_to = await reader.value("SELECT read_to FROM notification_readers WHERE org_id = $1", world.tenant.org_id)
        count = await reader.value("SELECT count(*) FROM notification_reads WHERE org_id = $1", world.tenant.org_id)
    return read_to, count


async def remove_up_to(world: World, n: int) -> None:
    """As retention does it."""
    async with world.services.database.transaction() as tx:
        await tx.execute("DELETE FROM notifications WHERE org_id = $1 AND n <= $2", world.tenant.org_id, n)
        await tx.execute("UPDATE notification_streams SET first_n = $2 + 1 WHERE org_id = $1", world.tenant.org_id, n)


async def test_numbers_follow_the_order_given(services: Services) -> None:
    world = await World.founded(services)
    assert await world.notify("a", "b", severity=Severity.CRITICAL) == 2
    assert await world.notify("c", entity_type="TRAIL", entity_id=(trail := uuid4())) == 1
    newest, *rest = (await listed(world)).items
    assert [(one.n, one.title) for one in rest] == [(2, "b"), (1, "a")]
    assert (newest.n, newest.title, newest.message, newest.severity) == (3, "c", "c, in full", Severity.INFO)
    assert (newest.entity_type, newest.entity_id, newest.is_read) == ("TRAIL", trail, False)
    assert rest[0].severity is Severity.CRITICAL


async def test_every_organisation_counts_for_itself(services: Services) -> None:
    one, other = await World.founded(services), await World.founded(services)
    await one.notify("a", "b")
    await other.notify("c")
    assert [n.n for n in (await listed(other)).items] == [1]
    async with services.database.read() as reader:
        assert await newest_numbers(reader, [one.tenant.org_id, other.tenant.org_id, uuid4()]) == {
            one.tenant.org_id: 2,
            other.tenant.org_id: 1,
        }
        assert await notifications_behind(reader, other.tenant, other.actor.principal_id, 1, 100) == []
        [first] = (await listed(one, size=1)).items
        with pytest.raises(NotFound):
            await get_notification(reader, other.tenant, other.actor.principal_id, first.id)
    with pytest.raises(NotFound):
        await read(other, first)
    assert await unread(one) == 2


async def test_a_message_becomes_one_notification_however_often_it_is_settled(services: Services) -> None:
    world = await World.founded(services)
    message = uuid4()
    assert await world.notify("a", message_id=message) == 1
    assert await world.notify("again", message_id=message) == 0
    assert await world.notify("twice", "in one", message_id=uuid4()) == 1
    assert [(n.n, n.title) for n in (await listed(world)).items] == [(2, "twice"), (1, "a")]
    settled = await asyncio.gather(*(world.notify("raced", message_id=message_2) for message_2 in [uuid4()] * 6))
    assert sorted(settled) == [0, 0, 0, 0, 0, 1]
    assert [n.n for n in (await listed(world)).items] == [3, 2, 1]


async def test_what_is_known_among_new_ones_uses_no_number(services: Services) -> None:
    world = await World.founded(services)
    known, fresh = uuid4(), uuid4()
    await world.notify("known", message_id=known)
    new = [NewNotification(str(n), "", Severity.INFO, message_id=id_) for n, id_ in enumerate([known, fresh, None])]
    async with services.database.transaction() as tx:
        assert await notify(tx, world.tenant, new) == 2
    assert [(n.n, n.title) for n in (await listed(world)).items] == [(3, "2"), (2, "1"), (1, "known")]


async def test_nothing_to_tell_opens_no_stream(services: Services) -> None:
    world = await World.founded(services)
    assert await world.notify() == 0
    async with services.database.read() as reader:
        assert await newest_numbers(reader, [world.tenant.org_id]) == {}
    assert await unread(world) == 0
    await read_all(world)
    assert (await listed(world, UNREAD)).total == 0


async def test_long_titles_and_entity_types_are_cut(services: Services) -> None:
    world = await World.founded(services)
    await world.notify("ä" * 300, entity_type="x" * 101)
    [one] = (await listed(world)).items
    assert (one.title, one.entity_type) == ("ä" * 255, "x" * 100)


async def test_numbers_appear_in_the_order_of_the_commits(services: Services) -> None:
    """Whoever read up to a number never finds a smaller one afterwards: that is what streams resume by."""
    world = await World.founded(services)
    await world.notify("first")
    held, released = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with services.database.transaction() as tx:
            await notify(tx, world.tenant, [NewNotification("slow", "", Severity.INFO)])
            held.set()
            await released.wait()

    slower = asyncio.create_task(slow())
    await held.wait()
    faster = asyncio.create_task(world.notify("fast"))
    await asyncio.sleep(0.1)
    assert not faster.done()
    assert [n.n for n in (await listed(world)).items] == [1]
    released.set()
    await asyncio.gather(slower, faster)
    assert [n.title for n in (await listed(world)).items] == ["fast", "slow", "first"]


async def test_what_is_rolled_back_leaves_no_gap(services: Services) -> None:
    world = await World.founded(services)
    async with services.database.transaction(dry_run=True) as tx:
        await notify(tx, world.tenant, [NewNotification("never", "", Severity.INFO)])
    await world.notify("real")
    assert [(n.n, n.title) for n in (await listed(world)).items] == [(1, "real")]


async def test_many_writers_leave_no_gap_and_no_double(services: Services) -> None:
    world = await World.founded(services)
    await asyncio.gather(*(world.notify(*(f"{writer}.{n}" for n in range(3))) for writer in range(20)))
    found = (await listed(world)).items
    assert [n.n for n in found] == list(range(60, 0, -1))
    titles = [n.title for n in reversed(found)]
    assert all(titles[at].endswith(".0") and titles[at + 2][:-2] == titles[at][:-2] for at in range(0, 60, 3))


async def test_reading_is_each_persons_own(services: Services) -> None:
    world = await World.founded(services)
    ada, bob = uuid4(), uuid4()
    await world.notify("a", "b")
    newest, oldest = (await listed(world)).items
    assert (await read(world, newest, ada)).is_read
    assert [n.is_read for n in (await listed(world, who=ada)).items] == [True, False]
    assert [n.is_read for n in (await listed(world, who=bob)).items] == [False, False]
    assert (await unread(world, ada), await unread(world, bob)) == (1, 2)
    await read_all(world, bob)
    assert (await unread(world, ada), await unread(world, bob)) == (1, 0)
    assert [n.id for n in (await listed(world, UNREAD, ada)).items] == [oldest.id]


async def test_reading_twice_is_reading_once(services: Services) -> None:
    world = await World.founded(services)
    await world.notify("a", "b", "c")
    newest, middle, oldest = (await listed(world)).items
    for one in (middle, middle, oldest, oldest, middle):
        assert (await read(world, one)).is_read
    assert await unread(world) == 1
    answers = await asyncio.gather(*(read(world, newest) for _ in range(6)))
    assert all(answer.is_read for answer in answers)
    assert await unread(world) == 0


async def test_runs_without_gaps_are_folded(services: Services) -> None:
    world = await World.founded(services)
    await world.notify(*"abcdef")
    first, second, third, fourth, _, sixth = reversed((await listed(world)).items)
    for one in (second, third, sixth):
        await read(world, one)
    assert await marks(world) == (0, 3)
    await read(world, first)
    assert await marks(world) == (3, 1)
    await read(world, fourth)
    assert await marks(world) == (4, 1)
    assert await unread(world) == 1
    await read_all(world)
    assert await marks(world) == (6, 0)
    await world.notify("g")
    assert await unread(world) == 1


async def test_what_retention_removed_is_neither_read_nor_unread(services: Services) -> None:
    world = await World.founded(services)
    await world.notify(*"abcdef")
    sixth, fifth, *_, second, _first = (await listed(world)).items
    await read(world, second)
    await read(world, sixth)
    await remove_up_to(world, 4)
    assert await unread(world) == 1
    assert ((await listed(world)).total, (await listed(world, READ)).total) == (2, 1)
    with pytest.raises(NotFound):
        await read(world, second)
    await read(world, fifth)
    assert await marks(world) == (6, 0)
    assert await unread(world) == 0
    await remove_up_to(world, 6)
    assert (await unread(world), (await listed(world)).total) == (0, 0)


@pytest.mark.parametrize("size", [1, 2, 5])
async def test_pages_and_cursors_lead_through_every_filter(services: Services, size: int) -> None:
    world = await World.founded(services)
    await world.notify(*"abcde", severity=Severity.WARNING)
    await world.notify(*"fghij")
    for one in (await listed(world)).items[::3]:
        await read(world, one)
    for filters in (ALL, READ, UNREAD, {"is_read": False, "severity": Severity.WARNING}, READ):
        everything = await listed(world, filters)
        assert everything.total == len(everything.items) > 0
        assert everything.next is None
        found, window = [], Window(size)
        while True:
            async with services.database.read() as reader:
                page = await list_notifications(reader, world.tenant, world.actor.principal_id, window, **filters)
            assert page.total == everything.total
            found += page.items
            if page.next is None:
                break
            window = Window(size, after=page.next)
        assert found == everything.items
        numbered = [(await listed(world, filters, size=size, page=page)).items for page in range(page.pages)]
        assert [one for rows in numbered for one in rows] == found


async def test_streams_go_on_behind_a_number(services: Services) -> None:
    world = await World.founded(services)
    await world.notify(*"abcde")
    [last] = (await listed(world, size=1)).items
    await read(world, last)
    async with services.database.read() as reader:
        found = [
            await notifications_behind(reader, world.tenant, world.actor.principal_id, n, 2)
            for n in (0, 2, 4, 5, 2**63 - 1)
        ]
    assert [[one.n for one in rows] for rows in found] == [[1, 2], [3, 4], [5], [], []]
    assert found[2][0].is_read


@dataclass
class Model:
    """What a person's notifications are, written as simply as can be."""

    severities: dict[int, Severity] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)
    last: int = 0

    def unread(self) -> list[int]:
        return sorted(self.severities.keys() - self.read, reverse=True)


@pytest.mark.parametrize("seed", range(6))
async def test_counts_and_filters_are_right_under_any_interleaving(services: Services, seed: int) -> None:
    dice = random.Random(seed)
    world, model = await World.founded(services), Model()
    ids: dict[int, Notification] = {}
    for _ in range(70):
        match dice.choices(["notify", "read", "read all", "remove"], [4, 9, 0.4, 0.6])[0]:
            case "notify":
                severity = dice.choice(list(Severity))
                await world.notify(*"xyz"[: dice.randint(1, 3)], severity=severity)
                for one in (await listed(world)).items:
                    ids.setdefault(one.n, one)
                model.severities |= {n: severity for n in ids if n > model.last}
                model.last = max(ids)
            case "read" if model.severities:
                n = dice.choice(list(model.severities))
                await read(world, ids[n])
                model.read.add(n)
            case "read all":
                await read_all(world)
                model.read |= model.severities.keys()
            case "remove" if model.severities:
                n = dice.choice(list(model.severities))
                await remove_up_to(world, n)
                model.severities = {other: kind for other, kind in model.severities.items() if other > n}
        assert await unread(world) == len(model.unread())
        for filters, expected in expectations(model):
            page = await listed(world, filters)
            assert ([one.n for one in page.items], page.total) == (expected, len(expected))


def expectations(model: Model) -> list[tuple[Filters, list[int]]]:
    everything = sorted(model.severities, reverse=True)
    read_ones = [n for n in everything if n in model.read]
    critical = [n for n in model.unread() if model.severities[n] is Severity.CRITICAL]
    return [
        (ALL, everything),
        (UNREAD, model.unread()),
        (READ, read_ones),
        ({"is_read": False, "severity": Severity.CRITICAL}, critical),
    ]


async def test_readers_that_race_lose_nothing(services: Services) -> None:
    world = await World.founded(services)
    await world.notify(*(str(n) for n in range(20)))
    everything = (await listed(world)).items
    shuffled = random.Random(0).sample(everything, 20)
    await asyncio.gather(*(read(world, one) for one in shuffled[:15]), world.notify("late"))
    assert await unread(world) == 6
    await asyncio.gather(*(read(world, one) for one in shuffled), read_all(world), read_all(world))
    assert await unread(world) == 0
    assert await marks(world) == (21, 0)
