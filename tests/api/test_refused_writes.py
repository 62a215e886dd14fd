"""When nothing can be stored: writes say so and when to try again, and everything else goes on."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from api.monitoring.health import REFUSING
from storage.blobs.store import BlobStore
from storage.services import Services, open_services
from tests.api.caller import Answer, Caller
from tests.api.uploading import Attested, objects, staged
from tests.api.webhooks.sending import github_headers, let_in
from tests.conftest import ADMIN_KEY, Installation
from tests.disks import mounted
from tests.storage.shifted import later

REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/16384/16869"' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON flows FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse BEFORE INSERT ON attestations FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse()
"""
FULL = "53100"
STATES = (
    *(FULL, "53000", "53200", "53400", "58000", "58030"),
    *("25006", "57014", "57P01", "57P02", "57P03", "08006", "40001", "40P01", "55P03"),
)


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[Caller]:
    async with TestClient(TestServer(build_app(services))) as client:
        yield Caller(client, ADMIN_KEY)


async def refuse(services: Services, state: str) -> None:
    """From now on these inserts fail with this SQLSTATE."""
    async with services.database.transaction() as tx:
        await tx.execute(REFUSE.format(state=state))


async def accept(services: Services) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("DROP FUNCTION refuse CASCADE")


def assert_says_when_to_come_back(refused: Answer) -> None:
    assert refused.json["error"] == "Service Unavailable"
    assert int(refused.headers["Retry-After"]) >= 1
    assert "base/" not in refused.text


@pytest.mark.parametrize("state", STATES)
async def test_what_postgres_cannot_do_now_is_to_be_tried_again(own_services: Services, state: str) -> None:
    async with serving(own_services) as caller:
        sender = await let_in(caller)
        trail = await caller.make_trail((await caller.make_flow())["id"])
        await refuse(own_services, state)
        attestation = {"type": "BUILD", "status": "PASSED"}
        assert_says_when_to_come_back(await caller.post("/flows", {"name": "refused"}, 503))
        assert_says_when_to_come_back(await caller.post(f"/trails/{trail['id']}/attestations", attestation, 503))
        assert_says_when_to_come_back(await sender.deliver(b"{}", github_headers(b"{}", "ping"), 503))
        await caller.get("/flows")
        await accept(own_services)
        await caller.post("/flows", {"name": "refused"})


async def test_readiness_says_that_the_disk_is_full_and_lets_readers_in(own_services: Services) -> None:
    async with serving(own_services) as caller:
        await refuse(own_services, FULL)
        assert "disk" in (await caller.post("/flows", {"name": "refused"}, 503)).json["message"]
        answer = (await caller.get("/health/ready")).json
        assert answer["status"] == "UP"
        assert answer["components"] == {"database": "UP", "writing": "DOWN", "redis": "UP"}
    async with serving(later(own_services, REFUSING + timedelta(seconds=1))) as caller:
        assert (await caller.get("/health/ready")).json["components"]["writing"] == "UP"


@asynccontextmanager
async def read_only(services: Services) -> AsyncIterator[None]:
    """New connections to the database cannot change it."""
    settings = {"default_transaction_read_only": "off"}
    connection = await asyncpg.connect(services.settings.database_url, server_settings=settings)
    name = await connection.fetchval("SELECT current_database()")
    try:
        await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await services.database.pool.expire_connections()
        yield
    finally:
        await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await connection.close()


async def test_a_database_in_read_only_mode_is_read_also_after_a_restart(own_services: Services) -> None:
    async with serving(own_services) as caller:
        await caller.get("/flows")
    async with read_only(own_services), serving(own_services) as caller:
        assert (await caller.get("/health/ready")).json["components"]["writing"] == "DOWN"
        assert_says_when_to_come_back(await caller.post("/flows", {"name": "refused"}, 503))
        await caller.get("/flows")


@asynccontextmanager
async def serving_on_a_small_disk(
    installation: Installation, folder: Path, size: str, reserve: int
) -> AsyncIterator["Small"]:
    """Evidence has a disk of its own."""
    blobs = folder / "blobs"
    blobs.mkdir()
    with mounted(blobs, size):
        settings = installation.settings(folder, disk_reserve=reserve)
        async with open_services(settings, "test") as services, serving(services) as caller:
            yield Small(blobs / "filler", services.blobs, await Attested.made(caller))


@dataclass(frozen=True)
class Small:
    """A small disk, the store on it, and an attestation to bring evidence for."""

    filler: Path
    store: BlobStore
    attested: Attested

    def fill(self, but: int) -> None:
        """Leave so many bytes free."""
        free = shutil.disk_usage(self.filler.parent).free
        self.filler.write_bytes(b"x" * (free - but))


async def test_evidence_leaves_the_reserve_free_and_nothing_behind(
    own_installation: Installation, tmp_path: Path
) -> None:
    async with serving_on_a_small_disk(own_installation, tmp_path, "3m", 2**20) as small:
        await small.attested.send(b"small")
        refused = await small.attested.send(b"x" * 5 * 2**20, status=503)
        assert_says_when_to_come_back(refused)
        assert "full" in refused.json["message"]
        small.fill(but=2**19)
        assert_says_when_to_come_back(await small.attested.send(b"tiny", status=503))
        assert await small.attested.names() == ["a.txt"]
        assert (len(objects(small.store)), staged(small.store)) == (1, [])


@pytest.mark.parametrize("left", [0, 4096])
async def test_a_disk_that_is_full_to_the_last_byte(own_installation: Installation, tmp_path: Path, left: int) -> None:
    async with serving_on_a_small_disk(own_installation, tmp_path, "1m", 0) as small:
        small.fill(but=left)
        assert_says_when_to_come_back(await small.attested.send(b"x" * 10_000, status=503))
        assert (await small.attested.names(), staged(small.store)) == ([], [])
