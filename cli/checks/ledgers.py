"""Check that the ledgers are what was sealed and published, and that they are signed in time."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from cli.checks.findings import DoctorFinding, fail, ok
from cli.checks.queues import LATE
from cli.installation import existing_authenticator
from cli.ledger import ledgers_seen
from storage.authenticator import Authenticator
from storage.database import Database
from storage.gauges import Gauges
from storage.identity.queries.organisations import every_organisation
from storage.keys import load_trusted_keys
from storage.ledger.heads import Inconsistent, Known, known_of, problem_of
from storage.settings import Settings

MAX_LEDGERS = 1000
"""Ledgers examined; `trailgate verify` examines all of them."""


def examine_signing(gauges: Gauges) -> DoctorFinding:
    """Check that entries do not wait long for a checkpoint."""
    lag = gauges.checkpoint_lag
    if not lag:
        return ok("signing", "every ledger entry is covered by a signed checkpoint")
    found = f"the oldest ledger entry without a checkpoint has waited for {lag.total_seconds():,.0f} s"
    return fail("signing", found, "start a worker, or read its log") if lag > LATE else ok("signing", found)


async def examine_ledgers(database: Database, settings: Settings) -> DoctorFinding:
    """Ask what the sealer asks before it signs."""
    async with database.read() as reader:
        every = await every_organisation(reader)
    organisations = every[:MAX_LEDGERS]
    authenticator, keys = existing_authenticator(settings), load_trusted_keys(settings)
    gone = ledgers_seen(settings) - {organisation.id for organisation in every}
    problems = [f"{org_id}: its ledger was published or seen here, but there is none" for org_id in sorted(gone)]
    problems += [
        f"{organisation.slug}: {problem}"
        for organisation in organisations
        if (problem := await _problem(database, organisation.id, authenticator, partial(known_of, settings, keys)))
    ]
    if problems:
        advice = "such a ledger is not signed: run `trailgate verify`, and see docs/runbook.md"
        return fail("ledgers", "; ".join(problems), advice)
    if authenticator is None:
        return fail("ledgers", "cannot be authenticated without a master key", "see the check of the master key")
    return ok("ledgers", f"{len(organisations):,} begin with what was published, and end as they were sealed")


async def _problem(
    database: Database, org_id: UUID, authenticator: Authenticator | None, known_of_ledger: Callable[[UUID], Known]
) -> str | None:
    try:
        known = known_of_ledger(org_id)
    except Inconsistent as error:
        return str(error)
    async with database.snapshot() as reader:
        return await problem_of(reader, org_id, authenticator, known)
