"""Run the API and worker processes: in place of this process, and as children of `up`."""

import errno
import http.client
import ipaddress
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from cli.embedded.children import Child
from cli.embedded.layout import create_root
from cli.embedded.supervisor import Supervisor
from cli.installation import ROOT, read_settings
from domain.errors import Conflict, Invalid
from storage.logs import configure_logs
from storage.services import NotConfigured
from storage.settings import Settings, environment

_READY_PATIENCE = 60
_PROBE_TIMEOUT = 2
_IPV4 = 4


def api(
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Number of processes that share the address, by default 1.")
    ] = None,
) -> None:
    """Run the API. The URLs of PostgreSQL and Redis must be set."""
    settings = _configured(read_settings(api_processes=processes))
    if settings.api_processes == 1:
        _become("api", settings)
    configure_logs(settings.log_level)
    create_root(settings.data_dir, passable=False)
    with reserved_port(settings.host, settings.port) as port:
        Supervisor(api_children(settings.model_copy(update={"port": port}))).run()


def worker() -> None:
    """Run one worker process. The URLs of PostgreSQL and Redis must be set."""
    _become("workers", _configured(read_settings()))


def _configured(settings: Settings) -> Settings:
    if settings.database_url is None or settings.redis_url is None:
        raise NotConfigured("Set TRAILGATE_DATABASE_URL and TRAILGATE_REDIS_URL, or run `trailgate up`.")
    return settings


def _become(module: Literal["api", "workers"], settings: Settings) -> NoReturn:
    os.chdir(ROOT)
    os.execve(sys.executable, [sys.executable, "-m", module], environment_of(settings))  # noqa: S606 - no shell wanted


def environment_of(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the settings that a command line may change.

    Paths are absolute, as the new process has another working directory.
    """
    values = {
        "TRAILGATE_DATABASE_URL": settings.database_url,
        "TRAILGATE_REDIS_URL": settings.redis_url,
        "TRAILGATE_DATA_DIR": settings.data_dir,
        "TRAILGATE_CHECKPOINT_DIR": settings.checkpoint_dir,
        "TRAILGATE_HOST": settings.host,
        "TRAILGATE_PORT": settings.port,
        "TRAILGATE_WORKER_METRICS_PORT": settings.worker_metrics_port,
    }
    return {**environment(), **{name: str(value) for name, value in values.items() if value is not None}}


def worker_child(settings: Settings, logs: Path) -> Child:
    """Return a worker process for a supervisor."""
    command = [sys.executable, "-m", "workers"]
    return Child("worker", command, environment_of(settings), cwd=ROOT, log=logs / "worker.log")


def api_children(settings: Settings, log: Path | None = None) -> list[Child]:
    """Return the API processes for a supervisor, as many as the settings say; they share a reserved port.

    The folder `processes` in the data directory has a file for each process that listens and, when there are several,
    their counters (`api.monitoring.metrics`).
    """
    folder = settings.data_dir.absolute() / "processes" / f"api-{settings.port}"
    shutil.rmtree(folder, ignore_errors=True)
    return [_api_child(settings, folder, number, log) for number in range(settings.api_processes)]


def _api_child(settings: Settings, folder: Path, number: int, log: Path | None) -> Child:
    listens, counters = folder / f"{number}.listens", folder / "counters"
    command = [sys.executable, "-m", "api", "--share", "--listens", str(listens)]
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(counters)} if settings.api_processes > 1 else {}
    host = reachable_host(settings.host)

    def prepare() -> None:
        counters.mkdir(mode=0o700, parents=True, exist_ok=True)
        listens.unlink(missing_ok=True)

    return Child(
        "api",
        command,
        {**environment_of(settings), **shared},
        cwd=ROOT,
        log=log,
        before_start=prepare,
        probe=lambda: listens.exists() and _is_ready(host, settings.port),
        patience=_READY_PATIENCE,
    )


def _is_ready(host: str, port: int) -> bool:
    """Return whether a process at this address is ready; which one of several, the kernel chooses."""
    connection = http.client.HTTPConnection(host, port, timeout=_PROBE_TIMEOUT)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def reachable_host(host: str) -> str:
    """Return the host at which local clients reach a server that listens on `host`, which may be a wildcard."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == _IPV4 else "::1"


def free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0. Raises Conflict when it is in use, Invalid when it cannot be used."""
    with ExitStack() as sockets:
        return _bind(sockets, host, port)


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Yield the port, or a free one for 0, and keep other installations from it; raises like `free_port`.

    Reserved before anything starts; otherwise the supervisor would report a port in use only after the API has died
    five times. Only sockets with SO_REUSEPORT, such as those of `python -m api --share`, can be bound beside this one.
    """
    port = free_port(host, port)
    with ExitStack() as sockets:
        yield _bind(sockets, host, port, socket.SO_REUSEPORT)


def _bind(sockets: ExitStack, host: str, port: int, *options: int) -> int:
    """Bind a socket with these options to each address of the host, and return the port."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            listener = sockets.enter_context(socket.socket(family, kind, protocol))
            for option in (socket.SO_REUSEADDR, *options):
                listener.setsockopt(socket.SOL_SOCKET, option, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((*address[:1], port, *address[2:]))
            # It was for connections of a former process. From now on it would let others bind to this port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            port = listener.getsockname()[1]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} on {host} is in use: choose another with --port or TRAILGATE_PORT."
            raise Conflict(message, "state") from error
        raise Invalid(f"Cannot listen on {host} port {port}: {error.strerror or error}") from error
    return port
