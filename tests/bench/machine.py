"""The machine that the figures were measured on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from tests.bench.interpreter import build


def machine_facts(postgres: str) -> dict[str, str]:
    """What a reader needs to judge the figures; `postgres` is its version."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_processor()}, {cores()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "Python": build(),
        "uvloop": version("uvloop"),
        "PostgreSQL": f"{postgres}, fsync on",
        "load before the run": f"{os.getloadavg()[0]:.1f}",
    }


def cores() -> int:
    """How many processes may run at once."""
    return os.cpu_count() or 1


def _processor() -> str:
    """The kernel's name for it; `platform` knows only the architecture."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
