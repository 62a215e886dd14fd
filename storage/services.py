"""The connections and keys of a process, opened once and passed as an argument: there are no globals."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientSession
from arq.connections import ArqRedis

from storage.authenticator import Authenticator
from storage.blobs.store import BlobStore
from storage.clock import Clock, SystemClock
from storage.database import Database, open_database
from storage.ids import Ids
from storage.keyring import open_keyring
from storage.keys import Signer, load_master_keys
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
    trusted_keys: Mapping[str, bytes]
    """The public keys that checkpoints may be signed with, by id."""
    clock: Clock
    ids: Ids


class NotConfigured(Exception):  # noqa: N818 - ends the start-up with its message
    """A setting that this process needs is missing."""


@asynccontextmanager
async def open_services(settings: Settings, name: str, clock: Clock | None = None) -> AsyncIterator[Services]:
    """Open everything, and close it in reverse order. `name` is the application_name in Postgres.

    Raises NotConfigured without the URLs of Postgres and Redis, because only `trailgate up` starts embedded servers,
    and UnusableKey if the database was written with other keys.
    """
    if settings.database_url is None or settings.redis_url is None:
        raise NotConfigured("Set TRAILGATE_DATABASE_URL and TRAILGATE_REDIS_URL, or run `trailgate up`.")
    clock, ids = clock or SystemClock(), Ids()
    blobs = BlobStore(settings.blobs)
    blobs.prepare()
    async with (
        open_outbound(settings) as outbound,
        open_redis(settings.redis_url) as redis,
        WakeUps.opened(redis) as wakeups,
        open_database(
            settings.database_url,
            size=settings.database_pool,
            clock=clock,
            ids=ids,
            name=name,
            authenticator=Authenticator(lambda: load_master_keys(settings)),
            wake=wakeups.wake,
            quotas=settings.quotas,
        ) as database,
    ):
        async with database.read() as reader:
            keyring = await open_keyring(reader, settings)
        yield Services(
            settings=settings,
            database=database,
            redis=redis,
            blobs=blobs,
            outbound=outbound,
            wakeups=wakeups,
            envelope=keyring.cipher,
            signer=keyring.signer,
            trusted_keys=keyring.trusted,
            clock=clock,
            ids=ids,
        )
