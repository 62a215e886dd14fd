"""Claims are leases: a worker that dies loses nothing, and one that comes late writes nothing."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from cli.embedded.children import Child
from domain.errors import Unavailable
from storage.facts.queries.webhook_configs import targets
from storage.inbox.commands import Done, LostLease, claim, finish, retry_later
from storage.inbox.queries import load
from storage.services import Services
from tests.conftest import Installation
from tests.failures.backlog import (
    Target,
    accept_builds,
    assert_recorded_once,
    count,
    make_target,
    statuses,
)
from tests.journeys.processes import application, environment_of
from tests.journeys.senders import commit_of
from tests.journeys.waiting import eventually
from workers.drain import _Batch, drain

COMMITS = [commit_of("lease", n % 4) for n in range(6)]
_CLAIMED = "SELECT count(*) FROM inbox WHERE claim_id IS NOT NULL"
_BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'trailgate worker'
"""


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """Nobody writes to the table until the block ends."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "end", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=lambda end: end.name
)
async def test_a_worker_that_ends_between_claim_and_commit_leaves_its_work_to_the_next(
    own_installation: Installation, own_services: Services, tmp_path: Path, end: signal.Signals
) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    grace = {"TRAILGATE_SHUTDOWN_GRACE": "1", "TRAILGATE_DATABASE_POOL": "4"}
    environment = environment_of(own_installation.database_url, own_installation.redis_url, tmp_path, **grace)
    worker = application("workers", environment, tmp_path / "worker.log")
    try:
        async with locked(own_installation.database_url, "attestations"):
            worker.start()
            await eventually(lambda: count(own_services, _BLOCKED), 15, "a worker amid its transaction")
            assert await count(own_services, _CLAIMED) == len(COMMITS)
            await _end(worker, end)
        assert await statuses(own_services, receipts) == ["PENDING"] * len(COMMITS)
        assert await count(own_services, "SELECT count(*) FROM trails") == 0
        worker.start()

        async def done() -> bool:
            return set(await statuses(own_services, receipts)) == {"SUCCESS"}

        await eventually(done, 20, "the next worker, after the lease")
    finally:
        worker.stop()
    await assert_recorded_once(own_services, receipts, COMMITS)


async def _end(worker: Child, how: signal.Signals) -> None:
    worker.send(how)

    async def ended() -> bool:
        return not worker.alive

    await eventually(ended, 10, f"the end of the worker by {how.name}")
    assert worker.collect() == (0 if how is signal.SIGTERM else -how)


async def lease(services: Services, target: Target, receipts: list[UUID], seconds: float) -> tuple[_Batch, list[Any]]:
    """What a worker holds after its claim: the batch, and the deliveries to be settled in it."""
    claim_id = services.ids.new()
    async with services.database.transaction() as tx:
        claimed = await claim(tx, claim_id, 100, timedelta(seconds=seconds))
    assert {c.id for c in claimed} == set(receipts)
    async with services.database.read() as reader:
        deliveries = await load(reader, services.database.authenticator, receipts)
        configs = await targets(reader, [target.config_id])
    batch = _Batch(services, claim_id, configs, {c.id: c for c in claimed})
    return batch, deliveries


async def test_a_lease_that_was_taken_over_cannot_be_written_under(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    late, deliveries = await lease(own_services, target, receipts, 0)
    await drain(own_services)
    await assert_recorded_once(own_services, receipts, COMMITS)
    events = await count(own_services, "SELECT count(*) FROM audit_events")
    await late.settle(deliveries)
    assert await count(own_services, "SELECT count(*) FROM audit_events") == events
    await assert_recorded_once(own_services, receipts, COMMITS)


async def test_a_lease_held_by_another_right_now_cannot_be_written_under(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    late, deliveries = await lease(own_services, target, receipts, 0)
    holder, _ = await lease(own_services, target, receipts, 60)
    await late.settle(deliveries)
    assert await statuses(own_services, receipts) == ["PENDING"] * len(receipts)
    assert await count(own_services, "SELECT count(*) FROM trails") == 0
    await holder.settle(deliveries)
    await assert_recorded_once(own_services, receipts, COMMITS)


async def test_one_lost_lease_of_a_batch_undoes_the_whole_batch(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    held, deliveries = await lease(own_services, target, receipts, 60)
    async with own_services.database.transaction() as tx:
        await tx.execute("UPDATE inbox SET claim_id = $2 WHERE delivery_id = $1", receipts[3], tx.new_id())
    await held.settle(deliveries)
    assert await statuses(own_services, receipts) == ["PENDING"] * len(receipts)
    assert await count(own_services, "SELECT count(*) FROM attestations") == 0


async def test_finishing_and_giving_back_are_fenced_by_the_claim(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    late, _ = await lease(own_services, target, receipts, 0)
    await lease(own_services, target, receipts, 60)
    with pytest.raises(LostLease):
        async with own_services.database.transaction() as tx:
            await finish(tx, late.claim_id, [Done(receipts[0], None, "too late", failed=True)])
    async with own_services.database.transaction() as tx:
        await retry_later(tx, late.claim_id, dict.fromkeys(receipts, tx.now))
        assert await claim(tx, tx.new_id(), 100, timedelta(seconds=60)) == [], "the holder's lease still runs"
    assert await statuses(own_services, receipts) == ["PENDING"] * len(receipts)


async def test_a_leased_delivery_is_due_again_when_its_lease_ran_out(own_services: Services) -> None:
    target = await make_target(own_services)
    [receipt] = await accept_builds(own_services, target, COMMITS[:1])

    async def claimed(seconds: float) -> list[int]:
        async with own_services.database.transaction() as tx:
            return [c.attempts for c in await claim(tx, tx.new_id(), 10, timedelta(seconds=seconds))]

    assert await claimed(2) == [1]
    assert await claimed(60) == []
    assert await eventually(lambda: claimed(60), 5, "the end of the lease") == [2]
    assert await statuses(own_services, [receipt]) == ["PENDING"]


async def test_a_database_out_of_reach_is_no_fault_of_the_delivery(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS[:2])
    held, deliveries = await lease(own_services, target, receipts, 60)
    await held._give_up_or_retry(deliveries[0], ConnectionResetError())
    await held._give_up_or_retry(deliveries[1], Unavailable("The database cannot be reached right now."))
    assert await statuses(own_services, receipts) == ["PENDING", "PENDING"]
    assert await count(own_services, "SELECT count(*) FROM inbox WHERE claim_id IS NULL AND due_at > now()") == 2
