"""Postgres: one connection pool per process, and transactions that carry one time and one source of ids.

asyncpg runs every statement as text; SQLAlchemy describes the tables and drives the migrations (ADR 0007).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
import structlog

from domain.errors import Unavailable
from domain.identity.quotas import DEFAULTS, Quotas
from storage.authenticator import Authenticator
from storage.clock import Clock
from storage.ids import Ids
from storage.jsonb import read_jsonb, write_jsonb
from storage.schedule.wakeups import Job
from storage.slots import Slots

log = structlog.get_logger()

Row = Mapping[str, Any]
"""A row by column name: an asyncpg Record, which behaves as a Mapping although its type stubs do not say so."""

UNREACHABLE = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError)
"""Errors raised while Postgres restarts or cannot be reached: the statement itself is not at fault."""

STATEMENTS = 1000
"""Prepared statements cached per connection: more than the program has, so that each is prepared only once."""

TIMEOUT_ACQUIRE = 10
"""Seconds that a caller waits for a connection."""

TIMEOUT_CLOSE = 3
"""Seconds that busy connections get to finish when the pool closes."""

LONG = 3600.0
"""Timeout in seconds for a statement over whole tables."""

PAUSE_LISTEN = 0.2
"""Seconds before `listen` reconnects after it lost its connection."""

LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state": the server ended an idle connection that was just taken
)
"""Errors raised when the connection is lost during a statement; a commit may or may not have been applied."""

CONTENDED = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
"""Errors of a transaction that was rolled back because of another one: the same again is likely to succeed."""

TRANSIENT = (
    *UNREACHABLE,
    *CONTENDED,
    Unavailable,
    TimeoutError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)
"""Errors that a retry may cure: a restart, a full disk, a deadlock, a timeout."""

_UNAVAILABLE: Mapping[tuple[type[BaseException], ...], tuple[str, int]] = {
    (asyncpg.DiskFullError,): ("The disk of the database is full; nothing can be stored until it has space again.", 60),
    (asyncpg.ReadOnlySQLTransactionError,): ("The database accepts no changes at the moment; try again later.", 10),
    (asyncpg.InsufficientResourcesError, asyncpg.PostgresSystemError): (
        "The database lacks a resource that it needs for this; try again shortly.",
        2,
    ),
    (asyncpg.QueryCanceledError,): ("The database took too long for this; try again shortly.", 2),
    LOST: ("The connection to the database was lost; try again shortly.", 2),
}
"""What a caller is told, with the seconds before it should try again. The first entry that fits counts."""

NOT_AT_FAULT = tuple(kind for kinds in _UNAVAILABLE for kind in kinds)
"""Errors for which neither the statement nor its caller can be blamed: they become Unavailable."""


class Reader:
    """A connection for reading. Arguments are positional: `$1`, `$2` and so on."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def rows(self, sql: str, *args: Any) -> list[Row]:
        """Return every row."""
        return cast("list[Row]", await self.connection.fetch(sql, *args))

    async def row(self, sql: str, *args: Any) -> Row | None:
        """Return the first row, or None."""
        return cast("Row | None", await self.connection.fetchrow(sql, *args))

    async def value(self, sql: str, *args: Any) -> Any:
        """Return the first column of the first row, or None."""
        return await self.connection.fetchval(sql, *args)


class Transaction(Reader):
    """A connection inside a transaction. `now` is the one timestamp of everything the transaction writes.

    `audited` are the organisations with new audit events, `quotas` those of organisations without limits of their own.
    """

    def __init__(
        self, connection: asyncpg.Connection, now: datetime, ids: Ids, authenticator: Authenticator, quotas: Quotas
    ) -> None:
        super().__init__(connection)
        self.now = now
        self.authenticator = authenticator
        self.quotas = quotas
        self.wakes: set[Job] = set()
        self.audited: set[UUID] = set()
        self._ids = ids

    def wake(self, job: Job) -> None:
        """Wake a job after the commit; called by every command that leaves work for it."""
        self.wakes.add(job)

    def new_id(self) -> UUID:
        """Return a new UUIDv7."""
        return self._ids.new()

    async def execute(self, sql: str, *args: Any) -> int:
        """Run a statement and return the number of rows it affected."""
        tag = await self.connection.execute(sql, *args)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


class _RolledBack(Exception):  # noqa: N818 - a signal, not an error
    """Raised to roll back the transaction of a dry run."""


@dataclass(slots=True)
class Writing:
    """When PostgreSQL last refused a change because its disk is full; for readiness."""

    refused_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Database:
    """The connection pool; the clock, id source and quotas of its transactions; the function that wakes workers."""

    pool: asyncpg.Pool
    clock: Clock
    ids: Ids
    quotas: Quotas
    wake: Callable[[Job], None]
    connect: Callable[[], Awaitable[asyncpg.Connection]]
    """Opens a connection outside the pool."""
    authenticator: Authenticator
    slots: Slots
    """The connections for owners."""
    writing: Writing
    owner: Hashable = None
    """Whose connections are counted; None for the process itself."""
    audited: set[UUID] = field(default_factory=set)
    """The organisations whose audit events this process has committed; emptied by whoever raises high-water marks."""

    def of(self, owner: Hashable) -> "Database":
        """Return the same database, with a fair share of the connections for this owner, an organisation."""
        pool, wake, connect = self.pool, self.wake, self.connect
        shared = self.authenticator, self.slots, self.writing
        return Database(pool, self.clock, self.ids, self.quotas, wake, connect, *shared, owner, self.audited)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        """Yield a connection outside any transaction: each statement sees what is committed when it starts."""
        async with self._acquire() as connection:
            yield Reader(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Yield a connection on one snapshot: every statement sees the database as it was at the first one."""
        async with self._acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield Reader(connection)

    @asynccontextmanager
    async def transaction(self, *, dry_run: bool = False) -> AsyncIterator[Transaction]:
        """Run a transaction, then send its wake-ups. A dry run checks everything, constraints too, and rolls back."""
        async with self._acquire() as connection:
            tx = self._begun(connection)
            try:
                async with connection.transaction():
                    yield tx
                    if dry_run:
                        raise _RolledBack  # noqa: TRY301 - the exception must leave the block to roll back
            except _RolledBack:
                return
        self.audited.update(tx.audited)
        for job in tx.wakes:
            self.wake(job)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """Run a single statement, which is its own transaction, without the round trips for BEGIN and COMMIT."""
        async with self._acquire() as connection:
            tx = self._begun(connection)
            yield tx
        for job in tx.wakes:
            self.wake(job)

    async def analyze(self) -> None:
        """Update the planner's statistics of every table, as needed after a bulk load."""
        async with self.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 0")
            await tx.connection.execute("ANALYZE", timeout=LONG)

    async def listen(self, channel: str, received: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        """LISTEN on a channel for ever, over a connection of its own; call `received` with each payload.

        `reconnected` is called after the first LISTEN and after every reconnect: notifications sent while the
        connection was down are lost. Only the first of several failures to connect is logged.
        """
        reported = False
        while True:
            try:
                await _listen(await self.connect(), channel, received, reconnected)
                reported = False
            except Exception as error:  # noqa: BLE001 - whatever it was, a later connection may succeed
                if not reported:
                    log.warning("database.not_listening", channel=channel, error=type(error).__name__)
                reported = True
            await asyncio.sleep(PAUSE_LISTEN)

    def within(self, tx: Transaction) -> "JoinedDatabase":
        """Return a database that works inside an open transaction and is committed or rolled back with it."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return JoinedDatabase(**{**shared, "wake": tx.wake}, connection=tx.connection)

    def rehearsed(self) -> "RehearsedDatabase":
        """Return a database whose transactions do everything and are rolled back."""
        return RehearsedDatabase(**{name: getattr(self, name) for name in _SHARED})

    def _begun(self, connection: asyncpg.Connection) -> Transaction:
        return Transaction(connection, self.clock.now(), self.ids, self.authenticator, self.quotas)

    @asynccontextmanager
    async def _acquire(self) -> AsyncIterator[asyncpg.Connection]:
        if self.owner is None:
            async with self._pooled() as connection:
                yield connection
            return
        async with self.slots.taken(self.owner, TIMEOUT_ACQUIRE), self._pooled() as connection:
            yield connection

    @asynccontextmanager
    async def _pooled(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await self.pool.acquire(timeout=TIMEOUT_ACQUIRE)
        except (*UNREACHABLE, asyncpg.InsufficientResourcesError, TimeoutError) as error:
            raise Unavailable("The database cannot be reached right now; try again shortly.", 2) from error
        try:
            yield cast("asyncpg.Connection", connection)
        except NOT_AT_FAULT as error:
            self._note_refusal(error, connection)
            raise _unavailable(error) from error
        finally:
            await self.pool.release(connection)

    def _note_refusal(self, error: BaseException, connection: Any) -> None:
        """Remember a full disk; close a connection to a standby, as the next one may lead to the primary."""
        if isinstance(error, asyncpg.DiskFullError):
            self.writing.refused_at = self.clock.now()
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError) and _is_standby(connection):
            connection.terminate()


def _is_standby(connection: Any) -> bool:
    return getattr(connection.get_settings(), "in_hot_standby", "off") == "on"


def _unavailable(error: BaseException) -> Unavailable:
    return next(Unavailable(*told) for kinds, told in _UNAVAILABLE.items() if isinstance(error, kinds))


_SHARED = tuple(one.name for one in fields(Database))


@dataclass(frozen=True, slots=True)
class JoinedDatabase(Database):
    """A database that uses one open transaction instead of the pool: transactions inside it are savepoints."""

    connection: asyncpg.Connection = field(kw_only=True)

    def of(self, _owner: Hashable) -> "Database":
        """Return this database: its connection is there already."""
        return self

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """Yield the open transaction. Its isolation level is fixed: each statement sees what is committed by then."""
        yield Reader(self.connection)

    @asynccontextmanager
    async def _acquire(self) -> AsyncIterator[asyncpg.Connection]:
        yield self.connection


@dataclass(frozen=True, slots=True)
class RehearsedDatabase(Database):
    """A database whose transactions are dry runs."""

    @asynccontextmanager
    async def transaction(self, *, dry_run: bool = True) -> AsyncIterator[Transaction]:  # noqa: ARG002 - always dry
        """Run a transaction and roll it back."""
        async with Database.transaction(self, dry_run=True) as tx:
            yield tx


def _wake_nobody(_: Job) -> None:
    """Leave the work to the next sweep."""


@asynccontextmanager
async def open_database(
    url: str,
    *,
    size: int,
    clock: Clock,
    ids: Ids,
    name: str,
    authenticator: Authenticator,
    wake: Callable[[Job], None] = _wake_nobody,
    quotas: Quotas = DEFAULTS,
) -> AsyncIterator[Database]:
    """Open the pool. `url` is a libpq URL, `name` the application_name, `size` the maximum number of connections.

    Without `wake`, work that a commit leaves for a worker waits for the workers' next sweep. Owners (`Database.of`)
    share three quarters of the connections; the others are for what the process does for all, such as group commits.
    """
    server_settings = {
        "application_name": name,
        "timezone": "UTC",
        "random_page_cost": "1.1",  # data is in memory or on flash, so an index scan costs no seeks
        "statement_timeout": "55s",
        "idle_in_transaction_session_timeout": "60s",
    }
    pool = asyncpg.create_pool(
        dsn=url,
        min_size=1,
        max_size=size,
        init=_prepare_connection,
        reset=_keep_as_is,
        max_inactive_connection_lifetime=300,
        command_timeout=60,
        statement_cache_size=STATEMENTS,
        max_cached_statement_lifetime=0,
        server_settings=server_settings,
    )
    await pool

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn=url, timeout=10, command_timeout=60, server_settings=server_settings)

    try:
        slots = Slots(max(1, size - size // 4), "share of the database connections", leaves=2)
        yield Database(pool, clock, ids, quotas, wake, connect, authenticator, slots, Writing())
    finally:
        try:
            await asyncio.wait_for(pool.close(), TIMEOUT_CLOSE)
        except TimeoutError:
            pool.terminate()  # a connection that was never released must not delay the end of the process


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=write_jsonb, decoder=read_jsonb, schema="pg_catalog", format="binary"
    )


async def _listen(
    connection: asyncpg.Connection, channel: str, received: Callable[[str], None], reconnected: Callable[[], None]
) -> None:
    """Listen until the connection is lost."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        await connection.add_listener(channel, lambda *arguments: received(arguments[-1]))
        reconnected()
        await lost.wait()
    finally:
        connection.terminate()


async def _keep_as_is(_: asyncpg.Connection) -> None:
    """Skip asyncpg's reset and its round trip: our locks and settings end with their transaction."""
