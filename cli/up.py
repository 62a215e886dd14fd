"""`trailgate up`: run everything in one process tree, until a signal stops it."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cli.checks.settings import examine_variables
from cli.embedded.children import Child, stop_together
from cli.embedded.layout import Layout, create_root
from cli.embedded.logfiles import LogFiles
from cli.embedded.servers import EmbeddedServers
from cli.embedded.space import Space
from cli.embedded.supervisor import Supervisor
from cli.installation import addressed, existing_authenticator, read_settings
from cli.output import note, say
from cli.processes import api_children, free_port, reachable_host, reserved_port, worker_child
from cli.running import RunningUp, note_running, running_up
from cli.schema import database_url
from domain.addresses import is_loopback
from domain.errors import Conflict, Invalid
from storage.identity.bootstrap import bootstrap
from storage.leases import release_leases
from storage.logs import configure_logs
from storage.migrations import migrate
from storage.services import NotConfigured, open_services
from storage.settings import Settings, default_data_dir, environment

_METRICS_ABOVE = 1000
"""The port of the worker's metrics is the API's port plus this."""


class Application(Supervisor):
    """The servers, worker and API; worker and API are stopped at the same time."""

    def __init__(
        self, servers: Sequence[Child], processes: Sequence[Child], watches: Sequence[Callable[[], None]]
    ) -> None:
        super().__init__((*servers, *processes))
        self._processes = processes
        self._watches = watches

    def tick(self) -> bool:
        """Check every child once, as Supervisor does, then whatever else is watched."""
        ready = super().tick()
        for watch in self._watches:
            watch()
        return ready

    def stop(self) -> None:
        """Stop the API and the worker at the same time, then the servers in reverse order."""
        stop_together(self._processes)
        super().stop()


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on, by default 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, by default 8080.")] = None,
) -> None:
    """Start everything: embedded servers unless URLs are set, then the worker and the API. Ctrl-C stops it."""
    from api.__main__ import check_exposure  # noqa: PLC0415 - other commands do not need the API's imports

    settings = read_settings(host=host, port=port)
    configure_logs(settings.log_level)
    check_exposure(settings)
    for finding in examine_variables(environment()):
        note(f"trailgate: {finding.found}: {finding.advice}")
    if _is_running_already(settings):
        return
    with reserved_port(settings.host, settings.port) as reserved:
        _run(_with_metrics(settings.model_copy(update={"port": reserved})))


def _is_running_already(settings: Settings) -> bool:
    """Tell of an `up` that runs on the data directory, and return whether it is the one that was asked for.

    Raises Conflict if it listens elsewhere.
    """
    running = running_up(settings.data_dir) if settings.database_url is None else None
    if running is None:
        return False
    there = f"Trailgate is already running at {running.address}, on {settings.data_dir}."
    stopping = f"press Ctrl-C in its terminal, or run `kill {running.pid}`"
    if (running.host, running.port) != (settings.host, settings.port):
        advice = "for a second installation set TRAILGATE_DATA_DIR and TRAILGATE_PORT"
        raise Conflict(f"{there} To stop it, {stopping}; {advice}.", "state")
    say(f"{there}\nTo stop it, {stopping}.")
    return True


def _run(chosen: Settings) -> None:
    with _servers(chosen) as (settings, servers):
        logs = LogFiles(Layout(settings.data_dir, None).logs, settings.log_file_size, settings.log_files)
        watches = [logs.rotate]
        if servers:
            space = Space(settings.data_dir, servers.admin_url, settings.disk_reserve)
            space.prepare()
            watches.append(space.check)
        _prepare(settings, alone=servers is not None)
        say("Starting worker and API …")
        processes = (worker_child(settings, logs.folder), *api_children(settings, logs.folder / "api.log"))
        application = Application(servers.children if servers else (), processes, watches)
        application.run(partial(_announce, settings, chosen))
        say("Stopped.")


def _with_metrics(settings: Settings) -> Settings:
    """Choose a port for the worker's metrics if none is set and the API listens on a loopback address only."""
    if settings.worker_metrics_port or not is_loopback(settings.host):
        return settings
    try:
        port = free_port(settings.host, (settings.port + _METRICS_ABOVE) % 2**16)
    except (Conflict, Invalid):
        port = free_port(settings.host, 0)
    return settings.model_copy(update={"worker_metrics_port": port})


@contextmanager
def _servers(settings: Settings) -> Iterator[tuple[Settings, EmbeddedServers | None]]:
    """Yield the settings with the servers' URLs, and the embedded servers, if any."""
    if (settings.database_url is None) != (settings.redis_url is None):
        raise NotConfigured(
            "Set both TRAILGATE_DATABASE_URL and TRAILGATE_REDIS_URL, or neither of them for embedded servers."
        )
    if settings.database_url is not None:
        create_root(settings.data_dir, passable=False)
        Layout(settings.data_dir, None).logs.mkdir(mode=0o700, exist_ok=True)
        yield settings, None
        return
    say(f"Starting PostgreSQL and Valkey in {settings.data_dir} …")
    with EmbeddedServers(settings.data_dir) as servers:
        yield addressed(settings, servers), servers


def _prepare(settings: Settings, *, alone: bool) -> None:
    """Migrate the schema; create the organisation `default` and the administrator, and print the new key.

    `alone`: the database is ours and its directory is locked, so a lease in it belongs to a worker that was killed.
    """
    if applied := asyncio.run(migrate(database_url(settings), existing_authenticator(settings))):
        say(f"Applied migrations: {', '.join(applied)}")
    asyncio.run(_bootstrap(settings, alone=alone))


async def _bootstrap(settings: Settings, *, alone: bool) -> None:
    fixed = settings.admin_key.get_secret_value() if settings.admin_key else None
    async with open_services(settings, "trailgate up") as services:
        if alone:
            async with services.database.transaction() as tx:
                await release_leases(tx)
        await bootstrap(services.database, fixed, services.signer, services.envelope, show_key=_show_key)


def _show_key(text: str) -> None:
    say(f"\n  The administrator's API key, shown only this once:\n\n    {text}\n")


def _announce(settings: Settings, chosen: Settings) -> None:
    """Tell how to use what runs; `chosen` are the settings without the URLs of embedded servers."""
    host = reachable_host(settings.host)
    address = settings.public_url.rstrip("/") if settings.public_url else _url(host, settings.port)
    if chosen.database_url is None:
        running = RunningUp(pid=os.getpid(), host=settings.host, port=settings.port, address=address)
        note_running(settings.data_dir, running)
    say(f"""
Trailgate is ready.

  address      {address}
  API docs     {address}/swagger-ui.html
  metrics      {address}/metrics of the API, {_worker_metrics(settings, host)}
  credentials  {_credentials(chosen)}
  master key   {_place(settings, "master")}
  signing key  {_place(settings, "signing")}
               Back up both keys separately from the database: without the first, webhook
               secrets cannot be decrypted; without the second, the ledger cannot be signed.
  checkpoints  {settings.checkpoints}
               Copy them to where this host cannot write: `trailgate verify --against FILE`.
  logs         {Layout(settings.data_dir, None).logs}

Ctrl-C stops everything.
""")


def _worker_metrics(settings: Settings, host: str) -> str:
    if not settings.worker_metrics_port:
        return "none of the worker: set TRAILGATE_WORKER_METRICS_PORT"
    return f"{_url(host, settings.worker_metrics_port)}/metrics of the worker"


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _credentials(settings: Settings) -> str:
    if settings.auth == "off":
        return "none needed: TRAILGATE_AUTH=off makes everybody an administrator"
    if settings.admin_key:
        return "send TRAILGATE_ADMIN_KEY as X-Api-Key"
    also = ", with the same TRAILGATE_DATABASE_URL" if settings.database_url else ""
    return f"send the administrator's key as X-Api-Key. To create another{also}:\n{' ' * 15}{_key_command(settings)}"


def _key_command(settings: Settings) -> str:
    """Return the command that creates a key of the administrator, as the user has to type it in another terminal."""
    command = f"{_launcher()} keys create --name NAME --principal admin"
    if settings.database_url or settings.data_dir == default_data_dir().absolute():
        return command
    return f"{command} --data-dir {shlex.quote(str(settings.data_dir))}"


def _launcher() -> str:
    """Return the words that start this program: the launcher as it was called, by its name alone if PATH has it."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m cli"
    found = shutil.which(called.name)
    on_path = found is not None and Path(found).resolve() == called.resolve()
    return called.name if on_path else shlex.quote(str(called))


def _place(settings: Settings, key: str) -> str:
    in_environment = getattr(settings, f"{key}_key") is not None
    return f"TRAILGATE_{key.upper()}_KEY" if in_environment else str(settings.keys_dir / f"{key}.key")
