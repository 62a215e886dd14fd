"""A log that cannot be written never decides an answer."""

import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded.children import Child, wait_until
from cli.processes import _is_ready, free_port
from tests.conftest import ADMIN_KEY, Installation
from tests.journeys.processes import application

FULL = Path("/dev/full")
"""Every write to it fails as on a full disk."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1", 0)


@pytest.fixture
def api(own_installation: Installation, tmp_path: Path, port: int) -> Iterator[Child]:
    environment = own_installation.environment(tmp_path / "data", TRAILGATE_PORT=str(port), TRAILGATE_LOG_LEVEL="info")
    child = application("api", environment, FULL)
    child.start()
    yield child
    child.stop()


def answered(port: int, method: str, path: str, body: object = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"X-Api-Key": ADMIN_KEY, "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_what_was_stored_is_answered_so_and_lost_lines_are_counted(api: Child, port: int) -> None:
    assert wait_until(lambda: _is_ready("127.0.0.1", port), 60)
    assert [answered(port, "POST", "/api/v1/flows", {"name": f"flow {n}"})[0] for n in range(3)] == [201] * 3
    status, text = answered(port, "GET", "/metrics")
    assert status == 200
    [lost] = [line for line in text.splitlines() if line.startswith("trailgate_log_lines_lost_total ")]
    assert float(lost.partition(" ")[2]) > 3
    assert api.alive
