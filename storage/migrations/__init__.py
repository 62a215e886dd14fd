"""Migrating a database to the schema of this code: one migrator at a time, with a short timeout for table locks."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from domain.errors import Conflict
from storage.authenticator import Authenticator
from storage.migrations.policy import compared
from storage.registry import METADATA

LOCK = 7_241_001
"""The advisory lock that admits one migrator at a time."""


class NewerDatabase(Conflict):
    """A newer version migrated the database. `finding` and `advice` make up the message."""

    advice = "install that version, or use another TRAILGATE_DATA_DIR with a backup made before the upgrade"

    def __init__(self, revision: str) -> None:
        self.finding = (
            f"the database is at revision {revision}, which this version does not know: a newer version migrated it"
        )
        super().__init__(". ".join(part[0].upper() + part[1:] for part in (self.finding, self.advice)) + ".", "state")


async def migrate(url: str, authenticator: Authenticator | None = None) -> list[str]:
    """Apply missing migrations, each in its own transaction, and return the revisions applied.

    The `authenticator` makes the codes of what an earlier version, which made none, has left waiting; without one, that
    becomes dead letters.

    Raises NewerDatabase when a newer version migrated the database.
    """
    return await _with_connection(url, partial(_upgrade, authenticator))


async def differences(url: str) -> list[str]:
    """Return how the database differs from this code: missing migrations if any, else differing tables.

    Raises NewerDatabase when a newer version migrated the database.
    """
    return await _with_connection(url, _compare)


async def _with_connection(url: str, work: Callable[[Connection], list[str]]) -> list[str]:
    async def connect(*_: Any, **__: Any) -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            server_settings={"application_name": "trailgate migrate", "lock_timeout": "4s", "statement_timeout": "60s"},
        )

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(authenticator: Authenticator | None, connection: Connection) -> list[str]:
    config = _config(connection)
    config.attributes["authenticator"] = authenticator
    script = ScriptDirectory.from_config(config)
    connection.exec_driver_sql("SET lock_timeout = 0")
    connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
    connection.exec_driver_sql("SET lock_timeout = '4s'")
    connection.commit()
    before = _known(script, MigrationContext.configure(connection).get_current_revision())
    connection.commit()
    missing = (
        [r.revision for r in script.iterate_revisions("head", before or "base")] if before != _head(script) else []
    )
    command.upgrade(config, "head")
    connection.exec_driver_sql(f"SELECT pg_advisory_unlock({LOCK})")
    connection.commit()
    return missing[::-1]


def _compare(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config(connection))
    context = MigrationContext.configure(connection, opts={"include_object": compared, "compare_type": True})
    current = _known(script, context.get_current_revision())
    if current != _head(script):
        return [f"the database is at revision {current or 'none'}, this code needs {_head(script)}: trailgate migrate"]
    return [str(difference) for difference in compare_metadata(context, METADATA)]


def _known(script: ScriptDirectory, revision: str | None) -> str | None:
    """Return the revision of a database. Raises NewerDatabase when this code does not have it."""
    if revision is not None and revision not in {known.revision for known in script.walk_revisions()}:
        raise NewerDatabase(revision)
    return revision


def _head(script: ScriptDirectory) -> str | None:
    return script.get_current_head()
