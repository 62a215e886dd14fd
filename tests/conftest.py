"""A real PostgreSQL and a real Valkey for the session, and databases for every worker."""

import base64
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from redis import Redis

from storage.services import Services, open_services
from storage.settings import Settings
from tests.databases import Databases
from tests.servers import Addresses, Run
from tests.unthrottled import UNTHROTTLED, UNTHROTTLED_PROCESS

ADMIN_KEY = "test-admin-key"
FOLDER = "trailgate_folder"
RUN = pytest.StashKey[Run]()

hypothesis.settings.register_profile("trailgate", deadline=None, max_examples=60)
hypothesis.settings.load_profile("trailgate")


def pytest_configure(config: pytest.Config) -> None:
    """A developer's own installation must never be what a test talks to."""
    config.addinivalue_line("markers", "walk(most): sends at most so many requests; see tests/api/walks.py")
    for name in [name for name in os.environ if name.startswith("TRAILGATE_")]:
        del os.environ[name]
    shared = getattr(config, "workerinput", {}).get(FOLDER)
    config.stash[RUN] = Run(Path(shared or tempfile.mkdtemp(prefix="trailgate-run-")))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller of xdist: tell a worker where the run's files are."""
    node.workerinput[FOLDER] = str(node.config.stash[RUN].folder)


@pytest.hookimpl(tryfirst=True)  # before xdist tells its controller that the collection is over
def pytest_collection_finish(session: pytest.Session) -> None:
    """Where tests run: ask for servers when one of them takes the fixture, through whichever others."""
    config = session.config
    if not config.option.collectonly and any(
        "server_addresses" in getattr(one, "fixturenames", ()) for one in session.items
    ):
        config.stash[RUN].ask()
        if not hasattr(config, "workerinput"):
            config.stash[RUN].start_if_asked(workers=1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """In the controller of xdist, before it hands out the first test."""
    node.config.stash[RUN].start_if_asked(workers=len(node.config.option.tx))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if not hasattr(config, "workerinput") and RUN in config.stash:
        config.stash[RUN].end()


@dataclass(frozen=True)
class Installation:
    """Where a database and a Redis are. `keys` are for those that several data directories are used with."""

    database_url: str
    redis_url: str
    admin_url: str
    keys: Mapping[str, str] = field(default_factory=dict)

    def settings(self, data_dir: Path, **overrides: Any) -> Settings:
        """Settings over this installation."""
        values: dict[str, Any] = {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "data_dir": data_dir,
            "admin_key": ADMIN_KEY,
            "checkpoint_interval": 0.0,
            "database_pool": 8,
            "log_level": "warning",
            **UNTHROTTLED,
            **self.keys,
        }
        return Settings(**{**values, **overrides})

    def environment(self, data_dir: Path, **overrides: str) -> dict[str, str]:
        """The same for a subprocess."""
        settings = {
            "TRAILGATE_DATABASE_URL": self.database_url,
            "TRAILGATE_REDIS_URL": self.redis_url,
            "TRAILGATE_DATA_DIR": str(data_dir),
            "TRAILGATE_ADMIN_KEY": ADMIN_KEY,
            **UNTHROTTLED_PROCESS,
        }
        return {**os.environ, **settings, **overrides}


REDIS_USES = ("shared", "own", "journeys", "fuzz")
"""What an xdist worker has a Redis database for at the same time."""


@dataclass(frozen=True)
class Worker:
    """The databases of one xdist worker."""

    addresses: Addresses
    number: int
    databases: Databases

    def installation(self, database_url: str, use: str) -> Installation:
        """Over this database and the emptied Redis database of that use."""
        number = self.number * len(REDIS_USES) + REDIS_USES.index(use)
        redis_url = self.addresses.redis_database(number)
        with Redis.from_url(redis_url) as redis:
            redis.flushdb()
        return Installation(database_url, redis_url, self.addresses.admin_url)

    @contextmanager
    def new_installation(self, use: str) -> Iterator[Installation]:
        """Over a database that nobody else sees meanwhile."""
        url = self.databases.take()
        yield self.installation(url, use)
        self.databases.give_back(url)


@pytest.fixture(scope="session")
def server_addresses(pytestconfig: pytest.Config) -> Addresses:
    """Who takes this, through whichever fixtures, makes the servers start."""
    return pytestconfig.stash[RUN].addresses


@pytest.fixture(scope="session")
def worker(server_addresses: Addresses, worker_id: str) -> Worker:
    """What this xdist worker has."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    return Worker(server_addresses, number, Databases(server_addresses.admin_url, f"t_{worker_id}"))


@pytest.fixture(scope="session")
def installation(worker: Worker) -> Installation:
    """Shared by the tests of one xdist worker: they tell their rows apart by organisation and flow, never by count."""
    keys = {name: base64.b64encode(os.urandom(32)).decode() for name in ("master_key", "signing_key")}
    return replace(worker.installation(worker.databases.take(), "shared"), keys=keys)


@pytest.fixture
def own_installation(worker: Worker) -> Iterator[Installation]:
    """For a test that counts, tampers or runs workers: a database nobody else sees."""
    with worker.new_installation("own") as own:
        yield own


@pytest.fixture
async def services(installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    """Open services over the shared installation."""
    async with open_services(installation.settings(tmp_path), "test") as opened:
        yield opened


@pytest.fixture
async def own_services(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    """Open services over an installation of the test's own."""
    async with open_services(own_installation.settings(tmp_path), "test") as opened:
        yield opened
