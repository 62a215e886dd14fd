"""Whole processes of ours, started as an operator starts them and watched from outside."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cli.embedded.children import Child, wait_until
from storage.settings import Settings
from tests.journeys.waiting import eventually
from tests.paths import ROOT
from tests.unthrottled import UNTHROTTLED_PROCESS

ADMIN_KEY = "journey-admin-key"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def environment_of(database_url: str, redis_url: str, data_dir: Path, **more: str) -> dict[str, str]:
    """What our processes are told: to be quick with everything that waits. `more` overrules, by full name."""
    return {
        "PATH": os.environ["PATH"],
        "TRAILGATE_DATABASE_URL": database_url,
        "TRAILGATE_REDIS_URL": redis_url,
        "TRAILGATE_DATA_DIR": str(data_dir),
        "TRAILGATE_ADMIN_KEY": ADMIN_KEY,
        "TRAILGATE_PORT": "0",
        "TRAILGATE_CHECKPOINT_INTERVAL": "0.1",
        "TRAILGATE_SWEEP_INTERVAL": "1",
        "TRAILGATE_DRAIN_LEASE": "5",
        **UNTHROTTLED_PROCESS,
        **more,
    }


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings of processes with that environment, for a look into the same database."""
    told: dict[str, Any] = {name.removeprefix("TRAILGATE_").lower(): value for name, value in environment.items()}
    return Settings(**{name: told[name] for name in ("database_url", "redis_url", "data_dir", "checkpoint_interval")})


def application(package: str, environment: Mapping[str, str], log: Path) -> Child:
    """`python -m api` or `python -m workers`, not started yet; it ends with us."""
    return Child(package, [sys.executable, "-m", package], environment, cwd=ROOT, log=log)


def lines(log: Path, event: str) -> list[dict[str, object]]:
    """The structured lines about one event, whole ones only."""
    if not log.exists():
        return []
    found = []
    for text in log.read_text(errors="replace").splitlines():
        with suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict) and line.get("event") == event:
                found.append(line)
    return found


def served_address(log: Path, seconds: float = 60) -> str:
    """Where an API that was told port 0 listens, as it says in its log."""
    assert wait_until(lambda: bool(lines(log, "api.serving")), seconds), log.read_text()[-2000:]
    addresses = lines(log, "api.serving")[-1]["addresses"]
    assert isinstance(addresses, list)
    host, port = addresses[0]
    return f"http://{host}:{port}"


async def stopped(child: Child, seconds: float) -> tuple[int, float]:
    """Send SIGTERM; the exit status, and the seconds it took."""
    began = time.monotonic()
    child.send(signal.SIGTERM)

    async def over() -> bool:
        return not child.alive

    await eventually(over, seconds, f"the end of {child.name}")
    status = child.collect()
    assert status is not None
    return status, time.monotonic() - began


class ProcessGroup:
    """Children in the order of their dependence, each replaced when it dies, as `trailgate up` does it.

    Unlike the supervisor it never gives up: here the deaths are wanted.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = tuple(children)

    def attend(self) -> bool:
        """One look at everybody: replace the first that is dead and whoever stands behind it when it serves."""
        for child in self._children:
            child.collect()
            if not child.alive:
                child.start()
            if not child.ready:
                return False
        return True

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Attend until the block ends; the children run on."""

        async def attend() -> None:
            while True:
                self.attend()
                await asyncio.sleep(0.05)

        task = asyncio.create_task(attend())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def stop(self) -> None:
        """Stop everybody in reverse order. Fails when one had to be killed: its patience is part of the contract."""
        killed = []
        for child in reversed(self._children):
            running = child.alive
            child.stop()
            if running and child.collect() == -signal.SIGKILL:
                killed.append(child.name)
        assert killed == [], f"SIGTERM was not enough within 10 s for {killed}"
