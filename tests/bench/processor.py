"""How much processor time processes take while something is measured."""

import time
from collections.abc import Mapping

import psutil

from tests.bench.outcomes import OTHERS


class Meter:
    """Cores kept busy by processes and their children since it was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._spent = self._read()
        self._since = time.perf_counter()

    def cores(self) -> dict[str, float]:
        """By name, 1.0 = one core all the time; OTHERS is what neither they, nor the bench, nor idling took."""
        elapsed = time.perf_counter() - self._since
        busy = {name: (spent - self._spent[name]) / elapsed for name, spent in self._read().items()}
        busy[OTHERS] = max(0.0, busy[OTHERS] - sum(share for name, share in busy.items() if name != OTHERS))
        return busy

    def _read(self) -> dict[str, float]:
        named = {name: _seconds(process) for name, process in self._processes.items()}
        return {**named, "the bench": time.process_time(), OTHERS: _machine_seconds()}


def _seconds(process: psutil.Process) -> float:
    """Ended children count once their parent has collected them."""
    own = process.cpu_times()
    total: float = own.user + own.system + own.children_user + own.children_system
    for child in process.children():
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total


def _machine_seconds() -> float:
    """All processors, whatever they did but wait; what the host took away (steal) is not ours either."""
    times = psutil.cpu_times()._asdict()
    return float(
        sum(seconds for name, seconds in times.items() if name not in {"idle", "iowait", "guest", "guest_nice"})
    )
