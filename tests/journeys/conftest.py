"""A running installation: one API and one worker, in processes of their own, over a database of their own."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from cli.processes import free_port
from storage.services import Services, open_services
from storage.settings import Settings
from tests.conftest import Worker
from tests.journeys.client import Client, open_client
from tests.journeys.processes import ADMIN_KEY, ProcessGroup, application, environment_of, served_address, settings_of


@dataclass(frozen=True)
class Running:
    """Where the processes listen, log and keep their files."""

    address: str
    environment: dict[str, str]
    folder: Path

    @property
    def settings(self) -> Settings:
        """What the processes were told, for a look into the same database."""
        return settings_of(self.environment)


@pytest.fixture(scope="session")
def running(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Started once for the journeys of one xdist worker: each makes its own flow."""
    folder = tmp_path_factory.mktemp("journeys")
    with worker.new_installation("journeys") as own:
        port = free_port("127.0.0.1", 0)  # not 0: the URLs of webhook configs name it
        told = {"TRAILGATE_OUTBOUND_ALLOW": "127.0.0.0/8", "TRAILGATE_PORT": str(port)}
        environment = environment_of(own.database_url, own.redis_url, folder / "data", **told)
        logs = {package: folder / f"{package}.log" for package in ("api", "workers")}
        group = ProcessGroup([application(package, environment, log) for package, log in logs.items()])
        group.attend()
        try:
            yield Running(served_address(logs["api"]), environment, folder)
        finally:
            group.stop()


@pytest.fixture
async def admin(running: Running) -> AsyncIterator[Client]:
    """The administrator of `default`."""
    async with open_client(running.address, ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def inside(running: Running) -> AsyncIterator[Services]:
    """Services over the same database, for what the API does not show."""
    async with open_services(running.settings, "test") as services:
        yield services


@pytest.fixture
def unique() -> str:
    """A word that nobody else uses."""
    return uuid4().hex[:12]
