"""The response of /metrics: the counters of the processes, and gauges read from PostgreSQL."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import nan

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from storage.gauges import Gauges
from storage.settings import environment

COUNTED_TOGETHER = "PROMETHEUS_MULTIPROC_DIR"
"""Set for processes that share an address: each then reports the sum of all (prometheus_client's multiprocess mode)."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of the whole installation in PostgreSQL at one moment, the same for every API process."""

    gauges: Gauges
    sweep_lags: Mapping[str, timedelta]
    months_ahead: Mapping[str, int]


def text(condition: Condition | None, waiting: Mapping[str, int]) -> bytes:
    """Return all metrics in Prometheus text format.

    Without PostgreSQL `condition` is None, and its gauges are NaN or missing. `waiting` has the queue length of each
    group commit of this process.
    """
    gauges = CollectorRegistry()
    gauges.register(_Gauges(condition, waiting))
    return _counted() + generate_latest(gauges)


def _counted() -> bytes:
    if COUNTED_TOGETHER not in environment():
        return generate_latest(REGISTRY)
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return generate_latest(together)


class _Gauges(Collector):
    """Gauges whose values are read with each request."""

    def __init__(self, condition: Condition | None, waiting: Mapping[str, int]) -> None:
        self._condition = condition
        self._waiting = waiting

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _labelled(
            "trailgate_writer_waiting", "Items waiting for a group commit in this process", "writer", self._waiting
        )
        yield GaugeMetricFamily(
            "trailgate_database_up",
            "1 if PostgreSQL answered; otherwise the gauges read from it are NaN",
            value=int(self._condition is not None),
        )
        yield from _queues(self._condition.gauges if self._condition else None)
        if self._condition:
            yield from _details(self._condition)


_QUEUES: dict[str, tuple[str, Callable[[Gauges], float]]] = {
    "inbox_waiting": ("Deliveries accepted and not yet processed (counted up to 10,000)", lambda known: known.inbox),
    "inbox_oldest_seconds": (
        "How long the oldest due delivery has been due",
        lambda known: known.inbox_lag.total_seconds(),
    ),
    "dead_letters": ("Deliveries that failed permanently (counted up to 10,000)", lambda known: known.dead),
    "unsealed_events": ("Audit events waiting for the ledger (counted up to 10,000)", lambda known: known.unsealed),
    "seal_lag_seconds": ("Age of the oldest unsealed audit event", lambda known: known.seal_lag.total_seconds()),
    "checkpoint_lag_seconds": (
        "Age of the oldest ledger entry that no checkpoint covers",
        lambda known: known.checkpoint_lag.total_seconds(),
    ),
    "outbox_waiting": ("Messages to be sent (counted up to 10,000)", lambda known: known.outbox),
    "outbox_oldest_seconds": (
        "How long the oldest message to a healthy destination has been due",
        lambda known: known.outbox_lag.total_seconds(),
    ),
    "dead_messages": ("Messages that could not be sent (counted up to 10,000)", lambda known: known.dead_messages),
    "suppressed_messages": (
        "Messages that were never sent because their organisation's quota was used up",
        lambda known: known.suppressed_messages,
    ),
    "environments_due_seconds": (
        "How long the environment that waits longest for its check has been due",
        lambda known: known.environments_lag.total_seconds(),
    ),
}


def _queues(known: Gauges | None) -> Iterator[GaugeMetricFamily]:
    for name, (documentation, value) in _QUEUES.items():
        yield GaugeMetricFamily(f"trailgate_{name}", documentation, value=nan if known is None else value(known))


def _details(condition: Condition) -> Iterator[GaugeMetricFamily]:
    yield _labelled(
        "trailgate_destinations",
        "Destinations of rules that are failing, paused or disabled",
        "state",
        condition.gauges.destinations,
    )
    yield _labelled(
        "trailgate_sweep_lag_seconds",
        "How late a sweep is; 0 while it is on time",
        "sweep",
        {sweep: lag.total_seconds() for sweep, lag in condition.sweep_lags.items()},
    )
    yield _labelled(
        "trailgate_partition_months_ahead",
        "Monthly partitions after the current one",
        "table",
        condition.months_ahead,
    )


def _labelled(name: str, documentation: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
