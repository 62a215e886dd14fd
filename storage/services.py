"""The connections and keys of a process, opened once and passed as an argument: there are no globals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientSession
from arq.connections import ArqRedis

from storage.blobs.store import BlobStore
from storage.clock import Clock, SystemClock
from storage.database import Database, open_database
from storage.ids import Ids
from storage.keys import Signer, load_master_key, load_signer
from storage.outbound import open_outbound
from storage.schedule.wakeups import WakeUps, open_redis
from storage.secrets.envelope import SecretCipher
from storage.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The open connections and keys of one process."""

    settings: Settings
    database: Database
    redis: ArqRedis
    blobs: BlobStore
    outbound: ClientSession
    wakeups: WakeUps
    envelope: SecretCipher
    signer: Signer
    clock: Clock
    ids: Ids


class NotConfigured(Exception):  # noqa: N818 - ends the start-up with its message
    """A setting that this process needs is missing."""


@asynccontextmanager
async def open_services(settings: Settings, name: str, clock: Clock | None = None) -> AsyncIterator[Services]:
    """Open everything, and close it in reverse order. `name` is the application_name in Postgres.

    Raises NotConfigured without the URLs of Postgres and Redis: only `trailgate up` starts embedded servers.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise NotConfigured("Set TRAILGATE_DATABASE_URL and TRAILGATE_REDIS_URL, or run `trailgate up`.")
    clock, ids = clock or SystemClock(), Ids()
    blobs = BlobStore(settings.blobs)
    blobs.prepare()
    pool = settings.database_pool
    async with (
        open_outbound(settings) as outbound,
        open_redis(settings.redis_url) as redis,
        WakeUps.opened(redis) as wakeups,
        open_database(settings.database_url, size=pool, clock=clock, ids=ids, name=name, wake=wakeups.wake) as database,
    ):
        yield Services(
            settings=settings,
            database=database,
            redis=redis,
            blobs=blobs,
            outbound=outbound,
            wakeups=wakeups,
            envelope=SecretCipher(load_master_key(settings)),
            signer=load_signer(settings),
            clock=clock,
            ids=ids,
        )
