"""The acceptance of issue 2: everybody is killed at random while deliveries come in, and nothing is lost or doubled.

`TEST_SEED` repeats a run's random choices; the seed of a run stands in its output when it fails. (Which
instruction a kill hits is up to the machine.)
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from redis.asyncio import Redis

from domain.tenant import Tenant
from storage.counters import total
from storage.facts.queries.webhook_configs import get_webhook_config
from storage.services import Services, open_services
from tests.failures.backlog import assert_all_kept, count
from tests.failures.processes import Deployment, open_deployment
from tests.journeys.client import Config, open_client
from tests.journeys.processes import ADMIN_KEY, lines, settings_of
from tests.journeys.senders import Delivery, Sender, build, commit_of
from tests.journeys.waiting import eventually

SEED = int(os.environ.get("TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
VICTIMS = ("api", "worker", "valkey", "postgres", "flushall")
SENDERS = 12
TWICE = 10
"""One delivery in ten is sent again after its 202."""
SHARED = 20
"""One delivery in twenty is about the commit of the one before."""


@dataclass(frozen=True)
class Plan:
    """How much is delivered, how often each victim is struck, and how long the end may take to come (seconds)."""

    deliveries: int
    rounds: int
    patience: float


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with open_deployment(tmp_path) as deployment:
        yield deployment


class Chaos:
    """Strikes the victims one after the other while the sender makes progress."""

    def __init__(self, deployment: Deployment, plan: Plan, rng: random.Random) -> None:
        self.struck: Counter[str] = Counter()
        self._house = deployment
        victims = [victim for victim in VICTIMS for _ in range(plan.rounds)]
        rng.shuffle(victims)
        marks = sorted(rng.sample(range(plan.deliveries // 20, plan.deliveries * 9 // 10), len(victims)))
        self._strikes = list(zip(marks, victims, strict=True))

    async def rage(self, sender: Sender) -> None:
        """Strike whenever as many deliveries are accepted as the plan says."""
        for mark, victim in self._strikes:
            await eventually(partial(_reached, sender, mark), 120, f"{mark} deliveries accepted")
            await eventually(partial(self._struck, victim), 60, f"{victim} being there to be struck")
            self.struck[victim] += 1

    async def _struck(self, victim: str) -> bool:
        if victim == "flushall":
            async with Redis.from_url(self._house.servers.redis_url) as redis:
                return bool(await redis.flushall())
        child = getattr(self._house, victim)
        if not child.alive:
            return False
        child.send(signal.SIGKILL)
        return True


async def _reached(sender: Sender, mark: int) -> bool:
    return len(sender.receipts) >= mark


def planned(plan: Plan, secret: str, seed: int) -> tuple[list[Delivery], dict[str, str]]:
    """The deliveries, and the commit of each by its id."""
    names = [f"{seed}-{n}" for n in range(plan.deliveries)]
    commits = {name: commit_of(seed, n - (n % SHARED == SHARED - 1)) for n, name in enumerate(names)}
    return [build(secret, name, commit) for name, commit in commits.items()], commits


async def deliver_all(sender: Sender, deliveries: list[Delivery], rng: random.Random) -> None:
    """Several senders at once, each unhurried, some of them forgetful."""
    left = enumerate(deliveries)

    async def deliver() -> None:
        for number, delivery in left:
            await asyncio.sleep(rng.uniform(0, 0.15))
            await sender.deliver(delivery)
            if number % TWICE == 0:
                await sender.deliver(delivery)

    async with asyncio.TaskGroup() as senders:
        for _ in range(SENDERS):
            senders.create_task(deliver())


async def survive(deployment: Deployment, plan: Plan) -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}: TEST_SEED={SEED} repeats it")  # noqa: T201 - shown when the test fails
    async with open_client(deployment.address, ADMIN_KEY) as client:
        config = await client.config()
    chaos = Chaos(deployment, plan, rng)
    deliveries, commits = planned(plan, config.secret, SEED)
    timeout = aiohttp.ClientTimeout(total=15)
    async with deployment.processes.kept(), aiohttp.ClientSession(deployment.address, timeout=timeout) as session:
        sender = Sender(session, config.path, rng)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chaos.rage(sender))
            tasks.create_task(deliver_all(sender, deliveries, rng))
        print(f"answers {dict(sender.answers)}, struck {dict(chaos.struck)}")  # noqa: T201
        assert chaos.struck == dict.fromkeys(VICTIMS, plan.rounds)
        async with open_services(settings_of(deployment.environment), "test") as inside:
            await assert_all_kept(inside, sender, commits, plan.patience)
            await assert_exact(inside, sender, config, set(commits.values()))
    assert lines(deployment.folder / "api.log", "request failed") == []


async def assert_exact(inside: Services, sender: Sender, config: Config, commits: set[str]) -> None:
    """Numbers over the whole installation: nothing is there that was not sent."""
    sent = len(sender.receipts)
    assert await count(inside, "SELECT count(*) FROM deliveries") == sent
    assert await count(inside, "SELECT count(*) FROM attestations") == sent
    assert await count(inside, "SELECT count(*) FROM trails") == len(commits)
    assert await count(inside, "SELECT count(*) FROM edges WHERE to_kind = 'commit'") == len(commits)
    assert await count(inside, "SELECT count(*) FROM audit_events WHERE name = 'trail.created'") == len(commits)
    assert await count(inside, "SELECT count(*) FROM audit_events WHERE name = 'attestation.recorded'") == sent
    known = sum(accepted - 1 for accepted in sender.accepted.values())
    assert known >= sent // TWICE
    async with inside.database.read() as reader:
        rows = await reader.rows("SELECT delivery_id, duplicates FROM deliveries")
        org_id = await reader.value("SELECT id FROM organisations WHERE slug = 'default'")
        tenant = Tenant(org_id, "default")
        flow_id = (await get_webhook_config(reader, tenant, UUID(config.id))).flow_id
        assert await total(reader, tenant, "trails", flow_id) == len(commits)
    short = [row["delivery_id"] for row in rows if row["duplicates"] < sender.accepted[row["delivery_id"]] - 1]
    assert short == [], "every copy that was accepted is counted"


async def test_everybody_is_killed_once_and_nothing_is_lost_or_doubled(deployment: Deployment) -> None:
    await survive(deployment, Plan(deliveries=200, rounds=1, patience=30))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_two_thousand_deliveries_survive_everybody_being_killed_again_and_again(deployment: Deployment) -> None:
    await survive(deployment, Plan(deliveries=2000, rounds=6, patience=240))
