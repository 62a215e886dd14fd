"""Servers for the tests: real ones, in a directory that goes away with them (prototypes.md B5)."""

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
    """Start both servers in a fresh temporary directory, fast and not safe against power failure."""
    home = Path(tempfile.mkdtemp(prefix="trailgate-"))
    home.chmod(0o711)  # just made by us; when we are root another user runs the servers below it
    servers = ThrowawayServers(home, ServerOptions(durable=False, postgres_settings=postgres_settings or {}))
    try:
        servers.start()
    except BaseException:
        servers.stop()
        raise
    return servers


async def seal_template(admin_url: str, name: str) -> None:
    """Close a migrated database for ever, to be cloned from. Its connections must be closed before."""
    await _execute(admin_url, f"ALTER DATABASE {_quoted(name)} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")


async def clone_database(admin_url: str, template: str, name: str) -> str:
    """Create database `name` as a copy of `template` and return its URL. Fails when `name` exists."""
    await _execute(admin_url, f"CREATE DATABASE {_quoted(name)} TEMPLATE {_quoted(template)} STRATEGY file_copy")
    return urlsplit(admin_url)._replace(path=f"/{quote(name, safe='')}").geturl()


async def drop_database(admin_url: str, name: str) -> None:
    """Drop a database, if there is one, and throw out who is connected."""
    await _execute(admin_url, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


async def _execute(admin_url: str, statement: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
