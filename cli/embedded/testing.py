"""Real servers for the tests, in a temporary directory that is removed with them."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg

from cli.embedded.servers import EmbeddedServers, ServerOptions


class ThrowawayServers(EmbeddedServers):
    """Servers whose data directory is removed when they stop."""

    def __init__(self, data_dir: Path, options: ServerOptions) -> None:
        super().__init__(data_dir, options)
        self._data_dir = data_dir

    def stop(self) -> None:
        """Stop the servers and remove their data."""
        super().stop()
        shutil.rmtree(self._data_dir, ignore_errors=True)


def start_for_tests(postgres_settings: Mapping[str, str | int] | None = None) -> ThrowawayServers:
    """Start both servers in a new temporary directory, without durability, which is faster."""
    home = Path(tempfile.mkdtemp(prefix="trailgate-"))
    home.chmod(0o711)  # started by root, the servers run as another user, who must be able to enter
    servers = ThrowawayServers(home, ServerOptions(durable=False, postgres_settings=postgres_settings or {}))
    try:
        servers.start()
    except BaseException:
        servers.stop()
        raise
    return servers


async def seal_template(admin_url: str, name: str) -> None:
    """Make a migrated database a template that accepts no connections. Its own connections must be closed."""
    await _execute(admin_url, f"ALTER DATABASE {_quoted(name)} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")


async def clone_database(admin_url: str, template: str, name: str) -> str:
    """Create the database `name` as a copy of `template` and return its URL. Raises asyncpg's error when it exists."""
    await _execute(admin_url, f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template)} STRATEGY file_copy")
    return urlsplit(admin_url)._replace(path=f"/{quote(name, safe='')}").geturl()


async def drop_database(admin_url: str, name: str) -> None:
    """Drop a database if it exists, terminating its connections."""
    await _execute(admin_url, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


async def _execute(admin_url: str, statement: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
