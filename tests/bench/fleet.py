"""Many environments with many artifacts, and what runs in them as versions come and go."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256

from domain.audit.events import Actor
from domain.environments.artifacts import Instances, Running
from domain.environments.baselines import NewBaseline
from domain.environments.environments import Environment, EnvironmentType, NewEnvironment
from domain.environments.snapshots import Report
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.tenant import Tenant
from storage.authenticator import Authenticator
from storage.clock import SystemClock
from storage.database import Database, open_database
from storage.environments.commands.baselines import create_baseline
from storage.environments.commands.environments import create_environment
from storage.environments.commands.snapshots import record_snapshot
from storage.ids import Ids
from storage.keys import load_master_keys
from storage.settings import Settings
from tests.bench.product import Prepared

ARTIFACTS = 200
"""What runs in each environment."""
CONNECTIONS = 16
"""To the database, as many as a process of the product has."""


def runs(environment: int, changes: int) -> Instances:
    """What runs in an environment after so many changes, each of which replaces one version of one artifact."""
    return {_artifact(environment, place, changes): 1 for place in range(ARTIFACTS)}


def _artifact(environment: int, place: int, changes: int) -> Running:
    version = (changes + ARTIFACTS - 1 - place) // ARTIFACTS
    digest = sha256(f"{environment} {place} {version}".encode()).hexdigest()
    return Running(f"registry.example.com/team-{environment}/service-{place}", f"sha256:{digest}", f"1.{version}")


@asynccontextmanager
async def opened(settings: Settings, size: int = CONNECTIONS) -> AsyncIterator[Database]:
    """The database as a process of the product opens it."""
    authenticator = Authenticator(lambda: load_master_keys(settings))
    url = str(settings.database_url)
    async with open_database(
        url, size=size, clock=SystemClock(), ids=Ids(), name="bench", authenticator=authenticator
    ) as database:
        yield database


async def make_fleet(settings: Settings, prepared: Prepared, environments: int) -> None:
    """Make environments that are reported once and have what runs then as their baseline."""
    numbers = iter(range(environments))
    async with opened(settings) as database:
        await asyncio.gather(*(_make_in_turn(database, prepared, numbers) for _ in range(CONNECTIONS)))


async def _make_in_turn(database: Database, prepared: Prepared, numbers: Iterator[int]) -> None:
    for number in numbers:
        await make_environment(database, prepared, number)


async def make_environment(database: Database, prepared: Prepared, number: int) -> Environment:
    """Make one environment, whose first snapshot is its baseline; their names are in the order of their numbers."""
    tenant, actor = Tenant(prepared.org_id, DEFAULT_ORGANISATION), Actor(prepared.principal_id)
    async with database.transaction() as tx:
        made = await create_environment(tx, tenant, NewEnvironment(f"{number:05}", EnvironmentType.K8S), actor)
        await record_snapshot(tx, tenant, Report(made.id, runs(number, 0)), actor)
        await create_baseline(tx, tenant, NewBaseline(made.id), actor)
        return made
