"""The sweeps by name, and how often each is due: what the workers run by and what its lag is measured against."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum


class Sweep(StrEnum):
    """Every sweep; the name is that of its row in `schedule`."""

    WAKE_UPS = "wake_ups"
    COUNTERS = "counters"
    PARTITIONS = "partitions"
    BLOBS = "blobs"
    ANSWERS = "answers"
    RETENTION = "retention"
    RECONCILIATION = "reconciliation"


EVERY_ROUND = timedelta()
RECORDED_EVERY = timedelta(seconds=30)
"""How often the success of a sweep that runs in every round is written down."""

INTERVALS: Mapping[Sweep, timedelta] = {
    Sweep.WAKE_UPS: EVERY_ROUND,
    Sweep.COUNTERS: EVERY_ROUND,
    Sweep.PARTITIONS: timedelta(days=1),
    Sweep.BLOBS: timedelta(seconds=30),
    Sweep.ANSWERS: EVERY_ROUND,
    Sweep.RETENTION: timedelta(hours=1),
    Sweep.RECONCILIATION: timedelta(seconds=30),
}
"""Blobs: twice in each minute, which has a shard of its own. EVERY_ROUND: whenever a worker sweeps."""
