"""The testbed: servers of its own with fsync on, a prepared product to clone, and processes on both sides."""

import asyncio
import http.client
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from redis import Redis

from cli.embedded.children import Child, wait_until
from cli.embedded.servers import EmbeddedServers, ServerOptions
from cli.embedded.testing import clone_database, drop_database
from tests.bench.profiles import command
from tests.paths import ROOT
from tests.unthrottled import UNTHROTTLED_PROCESS

ADMIN_KEY = "bench-admin-key"
TEMPLATE, PRODUCT, BASELINE = "bench_template", "bench_product", "bench_baseline"
TRAILGATE = (sys.executable, "-c", "from cli.main import main; main()")
"""The command `trailgate` of this checkout, from its root."""
PORT = "{port}"
"""Stands in the arguments of a server for a port that is free when it starts."""
_PATIENCE = 60.0
_PROBE = 1.0  # seconds for one question whether a process serves


class NotServing(Exception):
    """A process did not come up."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started process. `url` is empty for one that does not listen; `start_seconds` is the time until it served."""

    pid: int
    url: str
    start_seconds: float


class Testbed:
    """Where everything runs. Paths below `home` go away with it."""

    __test__ = False  # pytest takes a class of this name for tests

    def __init__(self, home: Path, servers: EmbeddedServers) -> None:
        self.home = home
        self.admin_url = servers.admin_url
        self.redis_url = servers.redis_url
        pids = {child.name: child.pid or 0 for child in servers.children}
        self.postgres_pid, self.valkey_pid = pids["postgres"], pids["valkey"]

    @contextmanager
    def api(self, database_url: str, profile: Path | None = None) -> Iterator[Running]:
        """One API process over a database, serving once this is entered."""
        port = free_port()
        env = self._settings(database_url) | {"TRAILGATE_PORT": str(port)}
        argv = [sys.executable, *command("api", profile)]
        with self._process("api", argv, env, port, partial(_ready, port)) as running:
            yield running

    @contextmanager
    def api_processes(self, database_url: str, count: int) -> Iterator[Running]:
        """So many API processes on one port, all of them serving once this is entered; the pid is their parent's."""
        port = free_port()
        env = self._settings(database_url) | {"TRAILGATE_PORT": str(port)}
        argv = [*TRAILGATE, "api", "--processes", str(count)]
        with self._process("api-processes", argv, env, port, partial(_all_ready, port, count)) as running:
            yield running

    @contextmanager
    def worker(self, database_url: str, profile: Path | None = None) -> Iterator[Running]:
        """One worker process over a database; it has just been started."""
        argv = [sys.executable, *command("workers", profile)]
        with self._process("worker", argv, self._settings(database_url)) as running:
            yield running

    @contextmanager
    def baseline(self, module: str, *words: str) -> Iterator[Running]:
        """A bare HTTP server of the bench, told its port and `words`."""
        argv = [sys.executable, "-m", f"tests.bench.{module}", PORT, *words]
        with self.server(module, argv) as running:
            yield running

    @contextmanager
    def server(self, name: str, argv: Sequence[str]) -> Iterator[Running]:
        """An HTTP server that is no part of the product; PORT in its arguments becomes the port."""
        port = free_port()
        argv = [str(port) if word == PORT else word for word in argv]
        with self._process(name, argv, {}, port, partial(_listens, port)) as running:
            yield running

    @contextmanager
    def background(self, name: str, argv: Sequence[str]) -> Iterator[Running]:
        """Another process that is no part of the product and listens to nobody; it has just been started."""
        with self._process(name, argv, {}) as running:
            yield running

    def fresh(self, name: str, template: str) -> str:
        """A database made anew from a template, with Valkey empty; the answer is its URL."""
        Redis.from_url(self.redis_url).flushall()
        for known in (self.home / "product-checkpoints", self.home / "product" / "keys" / "ledgers"):
            shutil.rmtree(known, ignore_errors=True)  # the ledgers begin anew: nothing may say that they were longer
        asyncio.run(drop_database(self.admin_url, name))
        return asyncio.run(clone_database(self.admin_url, template, name))

    def settle(self) -> None:
        """Write out what earlier measurements left behind, so that nobody inherits another one's checkpoint."""
        execute(self.admin_url, "CHECKPOINT")

    def postgres_version(self) -> str:
        """Of the server in use."""
        return str(fetch_value(self.admin_url, "SHOW server_version"))

    def _settings(self, database_url: str) -> dict[str, str]:
        return {
            "TRAILGATE_DATABASE_URL": database_url,
            "TRAILGATE_REDIS_URL": self.redis_url,
            "TRAILGATE_DATA_DIR": str(self.home / "product"),
            "TRAILGATE_ADMIN_KEY": ADMIN_KEY,
            "TRAILGATE_OUTBOUND_ALLOW": "127.0.0.0/8",
            **UNTHROTTLED_PROCESS,
        }

    @contextmanager
    def _process(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], port: int = 0, probe: Any = None
    ) -> Iterator[Running]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TRAILGATE_")}
        child = Child(name, argv, {**inherited, **env}, cwd=ROOT, log=self.home / f"{name}.log", probe=probe)
        started = time.perf_counter()
        child.start()
        try:
            wait_until(lambda: child.ready or not child.alive, _PATIENCE)
            if not child.ready:
                raise NotServing(f"{name} does not come up (exit status {child.collect()})\n{child.tail()}")
            yield Running(child.pid or 0, f"http://127.0.0.1:{port}" if port else "", time.perf_counter() - started)
        finally:
            child.stop()


@contextmanager
def open_testbed() -> Iterator[Testbed]:
    """Start the servers in a temporary directory, stop and remove everything afterwards. Not inside an event loop."""
    home = Path(tempfile.mkdtemp(prefix="trailgate-bench-"))
    home.chmod(0o711)  # just made by us; when we are root another user runs the servers below it
    try:
        with EmbeddedServers(home / "servers", ServerOptions(durable=True)) as servers:
            yield Testbed(home, servers)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def execute(url: str, *statements: str) -> None:
    """Run statements one by one, each its own transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def fetch_value(url: str, statement: str) -> Any:
    """The first column of the first row."""

    async def run() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), _PROBE):
            return True
    except OSError:
        return False


def _all_ready(port: int, count: int) -> bool:
    """Whether so many sockets listen on the port and one of them answers."""
    found = [one for one in psutil.net_connections("tcp4") if one.status == psutil.CONN_LISTEN]
    return sum(one.laddr[1:] == (port,) for one in found) == count and _ready(port)


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
