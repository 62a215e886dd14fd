"""The command line in this process, on a database of the test's own, and data directories that servers can enter."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.embedded.servers import EmbeddedServers, ServerOptions
from cli.main import main
from storage.identity.bootstrap import bootstrap
from storage.services import Services, open_services
from tests.conftest import Installation

MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def configured(own_installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The environment of an installation of the test's own."""
    for name, value in own_installation.environment(tmp_path / "data").items():
        monkeypatch.setenv(name, value)
    return own_installation


@pytest.fixture
def trailgate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command as a user would type it; nothing but the process is missing."""

    def trailgate(*words: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["trailgate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        status = ended.value.code
        assert isinstance(status, int)
        assert "Traceback" not in shown.err
        return Outcome(status, shown.out, shown.err)

    return trailgate


@pytest.fixture
def arrange(configured: Installation, tmp_path: Path) -> Callable[[Callable[[Services], Awaitable[Any]]], Any]:
    """Run a coroutine function on the open services of the configured installation."""

    def arrange(work: Callable[[Services], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with open_services(configured.settings(tmp_path / "data"), "test") as services:
                return await work(services)

        return asyncio.run(run())

    return arrange


@pytest.fixture
def started(arrange: Callable[..., Any]) -> None:
    """An installation that an API has started on: organisation, administrator, signing key."""
    arrange(lambda services: bootstrap(services.database, None, services.signer, services.envelope))


def make_open_folder() -> Path:
    """A folder that every user may pass, unlike pytest's own: servers of root's run as somebody else."""
    folder = Path(tempfile.mkdtemp(prefix="tg-", dir=MEMORY if MEMORY.is_dir() else None)).resolve()
    folder.chmod(0o711)
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """An empty one."""
    folder = make_open_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pristine() -> Iterator[Path]:
    """A data directory with an empty database, to be copied."""
    folder = make_open_folder()
    with EmbeddedServers(folder, ServerOptions(durable=False)):
        pass
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(pristine: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, named by the environment, whose servers do not run."""
    for name in [name for name in os.environ if name.startswith("TRAILGATE_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    folder = open_folder / "data"
    subprocess.run(["cp", "-a", pristine, folder], check=True)
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(folder))
    return folder
