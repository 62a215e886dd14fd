"""Remove what a killed supervisor left behind: running servers and stale lock files.

Only the holder of the data directory's lock may call this. Process ids in files are not reliable, as they may belong to
other processes after a reboot. A server belongs to a data directory if its working directory is in it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from cli.embedded.children import StopStep, wait_until
from domain.errors import Conflict


def evict(program: str, directory: Path, stopping: Sequence[StopStep]) -> None:
    """Stop every `program` whose working directory is `directory` by the steps, and wait until all have ended.

    Signals go to the topmost processes only: a postmaster ends its own children. Raises Conflict when a process is
    still running after the last step.
    """
    running = list(_running(program, directory))
    for step in stopping:
        for process in _topmost(running):
            _send(process, step)
        if wait_until(lambda: not any(map(_is_running, running)), step.patience):
            return
    survivors = ", ".join(str(process.pid) for process in running if _is_running(process))
    if survivors:
        raise Conflict(f"{program} (process {survivors}) still runs in {directory} and does not stop", "state")


def remove_stale_locks(cluster: Path, sockets: Path) -> None:
    """Remove PostgreSQL's lock files: each has a process id, and prevents the next start if that id is in use."""
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for stale in sockets.glob(".s.PGSQL.*"):
        stale.unlink(missing_ok=True)


def _running(program: str, directory: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.name() == program and Path(process.cwd()) == directory and _is_running(process):
                yield process
        except psutil.Error:  # the process has ended, or belongs to another user
            continue


def _topmost(processes: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    pids = {process.pid for process in processes}
    for process in processes:
        try:
            if _is_running(process) and process.ppid() not in pids:
                yield process
        except psutil.NoSuchProcess:
            continue


def _send(process: psutil.Process, step: StopStep) -> None:
    try:
        process.send_signal(step.signal)
    except psutil.NoSuchProcess:
        return


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
