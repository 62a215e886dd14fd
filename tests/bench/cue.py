"""A process of the bench whose preparation is not in its figures: it gets ready, and works when it is told to."""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processor import Meter
from tests.bench.profiles import command, profiling
from tests.paths import ROOT

PROCESS, POSTGRES = "the process", "PostgreSQL"


class Broken(Exception):
    """The process ended before it had done its work; it says why on stderr."""


@dataclass(frozen=True, slots=True)
class Worked:
    """How long the work took, and the cores kept busy meanwhile."""

    seconds: float
    busy: Mapping[str, float]

    def cost(self, process: str, count: int) -> float:
        """Processor time of a process, microseconds for each of so many pieces of work."""
        return self.busy[process] * self.seconds / count * 1_000_000


async def on_cue(work: Callable[[], Awaitable[object]]) -> None:
    """Say that everything is ready, work when told to, print the seconds, and stay until the input ends."""
    print("ready", flush=True)  # noqa: T201 - the bench reads it
    sys.stdin.readline()
    started = time.perf_counter()
    await work()
    print(time.perf_counter() - started, flush=True)  # noqa: T201
    sys.stdin.read()


def run_on_cue(module: str, words: Sequence[str], postgres_pid: int, output: Path | None = None) -> Worked:
    """Run a module that calls `on_cue`, with its work profiled into `output` if there is one. Raises Broken."""
    argv = [sys.executable, *command(module, output), *words]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        _told(process)
        meter = Meter({PROCESS: process.pid, POSTGRES: postgres_pid})
        with profiling(process.pid, output):
            print(file=process.stdin, flush=True)
            seconds = float(_told(process))
        return Worked(seconds, meter.cores())


def _told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Broken(f"{process.args!r} ended early")
    return line
