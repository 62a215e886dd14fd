"""Postgres: one pool per process, and transactions with one time and one id source.

asyncpg runs every statement as text; SQLAlchemy describes the tables and drives the migrations (ADR 0007).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
import orjson

from domain.errors import Unavailable
from storage.clock import Clock
from storage.ids import Ids
from storage.schedule.wakeups import Job

Row = Mapping[str, Any]
"""A row by column name: an asyncpg Record, which is such a mapping in all but its type stubs."""

UNREACHABLE = (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.InterfaceError)
"""What a statement raises while Postgres restarts or is out of reach: nothing is wrong with the statement."""

STATEMENTS = 1000
"""Prepared on each connection at the most: more than there are in the whole program, so that each is prepared once."""

TIMEOUT_CLOSE = 3
"""Seconds in which connections at work may finish when the pool closes."""

LONG = 3600.0
"""Seconds that a statement over whole tables may take."""

PAUSE_LISTEN = 0.2
"""Seconds until somebody who listens tries to connect again."""

LOST = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # "cannot switch to state": the server ended an idle connection that was just taken
)
"""What a statement raises when its connection ends under it; whether a commit had come through is not known."""

TRANSIENT = (
    *UNREACHABLE,
    Unavailable,
    TimeoutError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)
"""What may go well the next time: a restart, a full disk, a lock taken in another order."""


class Reader:
    """A connection that reads. Arguments are positional, `$1` and on."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def rows(self, sql: str, *args: Any) -> list[Row]:
        """Every row of the answer."""
        return cast("list[Row]", await self.connection.fetch(sql, *args))

    async def row(self, sql: str, *args: Any) -> Row | None:
        """The first row, or None."""
        return cast("Row | None", await self.connection.fetchrow(sql, *args))

    async def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *args)


class Transaction(Reader):
    """A connection inside a transaction. `now` is one time for all that the action writes."""

    def __init__(self, connection: asyncpg.Connection, now: datetime, ids: Ids) -> None:
        super().__init__(connection)
        self.now = now
        self.wakes: set[Job] = set()
        self._ids = ids

    def wake(self, job: Job) -> None:
        """Wake a job once this is committed: called by the command that leaves work for it."""
        self.wakes.add(job)

    def new_id(self) -> UUID:
        """A fresh UUIDv7."""
        return self._ids.new()

    async def execute(self, sql: str, *args: Any) -> int:
        """Run a statement for its effect; the answer is the number of rows it touched."""
        tag = await self.connection.execute(sql, *args)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0


class _RolledBack(Exception):  # noqa: N818 - a signal, not an error
    """Ends a dry run's transaction."""


@dataclass(frozen=True, slots=True)
class Database:
    """The pool, with the clock and the id source that its transactions carry, and what wakes workers after commits."""

    pool: asyncpg.Pool
    clock: Clock
    ids: Ids
    wake: Callable[[Job], None]
    connect: Callable[[], Awaitable[asyncpg.Connection]]
    """Makes a connection outside the pool."""

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Reader]:
        """A connection outside any transaction: each statement sees what is committed when it starts."""
        async with self._acquire() as connection:
            yield Reader(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """A connection that sees the database as it was at its first statement, however long it reads."""
        async with self._acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield Reader(connection)

    @asynccontextmanager
    async def transaction(self, *, dry_run: bool = False) -> AsyncIterator[Transaction]:
        """All or nothing. A dry run does everything, constraints included, and keeps nothing."""
        async with self._acquire() as connection:
            tx = Transaction(connection, self.clock.now(), self.ids)
            try:
                async with connection.transaction():
                    yield tx
                    if dry_run:
                        raise _RolledBack  # noqa: TRY301 - leaving the block is what rolls back
            except _RolledBack:
                return
        for job in tx.wakes:
            self.wake(job)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """For one statement that is all there is to do: a transaction of its own, without BEGIN and COMMIT."""
        async with self._acquire() as connection:
            tx = Transaction(connection, self.clock.now(), self.ids)
            yield tx
        for job in tx.wakes:
            self.wake(job)

    async def analyze(self) -> None:
        """Take the statistics that plans are made by, of every table, as is due after a bulk load."""
        async with self.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 0")
            await tx.connection.execute("ANALYZE", timeout=LONG)

    async def listen(self, channel: str, heard: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        """Hand on what is announced on a channel, for ever, over a connection of its own.

        `reconnected` is called once it listens, and again after each loss: what was announced meanwhile is lost.
        """
        while True:
            with suppress(*TRANSIENT):
                await _listen(await self.connect(), channel, heard, reconnected)
            await asyncio.sleep(PAUSE_LISTEN)

    def within(self, tx: Transaction) -> "JoinedDatabase":
        """The database as seen inside an open transaction: whatever it writes is kept or lost with all of that."""
        return JoinedDatabase(self.pool, self.clock, self.ids, tx.wake, self.connect, tx.connection)

    @asynccontextmanager
    async def _acquire(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await self.pool.acquire(timeout=10)
        except (*UNREACHABLE, TimeoutError) as error:
            raise Unavailable("The database cannot be reached right now; try again shortly.", 2) from error
        try:
            yield cast("asyncpg.Connection", connection)
        except LOST as error:
            raise Unavailable("The database went away meanwhile; try again shortly.", 2) from error
        finally:
            await self.pool.release(connection)


@dataclass(frozen=True, slots=True)
class JoinedDatabase(Database):
    """One open transaction in the place of the pool: transactions inside it are savepoints."""

    connection: asyncpg.Connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Reader]:
        """A reader of the open transaction, whose isolation is settled: each statement sees what is committed then."""
        yield Reader(self.connection)

    @asynccontextmanager
    async def _acquire(self) -> AsyncIterator[asyncpg.Connection]:
        yield self.connection


def _nobody(_: Job) -> None:
    """Nobody is woken."""


@asynccontextmanager
async def open_database(
    url: str, *, size: int, clock: Clock, ids: Ids, name: str, wake: Callable[[Job], None] = _nobody
) -> AsyncIterator[Database]:
    """Open the pool. `url` is a libpq URL; `name` appears as application_name; `size` bounds the connections.

    Without `wake` the work that commits leave behind waits for the workers' next sweep.
    """
    server_settings = {
        "application_name": name,
        "timezone": "UTC",
        "random_page_cost": "1.1",  # what is looked up is in memory or on flash: an index costs no seek
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
        yield Database(pool, clock, ids, wake, connect)
    finally:
        try:
            await asyncio.wait_for(pool.close(), TIMEOUT_CLOSE)
        except TimeoutError:
            pool.terminate()  # a connection that nobody gives back must not hold up the end of the process


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_VERSION = b"\x01"
"""What stands before the text of a jsonb value in PostgreSQL's binary format."""


def _write_jsonb(value: Any) -> bytes:
    try:
        return _VERSION + orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits, which PostgreSQL takes
        return _VERSION + _encode(value).encode()


def _read_jsonb(stored: bytes) -> Any:
    return json.loads(stored[1:].decode())  # not orjson: PostgreSQL's numbers have any size


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", encoder=_write_jsonb, decoder=_read_jsonb, schema="pg_catalog", format="binary"
    )


async def _listen(
    connection: asyncpg.Connection, channel: str, heard: Callable[[str], None], reconnected: Callable[[], None]
) -> None:
    """Until the connection is lost."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        await connection.add_listener(channel, lambda *told: heard(told[-1]))
        reconnected()
        await lost.wait()
    finally:
        connection.terminate()


async def _keep_as_is(_: asyncpg.Connection) -> None:
    """No reset: locks and settings of ours end with their transaction, so the round trip can be spared."""
