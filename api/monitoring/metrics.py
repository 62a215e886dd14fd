"""What this process counts, and what /metrics reads from Postgres when it is asked (facts.md 22)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import nan

from prometheus_client import Gauge

from storage.gauges import Gauges

GROUP_COMMIT_DEPTH = Gauge("trailgate_writer_waiting", "Items waiting for a group commit in this process", ["writer"])
DATABASE_UP = Gauge("trailgate_database_up", "Whether Postgres answered this question; if not, what it knows is NaN")
INBOX = Gauge("trailgate_inbox_waiting", "Deliveries accepted and not settled (counted up to 10,000)")
INBOX_AGE = Gauge("trailgate_inbox_oldest_seconds", "How long the oldest due delivery has been due")
DEAD = Gauge("trailgate_dead_letters", "Deliveries that failed for good (counted up to 10,000)")
UNSEALED = Gauge("trailgate_unsealed_events", "Audit events waiting for the ledger (counted up to 10,000)")
SEAL_LAG = Gauge("trailgate_seal_lag_seconds", "Age of the oldest unsealed audit event")
OUTBOX = Gauge("trailgate_outbox_waiting", "Messages to be sent (counted up to 10,000)")
OUTBOX_AGE = Gauge("trailgate_outbox_oldest_seconds", "How long the oldest message to a sound destination has been due")
DEAD_MESSAGES = Gauge("trailgate_dead_messages", "Messages that could not be sent (counted up to 10,000)")
DESTINATIONS = Gauge("trailgate_destinations", "Destinations of rules that are failing, paused, disabled", ["state"])
SWEEP_LAG = Gauge("trailgate_sweep_lag_seconds", "How late a sweep is; 0 while it is on time", ["sweep"])
MONTHS_AHEAD = Gauge("trailgate_partition_months_ahead", "Monthly partitions after the current one", ["table"])


@dataclass(frozen=True, slots=True)
class Condition:
    """What Postgres knows of the whole installation at one moment."""

    gauges: Gauges
    sweep_lags: Mapping[str, timedelta]
    months_ahead: Mapping[str, int]


def show(condition: Condition) -> None:
    """Set the gauges that every API process answers alike."""
    DATABASE_UP.set(1)
    gauges = condition.gauges
    INBOX.set(gauges.inbox)
    INBOX_AGE.set(gauges.inbox_lag.total_seconds())
    DEAD.set(gauges.dead)
    UNSEALED.set(gauges.unsealed)
    SEAL_LAG.set(gauges.seal_lag.total_seconds())
    OUTBOX.set(gauges.outbox)
    OUTBOX_AGE.set(gauges.outbox_lag.total_seconds())
    DEAD_MESSAGES.set(gauges.dead_messages)
    for state, number in gauges.destinations.items():
        DESTINATIONS.labels(state).set(number)
    for sweep, lag in condition.sweep_lags.items():
        SWEEP_LAG.labels(sweep).set(lag.total_seconds())
    for table, months in condition.months_ahead.items():
        MONTHS_AHEAD.labels(table).set(months)


def show_unknown() -> None:
    """Without Postgres the old numbers would lie: none of them is given."""
    DATABASE_UP.set(0)
    for gauge in (INBOX, INBOX_AGE, DEAD, UNSEALED, SEAL_LAG, OUTBOX, OUTBOX_AGE, DEAD_MESSAGES):
        gauge.set(nan)
    for labelled in (DESTINATIONS, SWEEP_LAG, MONTHS_AHEAD):
        labelled.clear()
