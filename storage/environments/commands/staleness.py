"""What time alone does to environments: nobody reports them any more, or an entry of their allow-list expires."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.environments.records import REPORTING
from domain.notifications.triggers import environment_reported, environment_stale
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Reader, Row, Transaction
from storage.environments.commands.drift import check_drift
from storage.environments.holding import hold_environments
from storage.notifications.commands.notices import raise_notices

MAX_ARTIFACTS = 50_000
"""Artifacts of several environments that are compared together, with as many of their baselines."""

Checked = Literal["due_at", "recheck_at"]
"""When environments become stale, and when an entry of their allow-list expires."""

_WAITING = """
SELECT e.id, e.org_id, o.slug FROM environments e JOIN organisations o ON o.id = e.org_id
WHERE e.{column} <= $1 AND e.archived_at IS NULL ORDER BY e.{column} LIMIT $2
"""
_DUE = """
SELECT id FROM environments WHERE id = ANY($2::uuid[]) AND {column} <= $1 AND archived_at IS NULL
FOR NO KEY UPDATE SKIP LOCKED
"""
_STALE = "UPDATE environments SET stale_since = due_at, due_at = NULL WHERE id = ANY($1::uuid[])"


async def waiting_environments(
    reader: Reader, column: Checked, now: datetime, limit: int
) -> Mapping[Tenant, Sequence[UUID]]:
    """Return environments whose time has come, by organisation, those first that have waited longest."""
    found: dict[Tenant, list[UUID]] = defaultdict(list)
    for row in await reader.rows(_WAITING.format(column=column), now, limit):
        found[Tenant(row["org_id"], row["slug"])].append(row["id"])
    return found


async def mark_stale(tx: Transaction, tenant: Tenant, ids: Sequence[UUID]) -> None:
    """Mark those of the environments that are overdue as stale, and tell people."""
    held = await _hold_due(tx, tenant, "due_at", ids)
    if not held:
        return
    await tx.execute(_STALE, [one["id"] for one in held])
    await append(tx, tenant, [_event(tx.new_id(), AuditName.ENVIRONMENT_STALE, one, _definer(one)) for one in held])
    notices = [environment_stale(one["id"], one["name"], one["stale_after"], one["due_at"]) for one in held]
    await raise_notices(tx, tenant, notices)


async def recheck_drift(tx: Transaction, tenant: Tenant, ids: Sequence[UUID]) -> None:
    """Compare those of the environments again whose allow-list let something pass until now."""
    for definer, held in _by_definer(await _hold_due(tx, tenant, "recheck_at", ids)).items():
        for some in _portions(held):
            await check_drift(tx, tenant, some, definer)


async def _hold_due(tx: Transaction, tenant: Tenant, column: Checked, ids: Sequence[UUID]) -> list[Row]:
    """Lock those of the environments whose time has come, except those that somebody else has locked."""
    due = await tx.rows(_DUE.format(column=column), tx.now, ids)
    return await hold_environments(tx, tenant, [row["id"] for row in due])


async def end_staleness(tx: Transaction, tenant: Tenant, held: Row, actor: Actor) -> None:
    """Record that a stale environment, which is locked, is reported again, and tell people."""
    await append(tx, tenant, [_event(tx.new_id(), AuditName.ENVIRONMENT_REPORTED, held, actor)])
    await raise_notices(tx, tenant, [environment_reported(held["id"], held["name"])])


def _definer(held: Row) -> Actor:
    """Return the actor of what time does, which is nobody's act: whoever made the environment what it is."""
    return Actor(held["created_by"])


def _by_definer(held: list[Row]) -> dict[Actor, list[Row]]:
    found: dict[Actor, list[Row]] = defaultdict(list)
    for one in held:
        found[_definer(one)].append(one)
    return found


def _portions(held: list[Row]) -> Iterator[list[Row]]:
    """Yield the environments in portions of which all that runs fits into memory."""
    some: list[Row] = []
    for one in held:
        if some and sum(other["last_artifacts"] for other in some) + one["last_artifacts"] > MAX_ARTIFACTS:
            yield some
            some = []
        some.append(one)
    if some:
        yield some


def _event(reporting_id: UUID, name: AuditName, held: Row, actor: Actor) -> Event:
    """Make an event, which is a record of its own: under the id of the environment, neither would be verified."""
    payload = {
        "environmentId": str(held["id"]),
        "lastReportedAt": held["last_reported_at"].isoformat(),
        "staleAfterMinutes": held["stale_after"],
    }
    return Event(name, actor, REPORTING, {"id": reporting_id}, payload, environment_id=held["id"])
