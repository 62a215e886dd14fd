"""`trailgate api --processes`: several processes share an address, count together, and are replaced when they die."""

import http.client
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.embedded.children import stop_together, wait_until
from cli.processes import api_children, free_port, reserved_port
from storage.settings import Settings
from tests.cli.test_up import Running
from tests.conftest import Installation

pytestmark = pytest.mark.slow

NUMBER = 2


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1", 0)


@pytest.fixture
def running(own_installation: Installation, tmp_path: Path, port: int) -> Iterator[Running]:
    environment = own_installation.environment(tmp_path / "data", TRAILGATE_PORT=str(port), TRAILGATE_LOG_LEVEL="info")
    started = Running(["api", "--processes", str(NUMBER)], tmp_path / "output", **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def get(port: int, path: str) -> str:
    """Over a connection of its own, so that any of the processes may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode()
    finally:
        connection.close()


def counted(port: int) -> float:
    found = re.search(
        r'^trailgate_requests_total\{operation="live",status="200"\} (\S+)$', get(port, "/metrics"), re.MULTILINE
    )
    return float(found[1]) if found else 0


def wait_until_served(running: Running, times: int) -> None:
    began = time.monotonic()
    while running.shown.count("api.serving") < times:
        assert time.monotonic() - began < 60, running.shown
        time.sleep(0.05)


def test_processes_share_an_address(running: Running, port: int) -> None:
    wait_until_served(running, NUMBER)
    api = psutil.Process(running.process.pid).children()
    assert len(api) == NUMBER
    for _ in range(60):
        get(port, "/health/live")
    connections = [one for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port]
    listening = Counter(one.pid for one in connections if one.status == "LISTEN")
    assert set(listening) == {process.pid for process in api}
    assert {counted(port) for _ in range(20)} == {60}

    api[0].kill()
    wait_until_served(running, NUMBER + 1)
    assert len(psutil.Process(running.process.pid).children()) == NUMBER
    for _ in range(10):
        get(port, "/health/live")
    assert {counted(port) for _ in range(10)} == {70}

    status, seconds = running.stop(signal.SIGTERM)
    assert status == 0
    assert seconds < 15
    assert not any(process.is_running() for process in api)


def test_an_address_in_use_is_refused(running: Running, own_installation: Installation, tmp_path: Path) -> None:
    wait_until_served(running, NUMBER)
    port = re.search(r"'127\.0\.0\.1', (\d+)|127\.0\.0\.1\D+(\d+)", running.shown)
    assert port
    environment = own_installation.environment(tmp_path / "data", TRAILGATE_PORT=port[1] or port[2])
    second = Running(["api", "--processes", str(NUMBER)], tmp_path / "refused", **environment)
    assert second.process.wait(30) != 0
    assert "is in use" in second.shown


def test_of_two_that_start_together_one_is_refused(
    running: Running, own_installation: Installation, tmp_path: Path, port: int
) -> None:
    environment = own_installation.environment(tmp_path / "other", TRAILGATE_PORT=str(port))
    second = Running(["api", "--processes", str(NUMBER)], tmp_path / "second", **environment)
    try:
        assert wait_until(lambda: {running.process.poll(), second.process.poll()} > {None}, 30)
        refused = next(one for one in (running, second) if one.process.poll() is not None)
        assert "is in use" in refused.shown
    finally:
        second.process.kill()
        second.process.wait()


def test_a_process_that_hangs_at_its_start_is_not_ready(
    own_installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in own_installation.environment(tmp_path / "data").items():
        monkeypatch.setenv(name, value)
    with reserved_port("127.0.0.1", 0) as port:
        children = api_children(Settings(port=port, api_processes=NUMBER), tmp_path / "log")
        try:
            for child in children:
                child.start()
            well, hanging = children
            hanging.send(signal.SIGSTOP)
            assert wait_until(lambda: well.ready, 60)
            assert not hanging.ready
            hanging.send(signal.SIGCONT)
            assert wait_until(lambda: hanging.ready, 60)
        finally:
            hanging.send(signal.SIGCONT)
            stop_together(children)
