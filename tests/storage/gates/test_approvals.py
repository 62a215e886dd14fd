"""What SQL and the domain both say of approvals is the same; and the last decision of a trail is the newest."""

import random
from datetime import timedelta

import pytest

from domain.errors import Forbidden
from domain.facts.approvals import Resolution
from domain.gates.approvals import ApprovalRule, Decider, check_decider
from domain.identity.principals import NewPrincipal
from storage.facts.queries.trails import get_trail
from storage.gates.queries.approvals import list_approvals
from storage.gates.queries.approvers import MAX_APPROVERS, possible_approvers
from storage.identity.commands.principals import create_principal
from storage.paging import Window
from storage.services import Services
from tests.storage.gates.deciding import ask, decide, person
from tests.storage.shifted import later
from tests.storage.world import World

NAMES = ("ada", "bob", "eve", "root", "cyd")
ROLES = ("admin", "member")
GROUPS = ("cab", "sre", "admin")


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


def some_rule(chance: random.Random) -> ApprovalRule:
    def some(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(chance.sample(names, k=chance.choice((0, 0, 1, 2))))

    flags = {name: chance.random() < 0.3 for name in ("allow_requester", "allow_author")}
    return ApprovalRule(tuple(map(str.upper, some(NAMES))), some(ROLES), some(GROUPS), **flags)


def may(approval: object, decider: Decider) -> bool:
    try:
        check_decider(approval, decider)  # type: ignore[arg-type]
    except Forbidden:
        return False
    return True


async def test_the_list_of_what_somebody_may_decide_follows_the_rule(world: World) -> None:
    chance = random.Random(12)
    trail = await world.trail(await world.flow())  # by Ada, who is called ada@example.org, too
    approvals = [await ask(world, trail.id, some_rule(chance)) for _ in range(60)]
    people = [person(name, chance.choice(ROLES), chance.sample(GROUPS, k=chance.randint(0, 2))) for name in NAMES]
    await decide(world, next(one for one in approvals if may(one, people[1])), people[1])
    counts = set()
    for who in people:
        async with world.services.database.read() as reader:
            page = await list_approvals(reader, world.tenant, Window(100), world.services.clock.now(), decider=who)
        open_ones = [one for one in approvals if may(one, who)]
        listed = [one.id for one in page.items]
        assert listed == [one.id for one in open_ones if one.id in listed]
        assert len(open_ones) - len(listed) <= 1, "all but the one that Bob has decided"
        assert page.total == len(listed)
        counts.add(len(listed))
    assert len(counts) > 1, "not everybody may decide the same"


async def test_who_could_decide_is_who_may(world: World) -> None:
    async with world.services.database.transaction() as tx:
        for number in range(MAX_APPROVERS + 5):
            role = ("admin", "member", "viewer")[number % 3]
            email = f"p{number}-{world.tenant.org_slug}@example.com"
            new = NewPrincipal("user", email, role, name=f"P {number}", email=email)
            await create_principal(tx, world.tenant, new, world.actor)

    async def found(rule: ApprovalRule, **others: object) -> list[str]:
        async with world.services.database.read() as reader:
            return [one.name for one in await possible_approvers(reader, world.tenant, rule, **others)]  # type: ignore[arg-type]

    first = f"p1-{world.tenant.org_slug}@example.com"
    assert await found(ApprovalRule((first.upper(),))) == ["P 1"]
    assert await found(ApprovalRule((first,)), requester=str(world.actor.principal_id), author=[first]) == []
    assert await found(ApprovalRule((first,), allow_author=True), author=[first]) == ["P 1"]
    assert await found(ApprovalRule((first,)), author=["p 1"]) == []
    assert await found(ApprovalRule((f"p2-{world.tenant.org_slug}@example.com",))) == [], "a viewer decides nothing"
    assert {int(name[2:]) % 3 for name in await found(ApprovalRule(roles=("admin",))) if name.startswith("P")} == {0}
    assert await found(ApprovalRule(groups=("cab",))) == []
    assert len(await found(ApprovalRule())) <= MAX_APPROVERS


async def test_the_decision_that_came_last_is_the_newest_whatever_the_clocks_say(world: World) -> None:
    trail = await world.trail(await world.flow(requires_approval=True))
    ahead = World(later(world.services, timedelta(hours=1)), world.tenant, world.actor)
    first, last = await ask(world, trail.id), await ask(world, trail.id)
    await decide(ahead, first, person("bob"))
    await decide(world, last, person("bob"), Resolution.REJECTED)
    async with world.services.database.read() as reader:
        assert (await get_trail(reader, world.tenant, trail.id)).status == "NON_COMPLIANT"
