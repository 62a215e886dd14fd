"""Several workers, folders and sealers at once: everything exactly once, and nobody served last for ever."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from domain.facts.attestations import NewAttestation, Origin, ResultStatus
from domain.facts.trails import NewTrail
from storage.counters import NO_PARENT, fold, total
from storage.facts.commands.attestations import record_attestations
from storage.facts.commands.trails import open_trails
from storage.services import Services, open_services
from tests.conftest import Installation
from tests.failures.backlog import (
    Target,
    accept_all,
    accept_builds,
    arrival,
    assert_ledger_whole,
    assert_recorded_once,
    count,
    is_sealed,
    make_target,
    statuses,
)
from tests.journeys.senders import commit_of, fixture
from tests.journeys.waiting import eventually
from tests.storage.sealing import seal_waiting
from workers.drain import drain, drain_batch
from workers.seal import Sealer
from workers.sweeps import fold_counters

_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@pytest.fixture
async def second_services(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    """Those of another worker: a pool and clients of its own."""
    async with open_services(own_installation.settings(tmp_path), "second") as opened:
        yield opened


async def test_two_workers_drain_one_backlog_exactly_once(own_services: Services, second_services: Services) -> None:
    target = await make_target(own_services)
    commits = [commit_of("two", n % 400) for n in range(1000)]
    random.Random(7).shuffle(commits)
    receipts = await accept_builds(own_services, target, commits)
    await asyncio.gather(drain(own_services), drain(second_services))
    await assert_recorded_once(own_services, receipts, commits)
    async with own_services.database.read() as reader:
        assert await total(reader, target.tenant, "trails", target.flow_id) == 400


async def test_workers_that_change_and_attest_the_same_trails_do_not_lock_each_other_out(
    own_services: Services, second_services: Services
) -> None:
    target = await make_target(own_services)
    commits = [commit_of("mixed", n) for n in range(40)]
    await accept_builds(own_services, target, commits)
    await drain(own_services)
    rng = random.Random(11)
    kinds = [("pull_request", "pull_request__opened"), ("workflow_run", "workflow_run__failure")]
    kinds.append(("deployment_status", "deployment_status__success"))
    mixed = [(rng.choice(kinds), rng.choice(commits)) for _ in range(600)]
    receipts = await accept_all(
        own_services, [arrival(target, fixture(name, commit), event) for (event, name), commit in mixed]
    )
    small = [drain_batch_of(services, 20) for services in (own_services, second_services) for _ in range(2)]
    await asyncio.gather(*small)
    assert set(await statuses(own_services, receipts)) == {"SUCCESS"}
    attested = sum(1 for (event, _), _ in mixed if event != "pull_request")
    assert await count(own_services, "SELECT count(*) FROM attestations") == len(commits) + attested
    assert await count(own_services, "SELECT count(*) FROM trails") == len(commits)
    assert await count(own_services, _DEADLOCKS) == 0


async def drain_batch_of(services: Services, size: int) -> None:
    """A worker with batches so small that many meet."""
    settings = services.settings.model_copy(update={"drain_batch": size})
    while await drain_batch(replace(services, settings=settings)):
        pass


async def test_a_busy_organisation_delays_another_by_no_more_than_a_batch(own_services: Services) -> None:
    busy, quiet = await make_target(own_services, "busy"), await make_target(own_services, "quiet")
    queued = await accept_builds(own_services, busy, [commit_of("busy", n) for n in range(2000)])
    [single] = await accept_builds(own_services, quiet, [commit_of("quiet")])
    assert await drain_batch(own_services) <= own_services.settings.drain_batch
    assert await statuses(own_services, [single]) == ["SUCCESS"]
    done = (await statuses(own_services, queued)).count("SUCCESS")
    assert own_services.settings.drain_batch // 2 <= done <= own_services.settings.drain_batch, (
        "nor is the busy one starved"
    )


async def test_each_of_many_organisations_has_its_share_of_a_batch(own_services: Services) -> None:
    targets = [await make_target(own_services, f"tenant-{n}") for n in range(8)]
    queued = []
    for number, target in enumerate(targets):
        queued.append(await accept_builds(own_services, target, [commit_of(number, n) for n in range(80)]))
    await drain_batch(own_services)
    done = [(await statuses(own_services, receipts)).count("SUCCESS") for receipts in queued]
    assert done == [own_services.settings.drain_batch // len(targets)] * len(targets)


async def open_trail(services: Services, target: Target) -> UUID:
    new = NewTrail(
        flow_id=target.flow_id,
        actor=target.actor,
        git_commit_sha=commit_of("counted"),
        git_branch="main",
        git_author="Ada",
        git_author_email="ada@example.com",
    )
    async with services.database.transaction() as tx:
        [trail] = await open_trails(tx, target.tenant, [new])
    return trail.id


async def report(services: Services, target: Target, trail_id: UUID, times: int) -> None:
    new = NewAttestation(
        trail_id=trail_id, type="TEST", status=ResultStatus.PASSED, actor=target.actor, origin=Origin.API
    )
    for n in range(times):
        async with services.database.transaction() as tx:
            await record_attestations(tx, target.tenant, [new] * (1 + n % 3))


async def test_totals_are_exact_at_every_moment_while_they_are_folded(
    own_services: Services, second_services: Services
) -> None:
    target = await make_target(own_services)
    trail_id = await open_trail(own_services, target)
    seen: list[int] = []
    writing = asyncio.gather(*(report(s, target, trail_id, 30) for s in (own_services, second_services)))

    async def folding(services: Services) -> None:
        while not writing.done():
            async with services.database.transaction() as tx:
                await fold(tx, 5)

    async def watching() -> None:
        while not writing.done():
            async with own_services.database.snapshot() as reader:
                told = await total(reader, target.tenant, "attestations", trail_id)
                counted = await reader.value("SELECT count(*) FROM attestations WHERE trail_id = $1", trail_id)
            assert told == counted
            seen.append(told)

    await asyncio.gather(writing, folding(own_services), folding(second_services), watching())
    assert seen == sorted(seen)
    assert len(set(seen)) > 3, "the totals were watched while they grew"
    await asyncio.gather(fold_counters(own_services), fold_counters(second_services))
    assert await count(own_services, "SELECT count(*) FROM counter_deltas") == 0
    async with own_services.database.read() as reader:
        assert await total(reader, target.tenant, "attestations", trail_id) == 2 * 10 * (1 + 2 + 3)
        events = await reader.value("SELECT count(*) FROM audit_events WHERE org_id = $1", target.tenant.org_id)
        assert await total(reader, target.tenant, "audit", NO_PARENT) == events


async def seal_bit_by_bit(services: Services, target: Target) -> int:
    sealed = 0
    while True:
        async with services.database.transaction() as tx:
            taken = await seal_waiting(services, tx, target.tenant.org_id, 37)
        if not taken:
            return sealed
        sealed += taken


async def test_two_sealers_make_one_chain_without_a_gap(own_services: Services, second_services: Services) -> None:
    target = await make_target(own_services)
    await accept_builds(own_services, target, [commit_of("sealed", n) for n in range(300)])
    await drain(own_services)
    waiting = await count(own_services, "SELECT count(*) FROM unsealed")
    shares = await asyncio.gather(*(seal_bit_by_bit(s, target) for s in (own_services, second_services) for _ in "12"))
    assert sum(shares) == waiting > 600
    assert len([share for share in shares if share]) > 1, "more than one sealer had a part in it"
    await Sealer()(own_services)
    state = await assert_ledger_whole(own_services, target.tenant.org_id)
    assert state.entries == waiting


async def test_sealing_beside_a_drain_and_another_sealer_keeps_the_ledger_whole(
    own_services: Services, second_services: Services
) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, [commit_of("beside", n) for n in range(600)])
    draining = asyncio.create_task(drain(own_services))

    async def sealing(services: Services) -> None:
        while not draining.done():
            await Sealer().seal_round(services)
            await Sealer()(services)

    await asyncio.gather(draining, sealing(own_services), sealing(second_services))
    await asyncio.gather(Sealer()(own_services), Sealer()(second_services))
    assert await eventually(lambda: is_sealed(own_services))
    state = await assert_ledger_whole(own_services, target.tenant.org_id)
    assert state.entries > 2 * len(receipts)
    assert state.checkpoints > 1
    sequence: list[Any] = [n async for n in _sequence(own_services, target)]
    assert sequence == list(range(1, state.entries + 1))


async def _sequence(services: Services, target: Target) -> AsyncIterator[int]:
    async with services.database.read() as reader:
        for row in await reader.rows(
            "SELECT seq FROM ledger_entries WHERE org_id = $1 ORDER BY seq", target.tenant.org_id
        ):
            yield row["seq"]
