"""Emptying the outbox with one worker, beside a bare client that posts the same bodies to the same receiver."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any
from uuid import UUID

import asyncpg

from domain.tenant import Tenant
from storage.authenticator import Authenticator
from storage.clock import SystemClock
from storage.database import open_database
from storage.ids import Ids
from storage.outbox.commands import NewMessage, enqueue
from tests.bench.draining import POSTGRES, WORKER, wait_for
from tests.bench.figures import Spread, ratio_of_medians
from tests.bench.outcomes import TIMES, Check, HotSpot, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.product import Prepared, create, install
from tests.bench.profiles import hottest, profiling
from tests.bench.rounds import alternate
from tests.bench.testbed import Testbed, fetch_value
from tests.paths import ROOT
from workers.notifications.flow import MAX_CONCURRENT

NAME = "relay"
OURS, BARE = "Trailgate", "bare client"
PER_MESSAGE = "µs/message"
_SHARE = 4
"""The messages are so many times fewer than the deliveries of a backlog."""
_BATCH = 500
_BEGUN = "SELECT EXISTS (SELECT FROM outbox WHERE claim_id IS NOT NULL)"
_EMPTY = "SELECT NOT EXISTS (SELECT FROM outbox)"
_SENT = "SELECT count(*) FROM messages WHERE status = 'SENT'"
_PATIENCE = 300.0


class Undelivered(Exception):
    """The relay did not deliver what was in the outbox."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """One emptied outbox."""

    per_second: float
    busy: dict[str, float]

    def cost(self, process: str) -> float:
        """Processor time of a process, microseconds a message."""
        return self.busy[process] / self.per_second * 1_000_000


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Ours and the bare client post as many messages in turn."""
    count = plan.backlog // _SHARE
    with testbed.baseline("bare_receiver") as receiver:
        body = testbed.home / "relay.body"
        body.write_bytes(_body())
        sides = {
            BARE: partial(_post_bare, receiver.url, body, count),
            OURS: partial(_relay, testbed, prepared, receiver.url, count),
        }
        found = alternate(sides, plan.rounds)
    speed = {name: [one.per_second for one in relayed] for name, relayed in found.items()}
    costs = {process: [one.cost(process) for one in found[OURS]] for process in (WORKER, POSTGRES)}
    return Outcome(
        NAME,
        f"{count:,} signed webhooks to one receiver, one worker, {MAX_CONCURRENT} at once",
        [
            *(Series(name, "messages/s", values) for name, values in speed.items()),
            *(Series(f"{OURS}: processor time, {who}", PER_MESSAGE, values) for who, values in costs.items()),
        ],
        [
            Check.at_most(f"processor time, {WORKER}", Spread.of(costs[WORKER]).median, 125, PER_MESSAGE),
            Check.at_most(f"processor time, {POSTGRES}", Spread.of(costs[POSTGRES]).median, 50, PER_MESSAGE),
            Check.figure("rate against a bare client", ratio_of_medians(speed[OURS], speed[BARE]), TIMES),
        ],
        {name: fmean(one.busy[name] for one in found[OURS]) for name in found[OURS][0].busy},
    )


def profile(testbed: Testbed, prepared: Prepared, plan: Plan) -> list[HotSpot]:
    """Where the worker spends its time while relaying."""
    output = testbed.home / "relay.profile"
    with testbed.baseline("bare_receiver") as receiver:
        _relay(testbed, prepared, receiver.url, plan.backlog // _SHARE, output)
    return hottest(output, ROOT)


def _payload(number: int) -> Mapping[str, Any]:
    return {
        "triggerEvent": "ATTESTATION_FAILED",
        "severity": "WARNING",
        "title": "Attestation unit tests failed",
        "message": "3 of 712 tests failed",
        "entityType": "ATTESTATION",
        "entityId": str(UUID(int=number)),
        "flowId": str(UUID(int=0)),
        "environmentId": None,
        "data": {"trailId": str(UUID(int=number)), "attestation": "unit tests"},
    }


def _body() -> bytes:
    """As long as what we send, within a few bytes."""
    data = _payload(1)
    return json.dumps(
        {"type": "attestation.failed", "timestamp": "2026-01-01T00:00:00.000000Z", **data, "x": data["data"]}
    ).encode()


def _post_bare(url: str, body: Path, count: int) -> Relayed:
    words = [sys.executable, "-m", "tests.bench.bare_poster", f"{url}/", str(count), str(MAX_CONCURRENT)]
    told = subprocess.run(words, input=body.read_bytes(), capture_output=True, check=True, cwd=ROOT)
    return Relayed(count / float(told.stdout), {})


def _relay(testbed: Testbed, prepared: Prepared, receiver: str, count: int, output: Path | None = None) -> Relayed:
    url = install(testbed)
    with testbed.api(url) as api:
        rule = {
            "name": "bench",
            "triggerEvent": "ATTESTATION_FAILED",
            "channelType": "WEBHOOK",
            "channelConfig": json.dumps({"webhookUrl": f"{receiver}/"}),
        }
        made = create(api.url, "/api/v1/notification-rules", rule)
    asyncio.run(_fill(url, prepared, UUID(made["id"]), count))
    testbed.settle()
    before = _taken(receiver)
    with testbed.worker(url, output) as worker:
        pids = {WORKER: worker.pid, POSTGRES: testbed.postgres_pid}
        seconds, busy = asyncio.run(asyncio.wait_for(_watch(url, pids, output), _PATIENCE))
    if fetch_value(url, _SENT) != count or _taken(receiver) - before != count:
        raise Undelivered(f"{_taken(receiver) - before} of {count} messages came")
    return Relayed(count / seconds, busy)


def _taken(receiver: str) -> int:
    with urllib.request.urlopen(f"{receiver}/", timeout=10) as answer:
        return int(answer.read())


async def _fill(url: str, prepared: Prepared, rule_id: UUID, count: int) -> None:
    """Messages of as many subjects, put there by the command that facts use."""
    async with open_database(
        url, size=2, clock=SystemClock(), ids=Ids(), name="bench", authenticator=Authenticator(tuple)
    ) as database:
        async with database.read() as reader:
            where = await reader.value("SELECT destination_id FROM notification_rules WHERE id = $1", rule_id)
        tenant = Tenant(prepared.org_id, "default")
        for first in range(0, count, _BATCH):
            numbers: Sequence[int] = range(first, min(first + _BATCH, count))
            new = [
                NewMessage(where, "WEBHOOK", "ATTESTATION_FAILED", f"trail:{n}", _payload(n), rule_id) for n in numbers
            ]
            async with database.transaction() as tx:
                await enqueue(tx, tenant, new)


async def _watch(url: str, pids: dict[str, int], output: Path | None) -> tuple[float, dict[str, float]]:
    """From the first claim until the outbox is empty."""
    connection = await asyncpg.connect(url)
    try:
        await wait_for(connection, _BEGUN, 0.005)
        started, meter = time.perf_counter(), Meter(pids)
        with profiling(pids[WORKER], output):
            await wait_for(connection, _EMPTY, 0.02)
        return time.perf_counter() - started, meter.cores()
    finally:
        await connection.close()
