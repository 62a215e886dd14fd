"""What a worker counts, and where it is fetched."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from cli.installation import ROOT
from cli.processes import free_port
from domain.errors import Conflict
from storage.services import Services
from storage.settings import Settings
from tests.conftest import Installation
from tests.storage.world import World
from workers.drain import drain
from workers.metrics import HIGHEST_PORT, PORTS, metrics_served
from workers.seal import Sealer
from workers.sweeps import sweep


def free_ports(number: int) -> int:
    """The first of so many neighbours that are free."""
    while True:
        first = free_port("127.0.0.1", 0)
        try:
            return min([free_port("127.0.0.1", first + n) for n in range(number)])
        except (Conflict, OverflowError):
            continue


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Growth:
    """How far counters have grown since this was made."""

    def __init__(self, *wanted: tuple[str, dict[str, str]]) -> None:
        self._before = {json.dumps([name, labels]): counted(name, **labels) for name, labels in wanted}

    def __call__(self) -> list[float]:
        found = {key: json.loads(key) for key in self._before}
        return [counted(name, **labels) - self._before[key] for key, (name, labels) in found.items()]


async def fetched(port: int, path: str = "/metrics") -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def test_deliveries_are_counted_by_what_became_of_them(world: World) -> None:
    config = await world.config(await world.flow())
    outcomes = [("trailgate_drained_total", {"outcome": one}) for one in ("processed", "failed", "retried")]
    growth = Growth(*outcomes, ("trailgate_drain_batch_seconds_count", {}))
    await world.deliver(world.arrival(config, "good"), world.arrival(config, "bad", body=b'{"action": 7}'))
    await drain(world.services)
    assert growth()[:3] == [1, 1, 0]
    assert growth()[3] >= 1


async def test_a_delivery_that_broke_and_one_that_waits_for_postgres(world: World) -> None:
    flow = await world.flow()
    config = await world.config(flow)
    growth = Growth(*(("trailgate_drained_total", {"outcome": one}) for one in ("processed", "failed", "retried")))
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE flows SET archived_at = now() WHERE id = $1", flow.id)
    await world.deliver(world.arrival(config, "unwanted"))
    await drain(world.services)
    assert growth() == [0, 1, 0]
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE flows SET archived_at = NULL WHERE id = $1", flow.id)
        await tx.execute(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = 'disk_full'; END $$"
        )
        await tx.execute("CREATE TRIGGER late BEFORE INSERT ON trails EXECUTE FUNCTION late()")
    await world.deliver(world.arrival(config, "early"))
    await drain(world.services)
    assert growth() == [0, 1, 1]


async def test_what_is_sealed_and_signed_is_counted(world: World) -> None:
    await world.trail(await world.flow())
    growth = Growth(("trailgate_sealed_total", {}), ("trailgate_checkpoints_signed_total", {}))
    async with world.services.database.read() as reader:
        events = await reader.value("SELECT count(*) FROM unsealed")
        organisations = await reader.value("SELECT count(DISTINCT org_id) FROM unsealed")
    await Sealer()(world.services)
    assert growth() == [events, organisations]
    await Sealer()(world.services)
    assert growth() == [events, organisations]


async def test_a_publication_that_fails_is_counted(world: World) -> None:
    await world.trail(await world.flow())
    growth = Growth(("trailgate_checkpoints_unpublished_total", {}))
    world.services.settings.checkpoints.write_text("in the way of the folder")
    await Sealer()(world.services)
    assert growth()[0] >= 1


async def test_a_sweep_that_fails_is_counted_by_its_name(own_services: Services) -> None:
    growth = Growth(*(("trailgate_sweep_failures_total", {"sweep": one}) for one in ("counters", "wake_ups")))
    async with own_services.database.transaction() as tx:
        await tx.execute("ALTER TABLE counter_deltas RENAME TO counter_deltas_elsewhere")
    await sweep(own_services)
    assert growth() == [1, 0]


def settings(port: int, host: str = "127.0.0.1") -> Settings:
    return Settings(worker_metrics_port=port, host=host)


async def test_without_a_port_nothing_is_served() -> None:
    with capture_logs() as logs:
        async with metrics_served(settings(0)) as port:
            assert port is None
    assert logs == []


async def test_the_numbers_are_served_in_prometheus_text_and_nothing_else_is() -> None:
    async with metrics_served(settings(free_ports(1))) as port:
        assert port
        status, text = await fetched(port)
        names = {family.name for family in text_string_to_metric_families(text)}
        assert status == 200
        assert {"trailgate_drained", "trailgate_sealed", "process_resident_memory_bytes"} <= names
        assert (await fetched(port, "/"))[0] == 404
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetched(port)


async def test_workers_of_one_machine_take_one_port_after_the_other() -> None:
    first = free_ports(3)
    async with metrics_served(settings(first)) as one, metrics_served(settings(first)) as two:
        assert (one, two) == (first, first + 1)
        assert (await fetched(first + 1))[0] == 200
        async with metrics_served(settings(first)) as three:
            assert three == first + 2
    async with metrics_served(settings(first)) as again:
        assert again == first


async def test_when_every_port_is_taken_the_worker_works_and_the_log_says_so() -> None:
    first = free_ports(PORTS)
    async with AsyncExitStack() as stack:
        for _ in range(PORTS):
            await stack.enter_async_context(metrics_served(settings(first)))
        with capture_logs() as logs:
            assert await stack.enter_async_context(metrics_served(settings(first))) is None
    assert [(line["event"], str(first) in line["error"]) for line in logs] == [("metrics.unserved", True)]


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
async def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with capture_logs() as logs:
        async with metrics_served(settings(9465, host)) as port:
            assert port is None
    assert [line["event"] for line in logs] == ["metrics.unserved"]


async def test_no_port_beyond_the_last_is_tried() -> None:
    async with metrics_served(settings(HIGHEST_PORT)) as one, metrics_served(settings(HIGHEST_PORT)) as two:
        assert (one, two) == (HIGHEST_PORT, None)


async def test_a_worker_process_serves_its_numbers_until_it_stops(
    own_installation: Installation, tmp_path: Path
) -> None:
    port = free_ports(1)
    told = {"TRAILGATE_WORKER_METRICS_PORT": str(port), "TRAILGATE_SHUTDOWN_GRACE": "1"}
    environment = own_installation.environment(tmp_path / "data", **told)
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "workers"], cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
        )
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    status, text = await fetched(port)
                    break
                except aiohttp.ClientConnectorError:
                    assert worker.poll() is None, (tmp_path / "log").read_text()
                    await asyncio.sleep(0.1)
    finally:
        worker.send_signal(signal.SIGTERM)
    assert (status, "trailgate_relay_attempt_seconds" in text) == (200, True)
    assert await asyncio.to_thread(worker.wait, 30) == 0
