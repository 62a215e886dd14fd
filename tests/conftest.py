"""A real PostgreSQL and a real Valkey for the session, a database of its own for every worker (prototypes.md B5)."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from cli.embedded.testing import ThrowawayServers, clone_database, drop_database, seal_template, start_for_tests
from storage.migrations import migrate
from storage.services import Services, open_services
from storage.settings import Settings

ADMIN_KEY = "test-admin-key"
TEMPLATE = "template_trailgate"
_ENV = {"admin": "TRAILGATE_TEST_ADMIN_URL", "redis": "TRAILGATE_TEST_REDIS_URL"}

hypothesis.settings.register_profile("trailgate", deadline=None, max_examples=60)
hypothesis.settings.load_profile("trailgate")

_servers: ThrowawayServers | None = None


def pytest_configure(config: pytest.Config) -> None:
    """In the controller only: start the pair and make the migrated template."""
    global _servers  # noqa: PLW0603 - pytest hooks have no other place
    for name in [name for name in os.environ if name.startswith("TRAILGATE_") and name not in _ENV.values()]:
        del os.environ[name]  # a developer's own installation must never be what a test talks to
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    _servers = start_for_tests({"max_connections": "200"})
    asyncio.run(_make_template(_servers.admin_url))
    os.environ[_ENV["admin"]] = _servers.admin_url
    os.environ[_ENV["redis"]] = _servers.redis_url


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if _servers is not None:
        _servers.stop()


async def _make_template(admin_url: str) -> None:
    url = await clone_database(admin_url, "template0", TEMPLATE)
    await migrate(url)
    await seal_template(admin_url, TEMPLATE)


@dataclass(frozen=True)
class Installation:
    """Where a test's own database, Redis and data directory are."""

    database_url: str
    redis_url: str
    admin_url: str

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
        }
        return Settings(**{**values, **overrides})

    def environment(self, data_dir: Path, **overrides: str) -> dict[str, str]:
        """The same for a subprocess."""
        settings = {
            "TRAILGATE_DATABASE_URL": self.database_url,
            "TRAILGATE_REDIS_URL": self.redis_url,
            "TRAILGATE_DATA_DIR": str(data_dir),
            "TRAILGATE_ADMIN_KEY": ADMIN_KEY,
        }
        return {**os.environ, **settings, **overrides}


def _number(worker_id: str) -> int:
    return int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0


def _clone(name: str, redis_database: int) -> Iterator[Installation]:
    admin_url = os.environ[_ENV["admin"]]
    url = asyncio.run(clone_database(admin_url, TEMPLATE, name))
    redis_url = os.environ[_ENV["redis"]].partition("?")[0] + f"?db={redis_database}"
    yield Installation(url, redis_url, admin_url)
    asyncio.run(drop_database(admin_url, name))


@pytest.fixture(scope="session")
def installation(worker_id: str) -> Iterator[Installation]:
    """Shared by the tests of one xdist worker: they tell their rows apart by organisation and flow, never by count."""
    yield from _clone(f"w_{worker_id}", _number(worker_id))


@pytest.fixture
def own_installation(worker_id: str, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """For a test that counts, tampers or runs workers: a database nobody else sees."""
    name = f"t_{worker_id}_{abs(hash(request.node.nodeid)) % 10**10}"
    yield from _clone(name, 8 + _number(worker_id) % 8)


@pytest.fixture
async def services(installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    """Open services over the shared installation."""
    async with open_services(installation.settings(tmp_path), "test") as opened:
        yield opened


@pytest.fixture
async def own_services(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    """Open services over an installation of the test's own."""
    async with open_services(own_installation.settings(tmp_path), "test") as opened:
        await opened.redis.flushdb()
        yield opened
