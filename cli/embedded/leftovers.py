"""Clears away what an earlier supervisor left behind when it was killed: running servers and stale lock files.

Only the holder of the data directory's lock may call this. Process ids in files prove nothing (after a reboot they are
somebody else's); a process is ours when it runs our program *in* our directory, where both servers change to.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from cli.embedded.children import StartStep, wait_until
from domain.errors import Conflict


def evict(program: str, directory: Path, ladder: Sequence[StartStep]) -> None:
    """Stop every `program` whose working directory is `directory`, by the ladder, and wait until all are gone.

    Signals go to the topmost processes only: a postmaster ends its own children. Raises Conflict when some outlive
    the ladder.
    """
    running = list(_running(program, directory))
    for step in ladder:
        for process in _topmost(running):
            _send(process, step)
        if wait_until(lambda: not any(map(_lives, running)), step.patience):
            return
    survivors = ", ".join(str(process.pid) for process in running if _lives(process))
    if survivors:
        raise Conflict(f"{program} (process {survivors}) still runs in {directory} and does not stop", "state")


def remove_stale_locks(cluster: Path, sockets: Path) -> None:
    """Remove PostgreSQL's lock files: each bears a process id and stops the next start if that id is in use."""
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    for stale in sockets.glob(".s.PGSQL.*"):
        stale.unlink(missing_ok=True)


def _running(program: str, directory: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.name() == program and Path(process.cwd()) == directory and _lives(process):
                yield process
        except psutil.Error:  # gone meanwhile, or another user's: neither is ours
            continue


def _topmost(processes: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    pids = {process.pid for process in processes}
    for process in processes:
        try:
            if _lives(process) and process.ppid() not in pids:
                yield process
        except psutil.NoSuchProcess:
            continue


def _send(process: psutil.Process, step: StartStep) -> None:
    try:
        process.send_signal(step.signal)
    except psutil.NoSuchProcess:
        return


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
