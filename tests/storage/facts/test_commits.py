"""Finding a flow's trail by its commit, whole or abbreviated as some senders have it."""

from hashlib import sha1
from uuid import UUID, uuid4

import pytest

from domain.facts.flows import Flow
from domain.facts.trails import NewTrail
from storage.facts.commands.trails import open_trails
from storage.facts.queries.trails import newest_trails_of_commits
from storage.services import Services
from tests.storage.world import World

WHOLE = 40


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


def commit() -> str:
    return sha1(uuid4().bytes).hexdigest()


async def trail(world: World, flow: Flow, sha: str) -> UUID:
    new = NewTrail(flow.id, world.actor, sha, "main", "Ada", "ada@example.org")
    async with world.services.database.transaction() as tx:
        [made] = await open_trails(tx, world.tenant, [new])
    return made.id


async def found(world: World, *wanted: tuple[Flow, str]) -> dict[tuple[UUID, str], UUID]:
    async with world.services.database.read() as reader:
        return await newest_trails_of_commits(reader, world.tenant, [(flow.id, sha) for flow, sha in wanted])


async def test_a_commit_is_found_by_any_abbreviation_of_seven_digits_or_more(world: World) -> None:
    flow, sha = await world.flow(), commit()
    made = await trail(world, flow, sha)
    lengths = range(7, WHOLE + 1)
    by_length = await found(world, *((flow, sha[:length]) for length in lengths))
    assert by_length == {(flow.id, sha[:length]): made for length in lengths}


@pytest.mark.parametrize("length", [0, 1, 6])
async def test_what_is_shorter_stands_for_itself_alone(world: World, length: int) -> None:
    flow, sha = await world.flow(), commit()
    await trail(world, flow, sha)
    assert await found(world, (flow, sha[:length])) == {}
    if length:
        short = await trail(world, flow, sha[:length])
        assert await found(world, (flow, sha[:length])) == {(flow.id, sha[:length]): short}


async def test_the_neighbours_of_an_abbreviation_are_not_meant(world: World) -> None:
    """Just below the first and just above the last commit that it may stand for."""
    flow = await world.flow()
    for sha in ("abcdef9" + "f" * 33, "abcdefb" + "0" * 33, "abcdef", "bcdefa" + "0" * 34):
        await trail(world, flow, sha)
    assert await found(world, (flow, "abcdefa")) == {}
    first = await trail(world, flow, "abcdefa" + "0" * 33)
    assert await found(world, (flow, "abcdefa")) == {(flow.id, "abcdefa"): first}
    last = await trail(world, flow, "abcdefa" + "f" * 33)
    assert await found(world, (flow, "abcdefa")) == {(flow.id, "abcdefa"): last}


async def test_of_several_trails_the_newest_wins(world: World) -> None:
    flow, sha = await world.flow(), commit()
    twin = sha[:12] + commit()[12:]
    for name in (sha, sha, twin):
        newest = await trail(world, flow, name)
        assert await found(world, (flow, sha[:12])) == {(flow.id, sha[:12]): newest}
    last_of_sha = await trail(world, flow, sha)
    by_commit = await found(world, (flow, sha), (flow, twin), (flow, sha[:12]))
    assert by_commit == {(flow.id, sha): last_of_sha, (flow.id, twin): newest, (flow.id, sha[:12]): last_of_sha}


async def test_a_trail_of_the_abbreviation_itself_is_found_by_it_and_not_by_the_whole_commit(world: World) -> None:
    flow, sha = await world.flow(), commit()
    short = await trail(world, flow, sha[:8])
    assert await found(world, (flow, sha[:8]), (flow, sha[:7])) == {
        (flow.id, sha[:8]): short,
        (flow.id, sha[:7]): short,
    }
    assert await found(world, (flow, sha), (flow, sha[:9])) == {}


async def test_other_flows_and_organisations_have_their_own(world: World) -> None:
    mine, other, sha = await world.flow(), await world.flow(), commit()
    elsewhere = await trail(world, other, sha)
    stranger = await World.founded(world.services)
    theirs = await stranger.flow()
    await trail(stranger, theirs, sha)
    assert await found(world, (mine, sha), (mine, sha[:7]), (theirs, sha), (theirs, sha[:7])) == {}
    assert await found(world, (mine, sha[:7]), (other, sha[:7])) == {(other.id, sha[:7]): elsewhere}


async def test_a_whole_commit_is_exact(world: World) -> None:
    """SHA-256 repositories have commits of 64 digits, whose first 40 are nobody's commit."""
    flow, sha = await world.flow(), commit()
    await trail(world, flow, sha + "0" * 24)
    assert await found(world, (flow, sha)) == {}
    whole = await trail(world, flow, sha)
    assert await found(world, (flow, sha)) == {(flow.id, sha): whole}


@pytest.mark.parametrize(
    "pattern", ["%", "_______", "{}%", "{}_", "{}*", "{}\\", "{}' OR '1'='1", "{}g", "{} ", "{}\n", "", "[0-9a-f]{{7}}"]
)
async def test_a_pattern_is_a_text_like_any_other(world: World, pattern: str) -> None:
    flow, sha = await world.flow(), commit()
    await trail(world, flow, sha)
    text = pattern.format(sha[:7])
    assert await found(world, (flow, text)) == {}
    named = await trail(world, flow, text or "unknown")
    assert await found(world, (flow, text or "unknown")) == {(flow.id, text or "unknown"): named}


async def test_capital_letters_abbreviate_nothing(world: World) -> None:
    """Senders' commits are in lower case by the time they come here."""
    flow = await world.flow()
    await trail(world, flow, "abcdef1" + "0" * 33)
    assert await found(world, (flow, "ABCDEF1")) == {}


async def test_nothing_wanted_is_nothing_found(world: World) -> None:
    assert await found(world) == {}
