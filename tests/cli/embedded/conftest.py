"""Real directories and real questions for the tests of the embedded servers."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

from cli.embedded.servers import EmbeddedServers, ServerOptions
from tests.paths import ROOT

MEMORY = Path("/dev/shm")  # many servers are started here, and the speed of the disk is not what is tested


def make_folder() -> Path:
    """A temporary directory that every user may pass, unlike pytest's own."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2**31
    folder = Path(tempfile.mkdtemp(prefix="tg-", dir=MEMORY if roomy else None)).resolve()
    folder.chmod(0o711)
    return folder


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory."""
    folder = make_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    """A data directory that was started once, to be copied."""
    folder = make_folder()
    with EmbeddedServers(folder, ServerOptions(durable=False)):
        pass
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(prepared: Path, home: Path) -> Path:
    """A data directory whose cluster exists already: the next start is a warm one."""
    subprocess.run(["cp", "-a", prepared, home / "data"], check=True)
    return home / "data"


@pytest.fixture
def quick() -> ServerOptions:
    return ServerOptions(durable=False)


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Run one statement on a database URL and return its first value."""

    async def one_value(url: str, statement: str, *arguments: object) -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    return lambda url, statement, *arguments: asyncio.run(one_value(url, statement, *arguments))


@pytest.fixture
def ping() -> Callable[[str], bool]:
    def ping(url: str) -> bool:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())

    return ping


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition; exceptions count as "not yet". Fails after `seconds`."""

    def until(condition: Callable[[], object], seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, redis.RedisError):
                pass
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    return until


@pytest.fixture
def serving(until, ask, ping) -> Callable[[EmbeddedServers], None]:
    """Tick until both servers answer again."""

    def serving(servers: EmbeddedServers) -> None:
        def answers() -> bool:
            servers.tick()
            return ask(servers.database_url, "SELECT true") and ping(servers.redis_url)

        until(answers)

    return serving


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run a Python text in a process of its own, from the project's root; killed when the test is over."""
    started: list[subprocess.Popen[str]] = []

    def spawn(text: str, *arguments: object, python: str = sys.executable, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [python, "-c", text, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            **{"cwd": ROOT} | options,
        )
        started.append(process)
        return process

    yield spawn
    for process in started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def in_directory() -> Callable[[Path], list[psutil.Process]]:
    """The living processes that work somewhere below a directory."""

    def lives_below(process: psutil.Process, folder: Path) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder)
        except psutil.Error:
            return False

    return lambda folder: [process for process in psutil.process_iter() if lives_below(process, folder)]
