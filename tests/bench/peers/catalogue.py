"""The stacks that Trailgate is compared with, their targets, and what a reader should know about them."""

from dataclasses import dataclass

from tests.bench.bare_handler import POOL
from tests.bench.peers.settings import (
    ARQ_MAX_JOBS,
    ARQ_POLL_DELAY,
    ARQ_READ_LIMIT,
    PGQUEUER_BATCH,
    PGQUEUER_CONNECTIONS,
    PROCRASTINATE_CONCURRENCY,
)

HTTP = ("aiohttp", "uvloop", "orjson", "asyncpg")
"""What every stack needs."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A stack. `accept` and `drain` say how many times as fast as it ours should be.

    `clear` empties its queue in the database. One that is `foreign` needs packages that are no dependencies of ours.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    accept: float
    drain: float
    settings: str
    clear: str = ""
    foreign: bool = True


PEERS = (
    Peer(
        "arq and SQLAlchemy",
        "arq_stack",
        (*HTTP, "arq", "SQLAlchemy"),
        accept=1.5,
        drain=5,
        foreign=False,
        settings=(
            f"`enqueue_job` with the body and the delivery id as the job id; at most {ARQ_MAX_JOBS} jobs at once with "
            f"as many database connections (20 and 50 were not faster); `poll_delay` {ARQ_POLL_DELAY:g} s instead of "
            f"0.5 s, so that a full queue is read again at once; `queue_read_limit` {ARQ_READ_LIMIT:,}; "
            "`keep_result=0`, as nobody reads results; ORM objects with a relationship, one commit a job. Valkey "
            "writes nothing to disk here: what it accepted is lost when it stops, unlike with the others"
        ),
    ),
    Peer(
        "procrastinate",
        "procrastinate_stack",
        (*HTTP, "procrastinate", "psycopg", "psycopg-binary"),
        accept=4,
        drain=12,
        clear="TRUNCATE procrastinate_jobs CASCADE",
        settings=(
            f"`defer_async` over {POOL} psycopg connections; the body goes as base64, because psycopg takes four times "
            "as long to quote JSON within JSON; orjson as its JSON library; a worker with "
            f"`concurrency` {PROCRASTINATE_CONCURRENCY} (5, 10 and 40 were not faster), as many connections, and "
            f"`delete_jobs` for those that succeeded; rows by asyncpg with {PROCRASTINATE_CONCURRENCY} connections of "
            "its own, two INSERTs in one transaction"
        ),
    ),
    Peer(
        "pgqueuer",
        "pgqueuer_stack",
        (*HTTP, "pgqueuer"),
        accept=2.4,
        drain=5,
        clear="TRUNCATE pgqueuer, pgqueuer_log",
        settings=(
            f"tables `durable`, with its recommended autovacuum settings; `enqueue` over {POOL} asyncpg connections; a "
            "queue manager on a connection of its own, as its documentation advises; "
            f"`batch_size` {PGQUEUER_BATCH} (its default of 10 is slower on a long queue); rows by asyncpg with "
            f"{PGQUEUER_CONNECTIONS} connections of its own, two INSERTs in one transaction"
        ),
    ),
)
