"""PostgreSQL and Valkey for one run of the tests, started once and only when a collected test asks for them.

The process in which pytest was called starts them: it is there until the last test, and whatever ends it ends them
(`cli.embedded.children.Child`). Under xdist it collects nothing itself. So each worker leaves a file when one of its
tests asks for servers; the controller looks for that file before it hands out the first test, and writes the addresses
into another one.
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.embedded.binaries import Binaries
from cli.embedded.children import Child
from cli.embedded.layout import locked
from cli.embedded.servers import ServerOptions
from cli.embedded.testing import ThrowawayServers, clone_database, seal_template
from domain.errors import Conflict
from storage.migrations import migrate

TEMPLATE = "template_trailgate"
"""The migrated database that the tests' databases are copied from."""
REDIS_DATABASES = 1024
"""Valkey has 16 unless told otherwise; every xdist worker takes four."""
PREFIX = "trailgate-tests-"
JUST_MADE = 60
"""Seconds in which whoever made a folder has locked it."""
IN_MEMORY = Path("/dev/shm")
ENOUGH_MEMORY = 4 << 30
"""Bytes that must be free: copying a database is mostly the making of a thousand files."""


@dataclass(frozen=True)
class Addresses:
    """Where the servers of this run are."""

    admin_url: str
    redis_url: str

    def redis_database(self, number: int) -> str:
        """The URL of one of Valkey's databases."""
        return self.redis_url.partition("?")[0] + f"?db={number}"


class SuiteServers(ThrowawayServers):
    """With as many Redis databases as any number of xdist workers takes."""

    def _valkey(self, binaries: Binaries) -> Child:
        child = super()._valkey(binaries)
        child._argv += ["--databases", str(REDIS_DATABASES)]
        return child


class Run:
    """What the processes of one run of pytest know of its servers. `folder` is the same for all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._servers: ThrowawayServers | None = None

    @property
    def addresses(self) -> Addresses:
        """Of the servers, which must have been started."""
        return Addresses(**json.loads(self._addresses.read_text()))

    def ask(self) -> None:
        """Leave word that a test needs the servers."""
        self._asked.touch()

    def start_if_asked(self, workers: int) -> None:
        """Start the servers and make the template, once, when any process asked."""
        if self._servers is not None or not self._asked.exists():
            return
        self._servers = start(connections=100 + 50 * workers)
        asyncio.run(_make_template(self._servers.admin_url))
        addresses = Addresses(self._servers.admin_url, self._servers.redis_url)
        self._addresses.write_text(json.dumps(asdict(addresses)))

    def end(self) -> None:
        """Stop what was started and forget the run."""
        if self._servers is not None:
            self._servers.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _asked(self) -> Path:
        return self.folder / "asked"

    @property
    def _addresses(self) -> Path:
        return self.folder / "addresses.json"


def start(connections: int) -> ThrowawayServers:
    """Both servers, in a folder that goes away with them; in memory where there is enough of it."""
    place = _place()
    remove_leftovers(place, PREFIX)
    home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    home.chmod(0o711)  # when we are root another user runs the servers below it
    options = ServerOptions(durable=False, postgres_settings={"max_connections": connections})
    servers = SuiteServers(home, options)
    with _stopped_on_failure(servers):
        servers.start()
    return servers


def _place() -> Path:
    roomy = IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free >= ENOUGH_MEMORY
    return IN_MEMORY if roomy else Path(tempfile.gettempdir())


def remove_leftovers(place: Path, prefix: str) -> None:
    """The folders of runs that were killed: their servers ended with them, and nobody holds the folder any more."""
    for folder in place.glob(f"{prefix}*"):
        with suppress(Conflict, OSError):
            if time.time() - folder.stat().st_mtime > JUST_MADE:
                with locked(folder):
                    shutil.rmtree(folder)


@contextmanager
def _stopped_on_failure(servers: ThrowawayServers) -> Iterator[None]:
    try:
        yield
    except BaseException:
        servers.stop()
        raise


async def _make_template(admin_url: str) -> None:
    url = await clone_database(admin_url, "template0", TEMPLATE)
    await migrate(url)
    await seal_template(admin_url, TEMPLATE)
