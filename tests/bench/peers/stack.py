"""A stack with the interpreter that runs it, as processes of the bench."""

import asyncio
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import asyncpg
from redis import Redis

from tests.bench.comparison import VALKEY
from tests.bench.draining import PATIENCE, POSTGRES, WORKER, Drained, wait_for
from tests.bench.peers.catalogue import Peer
from tests.bench.processor import Meter
from tests.bench.testbed import BASELINE, PORT, Running, Testbed, execute
from tests.paths import ROOT

_BEGUN = "SELECT is_called FROM facts_id_seq"
_DONE = "SELECT last_value >= {} FROM facts_id_seq"
_ALL = "SELECT count(*) = {} FROM facts"


class Failed(Exception):
    """A command of a stack failed."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A peer on the testbed. It has a database of Valkey for itself, which ours does not use."""

    peer: Peer
    python: str
    testbed: Testbed

    def prepare(self, name: str) -> str:
        """A database of this name with its tables; the answer is its URL."""
        url = self.testbed.fresh(name, "template0")
        self._run("prepare", url)
        return url

    @contextmanager
    def serving(self, url: str) -> Iterator[Running]:
        """Its HTTP server over a database."""
        with self.testbed.server(self.peer.module, self._argv("serve", PORT, url)) as running:
            yield running

    def clear(self, url: str) -> None:
        """Empty its queue."""
        Redis.from_url(self._redis_url).flushdb()
        if self.peer.clear:
            execute(url, self.peer.clear)

    def drain(self, count: int) -> Drained:
        """Fill its queue and let one worker empty it. Without the planner's statistics some need twice as long."""
        url = self.prepare(BASELINE)
        self._run("fill", str(count), url)
        execute(url, "ANALYZE")
        self.testbed.settle()
        with self.testbed.background(f"{self.peer.module}-worker", self._argv("work", url)) as worker:
            pids = {WORKER: worker.pid, POSTGRES: self.testbed.postgres_pid, VALKEY: self.testbed.valkey_pid}
            return asyncio.run(asyncio.wait_for(_watch(url, count, pids), PATIENCE))

    @property
    def _redis_url(self) -> str:
        return self.testbed.redis_url.replace("db=0", "db=1")

    def _argv(self, command: str, *words: str) -> Sequence[str]:
        return [self.python, "-m", f"tests.bench.peers.{self.peer.module}", command, *words, self._redis_url]

    def _run(self, command: str, *words: str) -> None:
        told = subprocess.run(self._argv(command, *words), capture_output=True, text=True, check=False, cwd=ROOT)
        if told.returncode:
            raise Failed(f"{self.peer.module} {command}: {told.stderr}")


async def _watch(url: str, count: int, pids: Mapping[str, int]) -> Drained:
    """From the first row until the last one; rows are counted by their sequence, which costs next to nothing."""
    connection = await asyncpg.connect(url)
    try:
        await wait_for(connection, _BEGUN, 0.005)
        started, meter = time.perf_counter(), Meter(pids)
        await wait_for(connection, _DONE.format(count), 0.02)
        await wait_for(connection, _ALL.format(count), 0.005)
        return Drained(count / (time.perf_counter() - started), meter.cores())
    finally:
        await connection.close()
