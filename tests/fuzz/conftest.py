"""A live server over a database of its own, with one of everything in it, and the document it serves."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests
import schemathesis
from aiohttp.test_utils import TestClient, TestServer
from schemathesis.schemas import BaseSchema

from api.app import build_app
from storage.services import open_services
from tests.api.caller import Caller
from tests.api.walks import SERVED, within_its_requests
from tests.api.world import make_whole_world
from tests.conftest import ADMIN_KEY, Installation, Worker
from tests.fuzz.live import Live
from workers.drain import drain
from workers.seal import Sealer

__all__ = ["within_its_requests"]


@pytest.fixture(scope="session")
def live(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """In a thread of its own, because the generator of requests is not asynchronous."""
    with worker.new_installation("fuzz") as installation:
        server = Live()
        thread = threading.Thread(
            target=asyncio.run, args=[_serve(server, installation, tmp_path_factory.mktemp("fuzz"))]
        )
        thread.start()
        assert server.ready.wait(60)
        try:
            yield server
        finally:
            server.over.set()
            thread.join()


async def _serve(live: Live, installation: Installation, folder: Path) -> None:
    async with _filled(live, installation, folder):
        live.ready.set()
        await asyncio.to_thread(live.over.wait)


@asynccontextmanager
async def _filled(live: Live, installation: Installation, folder: Path) -> AsyncIterator[None]:
    async with open_services(installation.settings(folder), "fuzz") as services:
        app = build_app(services)
        app.on_response_prepare.append(SERVED.count)
        server = TestServer(app)
        async with TestClient(server) as client:
            live.address = str(server.make_url("")).rstrip("/")
            live.world = await make_whole_world(Caller(client, ADMIN_KEY))
            await drain(services)
            await Sealer()(services)
            yield


@pytest.fixture(scope="session")
def schema(live: Live) -> BaseSchema:
    """As a stranger finds it."""
    return schemathesis.openapi.from_dict(requests.get(f"{live.address}/openapi.json", timeout=30).json())
