"""Check the queues, dead letters, stored secrets and destinations."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cli.checks.findings import DoctorFinding, fail, ok, warn
from cli.output import printable
from storage.gauges import COUNT_LIMIT, Gauges
from storage.outbox.health import DestinationHealth
from storage.secrets.envelope import SecretCipher
from storage.secrets.queries import SealedUnder

LATE = timedelta(seconds=60)
"""A longer lag is not a short peak of load: nobody processes the queue."""


def examine_queues(gauges: Gauges) -> list[DoctorFinding]:
    """Return findings about the inbox, the ledger, the outbox, and their dead letters."""
    worker = "start a worker, or read its log"
    return [
        _queue("inbox", gauges.inbox, gauges.inbox_lag, worker),
        _dead("dead letters", gauges.dead, "trailgate inbox dead --verbose, then replay"),
        _queue("ledger", gauges.unsealed, gauges.seal_lag, worker),
        _queue("outbox", gauges.outbox, gauges.outbox_lag, worker),
        _dead("dead messages", gauges.dead_messages, "trailgate outbox dead, then replay"),
    ]


def _queue(check: str, waiting: int, lag: timedelta, advice: str) -> DoctorFinding:
    if not waiting:
        return ok(check, "nothing is waiting")
    found = f"{_number(waiting)} waiting, the oldest due for {lag.total_seconds():,.0f} s"
    return fail(check, found, advice) if lag > LATE else ok(check, found)


def _dead(check: str, number: int, advice: str) -> DoctorFinding:
    return warn(check, f"{_number(number)} failed permanently", advice) if number else ok(check, "none")


def _number(counted: int) -> str:
    return f"{counted:,}" if counted < COUNT_LIMIT else f"{COUNT_LIMIT:,} or more"


def examine_secrets(used: Sequence[SealedUnder], envelope: SecretCipher) -> DoctorFinding:
    """Check that the stored secrets are encrypted with this master key; `used` begins with the most recent key."""
    foreign = [one for one in used if one.key_id != envelope.key_id]
    if not foreign:
        return ok("secrets", f"all are encrypted with this master key ({envelope.key_id})")
    keys = ", ".join(f"{one.number:,} with {one.key_id}" for one in foreign)
    if used[0] in foreign:
        advice = (
            "restore that key; if it is lost for good, run `trailgate secrets replace-lost`, rotate the secret of "
            "every webhook config, and enter the channelConfig of every notification rule again"
        )
        return fail("secrets", f"the latest is encrypted with another master key ({keys})", advice)
    return warn("secrets", f"old ones are encrypted with another master key ({keys})", "rotate those still in use")


def examine_destinations(destinations: Sequence[DestinationHealth], now: datetime) -> list[DoctorFinding]:
    """Return a finding for each failing, paused or disabled destination, and one for all healthy ones."""
    problems = [problem for one in destinations if (problem := _problem(one, now))]
    healthy = len(destinations) - len(problems)
    return [*problems, ok("destinations", f"{healthy:,} healthy")]


def _problem(one: DestinationHealth, now: datetime) -> DoctorFinding | None:
    name = named(one)
    if one.disabled_at:
        why = printable(one.disabled_reason).rstrip(".")
        found = f"{name} has been disabled since {printable(one.disabled_at)}: {why}"
        advice = f"fix it, then POST /api/v1/destinations/{one.id}/enable; or deactivate rule {one.rule_id}"
        return fail("destinations", found, advice)
    if one.failing_since:
        found = f"{name} has been failing since {printable(one.failing_since)}, {one.failures} times"
        return warn("destinations", found, f"for the reason GET /api/v1/notification-rules/{one.rule_id}/deliveries")
    if one.paused_until and one.paused_until > now:
        return warn("destinations", f"{name} asked for a pause until {printable(one.paused_until)}", "wait")
    return None


def named(one: DestinationHealth) -> str:
    """Return the name of a destination for people: its channel, label and organisation."""
    return printable(f"{one.channel} {one.label} of {one.org_slug}")
