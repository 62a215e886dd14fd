"""Uploading a gigabyte of evidence, against hashing and copying the same file with the system's own tools."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.bench.figures import Spread, ratio_of_medians
from tests.bench.outcomes import TIMES, Check, Outcome, Series
from tests.bench.plan import Plan
from tests.bench.processor import Meter
from tests.bench.product import Prepared, create, install
from tests.bench.rounds import alternate
from tests.bench.testbed import ADMIN_KEY, Testbed

NAME = "upload"
_CHUNK = b"".join(number.to_bytes(8, "big") for number in range(2**17))
OURS, TOOLS = "Trailgate", "sha256sum and cp"
_MEBIBYTE = 2**20


def run(testbed: Testbed, prepared: Prepared, plan: Plan) -> Outcome:
    """Every upload is of another file, so that nothing is spared by being there already."""
    source = testbed.home / "gigabyte"
    url = install(testbed)
    with testbed.api(url) as api:
        path = f"/api/v1/trails/{prepared.trail_ids[0]}/attestations"
        attestation = create(api.url, path, {"type": "scan-archive", "status": "PASSED"})
        target = f"{api.url}{path}/{attestation['id']}/evidence"
        process = psutil.Process(api.pid)
        before = _peak(process)
        meter = Meter({"the API": api.pid, "PostgreSQL": testbed.postgres_pid})
        sides = {TOOLS: lambda: _copy(source), OURS: lambda: _upload(source, target)}
        found = alternate({name: _fresh(source, plan.upload, side) for name, side in sides.items()}, plan.rounds)
        busy, growth = meter.cores(), (_peak(process) - before) / _MEBIBYTE
    rates = {name: [plan.upload / _MEBIBYTE / seconds for seconds in times] for name, times in found.items()}
    return Outcome(
        NAME,
        f"one file of {plan.upload // _MEBIBYTE:,} MiB by multipart: streamed, hashed, kept durably",
        (*(Series(name, "MiB/s", values) for name, values in rates.items()), Series("growth", "MiB", [growth])),
        (
            Check.at_least("against sha256sum and cp", ratio_of_medians(rates[OURS], rates[TOOLS]), 0.5, TIMES),
            Check.at_most("growth of the API process", Spread.of([growth]).median, 64, "MiB"),
        ),
        busy,
    )


def _fresh(source: Path, size: int, side: Callable[[], float]) -> Callable[[], float]:
    def measure() -> float:
        _write(source, size)
        return side()

    return measure


def _write(source: Path, size: int) -> None:
    """Content that was not there before."""
    with source.open("wb") as file:
        file.write(time.time_ns().to_bytes(8, "big"))
        file.write(_CHUNK[8:])
        for _ in range(size // len(_CHUNK) - 1):
            file.write(_CHUNK)


def _copy(source: Path) -> float:
    copied = source.with_suffix(".copy")
    started = time.perf_counter()
    subprocess.run(["sha256sum", str(source)], check=True, capture_output=True)
    subprocess.run(["cp", str(source), str(copied)], check=True)
    subprocess.run(["sync", str(copied)], check=True)
    elapsed = time.perf_counter() - started
    copied.unlink()
    return elapsed


def _upload(source: Path, target: str) -> float:
    started = time.perf_counter()
    command = ["curl", "--silent", "--show-error", "--fail", "-H", f"X-Api-Key: {ADMIN_KEY}", "-H", "Expect:"]
    subprocess.run([*command, "-F", f"file=@{source}", target], check=True, capture_output=True)
    return time.perf_counter() - started


def _peak(process: psutil.Process) -> int:
    """The most memory that the process ever held, bytes."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    peak: int = process.memory_info().rss
    return peak
