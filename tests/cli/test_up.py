"""Everything in one: the first start, the second, a refusal, and an orderly end. Real processes throughout."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import redis

from cli.installation import ROOT
from cli.processes import free_port, reachable_host
from cli.up import _key_command, _with_metrics
from domain.errors import Conflict, Invalid
from storage.identity.bootstrap import bootstrap
from storage.services import Services
from storage.settings import Settings
from tests.conftest import Installation
from tests.storage.world import World

KEY = re.compile(r"^    (tg_[0-9a-f]{64})$", re.MULTILINE)


class Running:
    """A command in a process of its own."""

    def __init__(self, words: list[str], output: Path, **environment: str) -> None:
        self.output = output
        command, env = [sys.executable, "-m", "cli", *words], os.environ | environment
        with output.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)

    @property
    def shown(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str, seconds: float = 90) -> float:
        """How long it took until the text was shown."""
        began = time.monotonic()
        while text not in self.shown:
            assert self.process.poll() is None, self.shown
            assert time.monotonic() - began < seconds, self.shown
            time.sleep(0.05)
        return time.monotonic() - began

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Status and seconds of an orderly end."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(30), time.monotonic() - began

    def child(self, module: str) -> psutil.Process:
        """Raises StopIteration while there is none."""
        children = psutil.Process(self.process.pid).children()
        living = (child for child in children if child.status() != psutil.STATUS_ZOMBIE)
        return next(child for child in living if child.cmdline()[1:3] == ["-m", module])


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*words: object, **environment: str) -> Running:
        started.append(Running([*map(str, words)], tmp_path / f"out{len(started)}", **environment))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(60)


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1", 0)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition; what is not there yet counts as "no"."""

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                if condition():
                    return
            except (OSError, http.client.HTTPException, StopIteration, psutil.Error):
                pass
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)

    return until


def key_command(shown: str) -> str:
    """The command for another key, as `up` printed it."""
    [command] = re.findall(r"To create another:\n +(\S.+)$", shown, re.MULTILINE)
    return command


def text(port: int, path: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def get(port: int, path: str, key: str | None = None) -> tuple[int, dict]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path, headers={"X-Api-Key": key} if key else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_the_first_start_shows_a_key_that_works_and_the_second_does_not_show_it(
    data_dir: Path, run, port: int, trailgate, until
) -> None:
    up = run("up", "--port", port, "--data-dir", data_dir)
    assert up.wait_for("Ctrl-C stops everything.") < 90
    address = f"http://127.0.0.1:{port}"
    for said in (
        f" {address}\n",
        f"{address}/swagger-ui.html",
        str(data_dir / "keys" / "master.key"),
        str(data_dir / "keys" / "signing.key"),
        f"{data_dir}-checkpoints",
        "Back up both keys",
    ):
        assert said in up.shown
    [key] = KEY.findall(up.shown)
    assert get(port, "/health/ready")[0] == 200
    assert get(port, "/api/v1/flows")[0] == 401
    assert get(port, "/api/v1/flows", key)[0] == 200
    [metrics] = re.findall(r"of the API, http://127\.0\.0\.1:(\d+)/metrics of the worker", up.shown)
    until(lambda: "trailgate_drained" in text(int(metrics), "/metrics"))
    assert "trailgate_inbox_waiting" in text(port, "/metrics")
    assert key[:11] in trailgate("keys", "list").out, "commands find the running servers"

    again = trailgate("up", "--port", port, "--data-dir", data_dir)
    assert (again.status, again.err) == (0, "")
    assert f"Trailgate is already running at {address}, on {data_dir}." in again.out
    assert f"`kill {up.process.pid}`" in again.out
    elsewhere = trailgate("up", "--port", 0, "--data-dir", data_dir)
    assert (elsewhere.status, elsewhere.out) == (2, "")
    assert f"already running at {address}" in elsewhere.err
    assert "set TRAILGATE_DATA_DIR and TRAILGATE_PORT" in elsewhere.err
    another = subprocess.run(key_command(up.shown), shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert get(port, "/api/v1/flows", another.stdout.strip())[0] == 200, another.stderr

    status, seconds = up.stop(signal.SIGINT)
    assert (status, up.shown.endswith("Stopped.\n")) == (0, True)
    assert seconds < 30
    assert not [p for p in psutil.process_iter() if p.status() != "zombie" and str(data_dir) in " ".join(p.cmdline())]

    warm = run("up", "--port", port, "--data-dir", data_dir, TRAILGATE_SHUTDOWN_GRACE="1")
    assert warm.wait_for("Ctrl-C stops everything.") < 60
    assert KEY.findall(warm.shown) == []
    assert get(port, "/api/v1/flows", key)[0] == 200
    assert warm.stop()[0] == 0


def test_external_servers_are_used_and_left_alone(
    configured: Installation, run, port: int, tmp_path: Path, trailgate
) -> None:
    up = run("up", "--port", port)
    up.wait_for("Ctrl-C stops everything.")
    assert KEY.findall(up.shown) == []
    assert "TRAILGATE_ADMIN_KEY" in up.shown
    assert get(port, "/api/v1/flows", "test-admin-key")[0] == 200
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["blobs", "keys", "logs", "processes"]
    status, seconds = up.stop()
    assert (status, seconds < 10) == (0, True), f"{seconds} s"
    assert trailgate("keys", "list").status == 0


def test_log_files_that_grew_too_large_are_rotated(
    configured: Installation, run, port: int, tmp_path: Path, until
) -> None:
    logs = tmp_path / "data" / "logs"
    logs.mkdir(parents=True)
    (logs / "api.log").write_text("old\n" * 20_000)
    up = run("up", "--port", port, TRAILGATE_LOG_FILE_SIZE="65536")
    up.wait_for("Ctrl-C stops everything.")
    until(lambda: (logs / "api.log.1").read_text().startswith("old\n" * 20_000))
    until(lambda: "api.serving" in (logs / "api.log").read_text() + (logs / "api.log.1").read_text())


@pytest.mark.slow
def test_processes_that_are_killed_come_back_and_five_deaths_are_the_end(
    configured: Installation, run, port: int, until
) -> None:
    up = run("up", "--port", port)
    up.wait_for("Ctrl-C stops everything.")
    worker = up.child("workers")
    worker.kill()
    until(lambda: up.child("workers").pid != worker.pid)
    for _ in range(4):
        killed = up.child("api")
        killed.kill()
        until(lambda: up.child("api").pid != killed.pid)  # noqa: B023
    up.child("api").kill()
    assert up.process.wait(30) == 2
    assert "api died 5 times in a minute" in up.shown
    assert "api.serving" in up.shown, "the tail of its log"


@pytest.mark.slow
def test_a_killed_up_takes_its_processes_along_and_the_next_one_serves(data_dir: Path, run, port: int) -> None:
    up = run("up", "--port", port, "--data-dir", data_dir)
    up.wait_for("Ctrl-C stops everything.")
    [key] = KEY.findall(up.shown)
    up.process.kill()
    up.process.wait()
    again = run("up", "--port", port, "--data-dir", data_dir)
    again.wait_for("Ctrl-C stops everything.")
    assert get(port, "/api/v1/flows", key)[0] == 200


MOMENTS: dict[str, Callable[[Running, Path], bool]] = {
    "folders": lambda _, data: (data / "valkey").exists(),
    "initdb": lambda _, data: (data / "draft-postgres" / "base").exists(),
    "cluster": lambda _, data: (data / "postgres").exists(),
    "servers": lambda _, data: (data / "run" / "valkey.sock").exists(),
    "migrations": lambda up, _: "Applied migrations" in up.shown,
    "keys": lambda _, data: (data / "keys" / "signing.key").exists(),
    "shown": lambda up, _: "API key" in up.shown,
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_first_start_that_is_killed_recovers_with_a_key(
    open_folder: Path, run, port: int, until, moment: str
) -> None:
    data = open_folder / "data"
    killed = run("up", "--port", port, "--data-dir", data)
    until(lambda: MOMENTS[moment](killed, data))
    killed.process.kill()
    killed.process.wait()
    again = run("up", "--port", port, "--data-dir", data)
    again.wait_for("Ctrl-C stops everything.")
    assert get(port, "/api/v1/flows", (KEY.findall(killed.shown) + KEY.findall(again.shown))[-1])[0] == 200
    again.stop()


def test_a_key_that_was_shown_but_not_stored_is_replaced_by_the_next_start(arrange) -> None:
    shown: list[str] = []

    async def start(services: Services) -> None:
        def show(text: str) -> None:
            shown.append(text)
            if len(shown) == 1:
                raise InterruptedError

        await bootstrap(services.database, None, services.signer, services.envelope, show_key=show)

    with pytest.raises(InterruptedError):
        arrange(start)
    arrange(start)
    arrange(start)
    assert len(shown) == 2


@pytest.mark.parametrize("name", ["master", "signing"])
def test_a_lost_key_is_not_replaced_in_silence(
    configured: Installation, trailgate, arrange, tmp_path: Path, name: str
) -> None:
    async def use(services: Services) -> None:
        world = await World.founded(services)
        await world.rule()

    arrange(use)
    lost = tmp_path / "data" / "keys" / f"{name}.key"
    lost.unlink()
    refused = trailgate("up", "--port", 0)
    assert refused.status == 2
    assert f"The {name} key is gone, but the database was written with one: restore {lost}" in refused.err
    assert not lost.exists()


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path, trailgate, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        refused = trailgate("up", "--port", number, "--data-dir", tmp_path / "data")
    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        f"trailgate: Port {number} on 127.0.0.1 is in use: choose another with --port or TRAILGATE_PORT.\n"
    )
    assert not (tmp_path / "data").exists()


def test_open_addresses_and_half_a_configuration_are_refused(tmp_path: Path, trailgate, monkeypatch) -> None:
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TRAILGATE_AUTH", "off")
    refused = trailgate("up", "--host", "0.0.0.0", "--port", 0)
    assert refused.status == 2
    assert "TRAILGATE_AUTH=off" in refused.err
    monkeypatch.delenv("TRAILGATE_AUTH")
    for name in ("TRAILGATE_DATABASE_URL", "TRAILGATE_REDIS_URL"):
        monkeypatch.setenv(name, "redis://localhost")
        refused = trailgate("up", "--port", 0)
        assert refused.status == 2
        assert "Set both" in refused.err
        monkeypatch.delenv(name)
    assert trailgate("up", "--port", "99999").status == 2
    assert "Cannot listen on 203.0.113.7" in trailgate("up", "--host", "203.0.113.7").err
    assert not (tmp_path / "data").exists()


def test_a_dead_database_ends_the_start_with_one_line(configured, trailgate, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRAILGATE_DATABASE_URL", f"postgresql://postgres@/x?host={tmp_path}")
    refused = trailgate("up", "--port", 0)
    assert refused.status == 2
    assert "cannot be reached" in refused.err


@pytest.mark.parametrize("command", ["api", "worker"])
def test_single_processes_need_addresses(command: str, trailgate, monkeypatch) -> None:
    for name in ("TRAILGATE_DATABASE_URL", "TRAILGATE_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    refused = trailgate(command)
    assert refused.status == 2
    assert "trailgate up" in refused.err


def test_api_and_worker_run_in_the_process_that_was_asked(configured: Installation, run, port: int, until) -> None:
    with closing(redis.Redis.from_url(configured.redis_url)) as client:
        client.flushdb()
        api, worker = run("api", TRAILGATE_PORT=str(port)), run("worker")
        until(lambda: get(port, "/health/ready")[0] == 200)
        until(lambda: client.exists("trailgate:wake-ups:health-check"))  # as compose.yaml asks
    for running, module in ((api, "api"), (worker, "workers")):
        assert psutil.Process(running.process.pid).cmdline()[-2:] == ["-m", module]
        status, seconds = running.stop()
        assert (status, seconds < 10) == (0, True), running.shown


@pytest.mark.parametrize(
    ("host", "local"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1"), ("localhost", "localhost")]
)
def test_a_wildcard_is_reached_through_loopback(host: str, local: str) -> None:
    assert reachable_host(host) == local


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"port": 8080, "worker_metrics_port": 9465}, 9465),
        ({"port": 8080, "worker_metrics_port": 9465, "host": "0.0.0.0"}, 9465),
        ({"port": 8080, "host": "0.0.0.0"}, 0),
        ({"port": 8080, "host": "192.0.2.7"}, 0),
    ],
)
def test_the_workers_metrics_are_opened_to_others_only_when_asked(given: dict, wanted: int) -> None:
    assert _with_metrics(Settings(**given)).worker_metrics_port == wanted


def test_the_command_for_a_key_is_what_the_user_has_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "keys create --name NAME --principal admin"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    default, elsewhere = Settings(), Settings(data_dir=tmp_path / "else where")
    launcher = tmp_path / "trailgate"
    launcher.touch(mode=0o700)
    monkeypatch.setattr(sys, "argv", [".venv/bin/trailgate", "up"])
    assert _key_command(default) == f".venv/bin/trailgate {words}"
    monkeypatch.setattr(sys, "argv", [str(launcher), "up"])
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert _key_command(default) == f"trailgate {words}"
    assert _key_command(elsewhere) == f"trailgate {words} --data-dir '{tmp_path}/else where'"
    assert _key_command(Settings(data_dir=tmp_path, database_url="postgresql:///x")) == f"trailgate {words}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_workers_metrics_find_a_port_beside_the_apis(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        beside = _with_metrics(Settings(host=host, port=number - 1000)).worker_metrics_port
        assert beside not in (0, number)
    assert _with_metrics(Settings(host=host, port=number - 1000)).worker_metrics_port == number
    assert _with_metrics(Settings(host=host, port=65_535)).worker_metrics_port > 0


def test_ports_are_tried_as_the_api_will_use_them() -> None:
    chosen = free_port("localhost", 0)
    assert chosen > 0
    assert free_port("127.0.0.1", chosen) == chosen
    with socket.create_server(("127.0.0.1", chosen)), pytest.raises(Conflict, match=str(chosen)):
        free_port("localhost", chosen)
    with pytest.raises(Invalid, match="Cannot listen"):
        free_port("no.such.host.invalid", 80)
