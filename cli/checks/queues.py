"""What waits, what is dead, what does not open, and which destinations are in trouble."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cli.checks.findings import DoctorFinding, fail, ok, warn
from cli.output import printable
from storage.gauges import COUNT_LIMIT, Gauges
from storage.outbox.health import DestinationHealth
from storage.secrets.envelope import SecretCipher
from storage.secrets.queries import SealedUnder

LATE = timedelta(seconds=60)
"""From here on it is not a moment's load, but something that stands still."""


def examine_queues(gauges: Gauges) -> list[DoctorFinding]:
    """Inbox, ledger and outbox, and the dead letters of both."""
    worker = "start a worker, or see its log"
    return [
        _queue("inbox", gauges.inbox, gauges.inbox_lag, worker),
        _dead("dead letters", gauges.dead, "trailgate inbox dead --verbose, then replay"),
        _queue("ledger", gauges.unsealed, gauges.seal_lag, worker),
        _queue("outbox", gauges.outbox, gauges.outbox_lag, worker),
        _dead("dead messages", gauges.dead_messages, "trailgate outbox dead, then replay"),
    ]


def _queue(check: str, waiting: int, lag: timedelta, advice: str) -> DoctorFinding:
    if not waiting:
        return ok(check, "nothing waits")
    found = f"{_number(waiting)} waiting, the oldest due for {lag.total_seconds():,.0f} s"
    return fail(check, found, advice) if lag > LATE else ok(check, found)


def _dead(check: str, number: int, advice: str) -> DoctorFinding:
    return warn(check, f"{_number(number)} failed for good", advice) if number else ok(check, "none")


def _number(counted: int) -> str:
    return f"{counted:,}" if counted < COUNT_LIMIT else f"{COUNT_LIMIT:,} or more"


def examine_secrets(used: Sequence[SealedUnder], envelope: SecretCipher) -> DoctorFinding:
    """Whether the master key is the one that the stored secrets are sealed with; `used` has the last used first."""
    foreign = [one for one in used if one.key_id != envelope.key_id]
    if not foreign:
        return ok("secrets", f"every one opens with this master key ({envelope.key_id})")
    told = ", ".join(f"{one.number:,} under {one.key_id}" for one in foreign)
    if used[0] in foreign:
        advice = "give this machine the key of the others; if it is lost, rotate every webhook and rule"
        return fail("secrets", f"the last was sealed under another master key ({told})", advice)
    return warn("secrets", f"old ones are sealed under another master key ({told})", "rotate what still needs them")


def examine_destinations(destinations: Sequence[DestinationHealth], now: datetime) -> list[DoctorFinding]:
    """A line for each in trouble, and one for all that are well."""
    troubles = [trouble for one in destinations if (trouble := _trouble(one, now))]
    well = len(destinations) - len(troubles)
    return [*troubles, ok("destinations", f"{well:,} well")]


def _trouble(one: DestinationHealth, now: datetime) -> DoctorFinding | None:
    name = named(one)
    if one.disabled_at:
        why = printable(one.disabled_reason).rstrip(".")
        found = f"{name} is disabled since {printable(one.disabled_at)}: {why}"
        advice = f"mend it, then POST /api/v1/destinations/{one.id}/enable; or switch off rule {one.rule_id}"
        return fail("destinations", found, advice)
    if one.failing_since:
        found = f"{name} fails since {printable(one.failing_since)}, {one.failures} times"
        return warn("destinations", found, f"see why: GET /api/v1/notification-rules/{one.rule_id}/deliveries")
    if one.paused_until and one.paused_until > now:
        return warn("destinations", f"{name} asked to be left alone until {printable(one.paused_until)}", "wait")
    return None


def named(one: DestinationHealth) -> str:
    """A destination as people know it."""
    return printable(f"{one.channel} {one.label} of {one.org_slug}")
