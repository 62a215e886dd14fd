"""An installation of its own, servers included, in which everybody may be killed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.embedded.children import Child
from cli.embedded.testing import ThrowawayServers, start_for_tests
from storage.migrations import migrate
from tests.journeys.processes import ProcessGroup, application, environment_of, free_port, served_address


@dataclass(frozen=True)
class Deployment:
    """Servers, API and worker, with what the last two were told and where they log."""

    servers: ThrowawayServers
    api: Child
    worker: Child
    environment: dict[str, str]
    folder: Path

    @property
    def postgres(self) -> Child:
        return self.servers.children[0]

    @property
    def valkey(self) -> Child:
        return self.servers.children[1]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.environment['TRAILGATE_PORT']}"

    @property
    def processes(self) -> ProcessGroup:
        return ProcessGroup([self.postgres, self.valkey, self.api, self.worker])


@contextmanager
def open_deployment(folder: Path, **more: str) -> Iterator[Deployment]:
    """Start everything, with settings beside the usual ones; stop it at the end. Not inside an event loop."""
    servers = start_for_tests()
    try:
        asyncio.run(migrate(servers.database_url))
        port = str(free_port())  # one that stays the same when the API is replaced
        environment = environment_of(
            servers.database_url, servers.redis_url, folder / "data", TRAILGATE_PORT=port, **more
        )
        api = application("api", environment, folder / "api.log")
        worker = application("workers", environment, folder / "workers.log")
        deployment = Deployment(servers, api, worker, environment, folder)
        try:
            api.start()
            worker.start()
            served_address(folder / "api.log")
            yield deployment
        finally:
            ProcessGroup([worker, api]).stop()
    finally:
        servers.stop()
