"""Free space on the disk of the embedded servers.

On a full disk PostgreSQL accepts no new connection, and ends when its log cannot grow. Before that, the database
becomes read-only, and a file that was kept for this moment is removed: its space lets PostgreSQL go on.
"""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import structlog

from domain.errors import Unavailable

_MEBIBYTE = 1 << 20
_TIMEOUT = 5.0

log = structlog.get_logger(__name__)


class Space:
    """Watches the disk of the data directory `root`. `reserve` is in bytes; 0 turns it off.

    Below `reserve` the database becomes read-only; with three times as much it accepts changes again, so that it does
    not change its mind all the time. `admin_url` is that of a database on the embedded server.
    """

    def __init__(self, root: Path, admin_url: str, reserve: int) -> None:
        self._root = root
        self._admin_url = admin_url
        self._reserve = reserve
        self._file = root / "reserve"
        self._low = False

    def prepare(self) -> None:
        """Accept changes, and keep the reserve. Raises Unavailable when there is too little space to start with."""
        kept = self._file.stat().st_size if self._file.exists() else 0
        available = self._free() + kept
        if available < 2 * self._reserve:
            raise Unavailable(
                f"Only {available // _MEBIBYTE} MiB are free on the disk of {self._root}: free at least "
                f"{2 * self._reserve // _MEBIBYTE} MiB, or set TRAILGATE_DISK_RESERVE to less."
            )
        self._accept()

    def check(self) -> None:
        """Compare the free space; when PostgreSQL does not answer, the next check tries again."""
        free = self._free()
        try:
            if not self._low and free < self._reserve:
                self._refuse()
                log.warning("space.low", free=free, folder=str(self._root))
            elif self._low and free >= 3 * self._reserve:
                self._accept()
                log.warning("space.restored", free=free, folder=str(self._root))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("space.unanswered", error=type(error).__name__)

    def _refuse(self) -> None:
        self._file.unlink(missing_ok=True)
        asyncio.run(_switch(self._admin_url, "SET default_transaction_read_only = on"))
        self._low = True

    def _accept(self) -> None:
        if not self._file.exists() or self._file.stat().st_size != self._reserve:
            _write_zeros(self._file, self._reserve)
        asyncio.run(_switch(self._admin_url, "RESET default_transaction_read_only"))
        self._low = False

    def _free(self) -> int:
        return shutil.disk_usage(self._root).free


def _write_zeros(path: Path, size: int) -> None:
    """Write a file of that size: one with a hole would keep no space."""
    with path.open("wb", buffering=0) as file:
        for start in range(0, size, _MEBIBYTE):
            file.write(bytes(min(_MEBIBYTE, size - start)))


async def _switch(admin_url: str, setting: str) -> None:
    """Change a setting of the server for all sessions, also the open ones; it is kept over a restart."""
    connection = await asyncpg.connect(admin_url, timeout=_TIMEOUT, command_timeout=_TIMEOUT)
    try:
        await connection.execute(f"ALTER SYSTEM {setting}")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
