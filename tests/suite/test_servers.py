"""The servers of a run: started for those who ask, with Redis databases for everybody, and gone with a killed run."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli.embedded.children import wait_until
from cli.embedded.layout import locked
from tests import servers
from tests.conftest import REDIS_USES
from tests.paths import ROOT
from tests.servers import REDIS_DATABASES, Run

OLD = time.time() - 3600


def test_nothing_is_started_unless_somebody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "start", lambda connections: pytest.fail("started"))
    run = Run(tmp_path)
    run.start_if_asked(workers=2)
    run.ask()
    with pytest.raises(pytest.fail.Exception, match="started"):
        run.start_if_asked(workers=2)


def test_a_hundred_workers_have_redis_databases_of_their_own() -> None:
    assert 100 * len(REDIS_USES) <= REDIS_DATABASES


def test_the_folder_of_a_killed_run_is_removed_and_that_of_a_running_one_is_not(tmp_path: Path) -> None:
    killed, running, young, other = [tmp_path / name for name in ("tests-1", "tests-2", "tests-3", "other")]
    for folder in (killed, running, young, other):
        (folder / "postgres").mkdir(parents=True)
    for folder in (killed, running, other):
        os.utime(folder, (OLD, OLD))
    with locked(running):
        servers.remove_leftovers(tmp_path, "tests-")
    assert sorted(tmp_path.iterdir()) == sorted([running, young, other])


@pytest.mark.slow
def test_a_killed_run_takes_its_servers_along(tmp_path: Path) -> None:
    words = ["-m", "pytest", "-n", "1", "-p", "no:cacheprovider", "tests/storage"]
    with (tmp_path / "log").open("wb") as log:
        controller = psutil.Popen([sys.executable, *words], cwd=ROOT, stdout=log, stderr=log)
    family: list[psutil.Process] = []

    def both_serve() -> bool:
        assert controller.poll() is None, (tmp_path / "log").read_text()
        family[:] = controller.children(recursive=True)
        return {"postgres", "valkey-server"} <= {one.name() for one in family if one.is_running()}

    assert wait_until(both_serve, 60)
    controller.kill()
    controller.wait()
    _, left = psutil.wait_procs(family, timeout=60)
    assert left == []
