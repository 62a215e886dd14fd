"""A private PostgreSQL and Valkey in one data directory, reachable only through Unix sockets.

The sockets are in a folder of mode 0700: its owner has full access to both servers, nobody else has any.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import asyncpg

from cli.embedded.account import serving_account
from cli.embedded.binaries import POSTGRES_BIN_VARIABLE, Binaries, locate_for
from cli.embedded.children import Child, StopStep
from cli.embedded.layout import Layout, create_root, locked, private_folder
from cli.embedded.leftovers import evict, remove_stale_locks
from cli.embedded.probes import postgres_answers, valkey_answers
from cli.embedded.supervisor import Supervisor
from domain.errors import Conflict, Invalid, Unavailable
from storage.settings import Settings

DATABASE = "trailgate"

_RECOVERY_PATIENCE = 300  # seconds; crash recovery replays at most max_wal_size
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
_POSTGRES_STOP = (StopStep(signal.SIGINT, 60), StopStep(signal.SIGQUIT, 5), StopStep(signal.SIGKILL, 5))
_VALKEY_STOP = (StopStep(signal.SIGTERM, 10), StopStep(signal.SIGKILL, 5))
_LEFT_BEHIND = (StopStep(signal.SIGINT, 60),)  # a running postmaster gets time to finish, and is never killed
_ORPHANED = (
    StopStep(signal.SIGQUIT, 5),
    StopStep(signal.SIGKILL, 5),
)  # backends whose postmaster died have nothing to save
_TESTING = {"fsync": "off", "full_page_writes": "off", "deadlock_timeout": "200ms"}
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "jit": "off",
    "timezone": "UTC",
    "max_wal_size": "512MB",
}


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of the servers.

    `durable=False` is for tests: a power failure may then lose data, but a killed process does not.
    `postgres_settings` are further PostgreSQL settings by name. `run_as` is the user to run the servers as when this
    process runs as root. `postgres_bin` is a folder of PostgreSQL programs to use instead of the wheel's.
    """

    durable: bool = True
    postgres_settings: Mapping[str, str | int] = field(default_factory=dict)
    run_as: str | None = field(default_factory=lambda: Settings().run_as)
    postgres_bin: Path | None = field(default_factory=lambda: Settings().postgres_bin)


class EmbeddedServers:
    """Both servers on one data directory, as a context manager. Start from the main thread, outside any event loop.

    `children` are PostgreSQL and Valkey, for a Supervisor that watches them together with other children.
    """

    def __init__(self, data_dir: Path, options: ServerOptions | None = None) -> None:
        self._options = options or ServerOptions()
        root = data_dir.expanduser().resolve()
        self._layout = Layout(root, serving_account(root / "postgres", self._options.run_as))
        self._sockets = self._layout.sockets
        self._supervisor = Supervisor(())
        self._opened = ExitStack()
        self.children: tuple[Child, ...] = ()

    @property
    def database_url(self) -> str:
        """The URL of the database, for asyncpg. The port only names the socket, and overrides PGPORT."""
        return f"postgresql://postgres@/{DATABASE}?{self._location}"

    @property
    def admin_url(self) -> str:
        """The URL of the database `postgres` on the same server, for creating and dropping others."""
        return f"postgresql://postgres@/postgres?{self._location}"

    @property
    def redis_url(self) -> str:
        """The URL of Valkey, for redis-py."""
        return f"unix://{quote(str(self._valkey_socket))}?db=0"

    def start(self) -> None:
        """Lock the data directory, stop leftover servers, create missing files, start both servers and wait for them.

        Raises Invalid for an unusable directory or missing programs, Conflict when another supervisor holds the
        directory, Unavailable when the file system refuses or a server does not start (with the end of its log).
        """
        root = self._layout.root
        create_root(root, passable=self._layout.account is not None)
        try:
            with ExitStack() as stack:
                stack.enter_context(locked(root))
                self._start(stack)
                self._opened = stack.pop_all()
        except OSError as error:
            raise Unavailable(f"cannot work in {root}: {error.strerror or error}") from error

    def tick(self) -> None:
        """Restart a server that died, for callers without their own Supervisor. Raises Unavailable as `start` does."""
        self._supervisor.tick()

    def stop(self) -> None:
        """Stop Valkey, then PostgreSQL, and unlock the directory. Do nothing when already stopped."""
        self._opened.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _location(self) -> str:
        return f"host={quote(str(self._sockets))}&port=5432"

    @property
    def _valkey_socket(self) -> Path:
        return self._sockets / "valkey.sock"

    def _start(self, stack: ExitStack) -> None:
        layout = self._layout
        layout.holder.unlink(missing_ok=True)
        layout.create()
        binaries = locate_for(layout.account, layout.binaries, self._options.postgres_bin)
        evict("postgres", layout.cluster, _LEFT_BEHIND)
        if layout.version.exists():
            _refuse_foreign_version(layout, binaries)
        else:
            self._make_cluster(binaries)
        self.children = (self._postgres(binaries), self._valkey(binaries))
        self._supervisor = Supervisor(self.children)
        stack.callback(self._remove_shared_folder)
        stack.callback(self._supervisor.stop)
        self._supervisor.start()
        asyncio.run(_create_database(self.admin_url))

    def _make_cluster(self, binaries: Binaries) -> None:
        """Run initdb in a draft folder, so that a cluster is complete or absent, even if this process is killed."""
        layout = self._layout
        draft = layout.root / "draft-postgres"
        evict("postgres", draft, _ORPHANED)
        shutil.rmtree(draft, ignore_errors=True)
        private_folder(draft, layout.account)
        initdb = self._server(
            "initdb",
            [
                *(binaries.tool("initdb"), "-D", draft, "-U", "postgres", "--encoding=UTF8"),
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--auth-local=trust", "--auth-host=reject", *([] if self._options.durable else ["--no-sync"])),
            ],
            death_signal=signal.SIGKILL,
        )
        initdb.start()
        try:
            status = initdb.wait()
        finally:
            initdb.stop()
        if status != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise Unavailable(f"initdb could not make a database in {layout.root}\n{initdb.tail()}")
        try:
            draft.rename(layout.cluster)
        except OSError as error:
            raise Invalid(f"{layout.cluster} holds files but no PostgreSQL data: {error.strerror}") from error

    def _postgres(self, binaries: Binaries) -> Child:
        settings = _SETTINGS | ({} if self._options.durable else _TESTING)
        settings |= {name: str(value) for name, value in self._options.postgres_settings.items()}
        settings["synchronous_commit"] = "on"  # always on: status 202 promises a durable commit
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._server(
            "postgres",
            [binaries.tool("postgres"), "-D", self._layout.cluster, "-k", self._sockets, *words],
            death_signal=signal.SIGINT,  # a fast shutdown; SIGTERM would wait for clients
            stopping=_POSTGRES_STOP,
            before_start=self._clear_postgres,
            probe=partial(postgres_answers, self._sockets / ".s.PGSQL.5432"),
        )

    def _valkey(self, binaries: Binaries) -> Child:
        cache = self._layout.cache
        return self._server(
            "valkey",
            [
                *(
                    binaries.valkey_server,
                    "--port",
                    "0",
                    "--unixsocket",
                    self._valkey_socket,
                    "--unixsocketperm",
                    "700",
                ),
                *("--dir", cache, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            ],
            death_signal=signal.SIGTERM,
            stopping=_VALKEY_STOP,
            before_start=partial(evict, "valkey-server", cache, _VALKEY_STOP),
            probe=partial(valkey_answers, self._valkey_socket),
        )

    def _server(self, name: str, argv: Sequence[str | Path], **behaviour: Any) -> Child:
        return Child(
            name,
            argv,
            _ENVIRONMENT,
            cwd=Path("/"),
            log=self._layout.logs / f"{name}.log",
            account=self._layout.account,
            patience=_RECOVERY_PATIENCE,
            **behaviour,
        )

    def _clear_postgres(self) -> None:
        evict("postgres", self._layout.cluster, _ORPHANED)
        remove_stale_locks(self._layout.cluster, self._sockets)

    def _remove_shared_folder(self) -> None:
        if self._sockets.parent != self._layout.root:
            shutil.rmtree(self._sockets, ignore_errors=True)


def _refuse_foreign_version(layout: Layout, binaries: Binaries) -> None:
    """Raise Conflict if another major version of PostgreSQL made the data: its programs cannot read them."""
    made_by, running = layout.version.read_text(errors="replace").strip(), binaries.postgres_major()
    if made_by != running:
        raise Conflict(
            f"{layout.cluster} was made by PostgreSQL {made_by[:10]!r}, but version {running} is installed: set "
            f"{POSTGRES_BIN_VARIABLE} to a folder with the programs of that version, or use another data directory and "
            "restore a backup into it.",
            "state",
        )


async def _create_database(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(
                f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'"
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
            )
    finally:
        await connection.close()
