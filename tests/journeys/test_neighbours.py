"""Two organisations in one API process: while one floods it, the other is still served.

What the quiet one gets beside the flood is compared with what it gets alone just before and after: whatever else the
machine has to do then slows down both.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import pytest
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from storage.services import Services, open_services
from tests.api.caller import V1, Caller, found_organisation
from tests.conftest import Installation
from tests.journeys.player import pack
from tests.journeys.processes import ProcessGroup, application, environment_of, served_address, settings_of
from tests.paths import ROOT

ROUNDS = 7
WINDOW = 2.0
"""Seconds of one measurement."""
PAUSE = 0.03
"""Seconds that each of the quiet one's connections rests after an answer: it has something to do, and not too much."""
START = 1.0
"""Seconds until the flood has risen."""
TRAILS = 8
LISTED = 100
"""Attestations on each trail before the first request is measured."""
REPORT = json.dumps({"type": "TEST", "status": "PASSED", "name": "unit", "details": "412 tests, 0 failures"}).encode()
FILE = b'{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "s"}}, "results": []}]}' + b" " * 400_000

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Neighbour:
    """An organisation with trails to attest, and attestations that wait for files."""

    key: str
    trails: tuple[str, ...]
    attestations: tuple[str, ...]

    @classmethod
    async def founded(cls, client: TestClient[Any, Any], services: Services) -> "Neighbour":
        caller: Caller = await found_organisation(client, services)
        flow = await caller.make_flow()
        trails = [(await caller.make_trail(flow["id"]))["id"] for _ in range(TRAILS)]
        for trail in trails:
            await asyncio.gather(*(caller.attest(trail) for _ in range(LISTED)))
        attestations = [(await caller.attest(trail, "SARIF", "PENDING"))["id"] for trail in trails]
        return cls(str(caller.key), tuple(trails), tuple(attestations))

    def reports(self) -> list[bytes]:
        """An attestation for each trail."""
        return [self._post(f"/trails/{trail}/attestations", REPORT) for trail in self.trails]

    def faulty_reports(self) -> list[bytes]:
        """Every second one for a trail that does not exist."""
        faulty = [self._post(f"/trails/{uuid4()}/attestations", REPORT) for _ in self.trails]
        return [report for pair in zip(self.reports(), faulty, strict=True) for report in pair]

    def uploads(self) -> list[bytes]:
        """A report of a scan for each attestation."""
        return [self._post(f"/evidence/{one}", FILE, "text/plain") for one in self.attestations]

    def lists(self) -> list[bytes]:
        """A page of attestations for each trail."""
        return [self._head("GET", f"/trails/{trail}/attestations?size=100") + b"\r\n" for trail in self.trails]

    def streams(self) -> list[bytes]:
        """The live notifications."""
        return [self._head("GET", "/notifications/stream") + b"\r\n"]

    def _post(self, path: str, body: bytes, media: str = "application/json") -> bytes:
        return (
            self._head("POST", path) + f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )

    def _head(self, method: str, path: str) -> bytes:
        return f"{method} {V1}{path} HTTP/1.1\r\nHost: t\r\nX-Api-Key: {self.key}\r\n".encode()


@dataclass(frozen=True)
class Street:
    """An API process with two organisations."""

    port: int
    folder: Path
    quiet: Neighbour
    busy: Neighbour

    def play(
        self, requests: list[bytes], connections: int, seconds: float, pause: float, niceness: int = 0
    ) -> subprocess.Popen[bytes]:
        file = self.folder / uuid4().hex
        file.write_bytes(pack(requests))
        player = [sys.executable, "-m", "tests.journeys.player", str(self.port), str(connections), str(seconds)]
        return subprocess.Popen(
            ["nice", "-n", str(niceness), *player, str(pause), str(file)], cwd=ROOT, stdout=subprocess.PIPE
        )


@pytest.fixture
def street(own_installation: Installation, tmp_path: Path) -> Iterator[Street]:
    environment = environment_of(
        own_installation.database_url,
        own_installation.redis_url,
        tmp_path / "data",
        TRAILGATE_EVIDENCE_MAX_FILES="1000000",  # more than a flood uploads
    )
    api = application("api", environment, tmp_path / "api.log")
    group = ProcessGroup([api])
    group.attend()

    async def found() -> list[Neighbour]:
        async with (
            open_services(settings_of(environment), "test") as services,
            TestClient(TestServer(build_app(services))) as client,
        ):
            return [await Neighbour.founded(client, services) for _ in range(2)]

    try:
        port = int(served_address(tmp_path / "api.log").rpartition(":")[2])
        quiet, busy = asyncio.run(found())
        yield Street(port, tmp_path, quiet, busy)
    finally:
        group.stop()


FLOODS: dict[str, tuple[Callable[[Neighbour], list[bytes]], int, int]] = {
    "writes": (Neighbour.reports, 64, 201),
    "faulty writes": (Neighbour.faulty_reports, 64, 404),
    "uploads": (Neighbour.uploads, 16, 201),
    "lists": (Neighbour.lists, 64, 200),
    "streams": (Neighbour.streams, 300, 429),
}
"""What the busy organisation sends, over how many connections, and a status that it must get."""


def seen(player: subprocess.Popen[bytes]) -> tuple[dict[str, int], list[float]]:
    output, _ = player.communicate()
    assert player.returncode == 0
    told = json.loads(output)
    return told["statuses"], told["seconds"]


def quiet_window(street: Street) -> list[float]:
    """The seconds of each answer to the quiet organisation, which gets nothing but successes."""
    statuses, seconds = seen(street.play(street.quiet.reports(), 4, WINDOW, PAUSE))
    assert list(statuses) == ["201"]
    return seconds


def busy_window(street: Street, flood: str) -> list[float]:
    """The same while the busy organisation floods."""
    requests, connections, status = FLOODS[flood]
    flooding = street.play(requests(street.busy), connections, START + WINDOW + 0.5, 0, niceness=10)
    with suppress(subprocess.TimeoutExpired):
        flooding.wait(START)
    seconds = quiet_window(street)
    statuses, _ = seen(flooding)
    assert statuses.get(str(status), 0) > 0, f"there was no flood: {statuses}"
    return seconds


def p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[-1]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_leaves_the_quiet_one_half_its_throughput_and_three_times_its_latency(
    street: Street, flood: str
) -> None:
    quiet_window(street)
    rates, latencies = [], []
    before = quiet_window(street)
    for _ in range(ROUNDS):
        beside = busy_window(street, flood)
        after = quiet_window(street)
        rates.append(2 * len(beside) / len(before + after))
        latencies.append(p99(beside) / p99(before + after))
        before = after
    assert (median(rates) >= 0.5, median(latencies) <= 3) == (True, True), (rates, latencies)
