"""The names of the sweeps and their intervals, for the workers that run them and for measuring their lag."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum


class Sweep(StrEnum):
    """Every sweep; the value is the name of its row in `schedule`."""

    WAKE_UPS = "wake_ups"
    COUNTERS = "counters"
    PARTITIONS = "partitions"
    BLOBS = "blobs"
    ANSWERS = "answers"
    RETENTION = "retention"
    PUBLICATION = "publication"
    ENVIRONMENTS = "environments"
    APPROVALS = "approvals"
    RECONCILIATION = "reconciliation"


EVERY_ROUND = timedelta()
RECORDED_EVERY = timedelta(seconds=30)
"""How often a sweep that runs in every round records its success."""

INTERVALS: Mapping[Sweep, timedelta] = {
    Sweep.WAKE_UPS: EVERY_ROUND,
    Sweep.COUNTERS: EVERY_ROUND,
    Sweep.PARTITIONS: timedelta(days=1),
    Sweep.BLOBS: timedelta(seconds=30),
    Sweep.ANSWERS: EVERY_ROUND,
    Sweep.RETENTION: timedelta(hours=1),
    Sweep.PUBLICATION: timedelta(minutes=5),
    Sweep.ENVIRONMENTS: timedelta(seconds=30),
    Sweep.APPROVALS: timedelta(seconds=30),
    Sweep.RECONCILIATION: timedelta(seconds=30),
}
"""EVERY_ROUND means in each round of sweeps. Blobs run twice per minute, because their shard changes every minute."""
