"""Profiles of our own processes: where their time goes under the load of a scenario."""

import os
import pstats
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded.children import wait_until
from tests.bench.outcomes import HotSpot

TOP = 10
_WRITTEN_WITHIN = 30.0


def command(module: str, output: Path | None) -> list[str]:
    """Interpreter arguments that run a module, ready to be profiled into `output` if there is one."""
    return ["-m", module] if output is None else ["-m", "tests.bench.profiled", str(output), module]


@contextmanager
def profiling(pid: int, output: Path | None) -> Iterator[None]:
    """Profile a process started by `command` for as long as this is entered; nothing happens without `output`."""
    if output is None:
        yield
        return
    os.kill(pid, signal.SIGUSR1)
    yield
    os.kill(pid, signal.SIGUSR2)
    wait_until(output.exists, _WRITTEN_WITHIN)


def hottest(path: Path, root: Path) -> list[HotSpot]:
    """The functions with most own time, callees excluded."""
    stats = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]  # there since ever, in no stub
    total = sum(own for _, _, own, _, _ in stats.values()) or 1.0
    spots = [HotSpot(_named(where, root), own / total, calls) for where, (_, calls, own, _, _) in stats.items()]
    return sorted(spots, key=lambda spot: spot.share, reverse=True)[:TOP]


def _named(where: tuple[str, int, str], root: Path) -> str:
    file, line, function = where
    if file == "~":
        return function
    path = Path(file)
    inside = path.is_relative_to(root) and ".venv" not in path.parts
    return f"{function} ({path.relative_to(root) if inside else Path(*path.parts[-2:])}:{line})"
