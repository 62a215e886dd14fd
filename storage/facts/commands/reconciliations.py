"""Reconciliation with a sender's list of its deliveries: its settings, and its runs, claimed with a lease."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound
from domain.facts.reconciliations import SOURCES, TOKEN_PURPOSE, Reconciliation, next_run
from domain.facts.records import WEBHOOK_CONFIG
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.facts.queries.reconciliations import reconciliation_of
from storage.rows import insert
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import SecretCipher


@dataclass(frozen=True, slots=True)
class NewReconciliation:
    """The URL of the sender's hook, whose API lists its deliveries, and the token for that API."""

    config_id: UUID
    hook_url: str
    token: str


async def set_reconciliation(
    tx: Transaction, tenant: Tenant, new: NewReconciliation, envelope: SecretCipher, actor: Actor
) -> Reconciliation:
    """Set or replace the reconciliation of a webhook config; its first run is due at once.

    Raises NotFound for the config, Conflict if its sender has no API for it.
    """
    config = await _hold_config(tx, tenant, new.config_id)
    if config["source"] not in SOURCES:
        raise Conflict(f"Only configs of {', '.join(sorted(SOURCES))} can be reconciled.", kind="state")
    await forget_reconciliation(tx, tenant, new.config_id)
    row: Row = {
        "config_id": new.config_id,
        "org_id": tenant.org_id,
        "hook_url": new.hook_url,
        "secret_id": await keep_secret(tx, tenant, envelope, new.token, TOKEN_PURPOSE),
        "next_run_at": tx.now,
        "last_run_at": None,
        "last_error": None,
        "created_at": tx.now,
    }
    await insert(tx, "reconciliations", row)
    await append(tx, tenant, [_event(actor, config, new.hook_url)])
    return reconciliation_of(row)


async def remove_reconciliation(tx: Transaction, tenant: Tenant, config_id: UUID, actor: Actor) -> Reconciliation:
    """Remove the reconciliation of a config with its token, and audit that. Raises NotFound."""
    config = await _hold_config(tx, tenant, config_id)
    gone = await forget_reconciliation(tx, tenant, config_id)
    if gone is None:
        raise NotFound(f"The webhook config {config_id} is not reconciled.")
    await append(tx, tenant, [_event(actor, config, None)])
    return gone


_FORGET = """
WITH gone AS (
  DELETE FROM reconciliations WHERE org_id = $1 AND config_id = $2 RETURNING *
), forgotten AS (
  DELETE FROM secrets USING gone WHERE secrets.id = gone.secret_id
)
SELECT * FROM gone
"""


async def forget_reconciliation(tx: Transaction, tenant: Tenant, config_id: UUID) -> Reconciliation | None:
    """Remove a reconciliation with its token, for callers that write their own audit event; None if there is none."""
    row = await tx.row(_FORGET, tenant.org_id, config_id)
    return reconciliation_of(row) if row else None


_HOLD_CONFIG = """
SELECT * FROM webhook_configs WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR NO KEY UPDATE
"""


async def _hold_config(tx: Transaction, tenant: Tenant, config_id: UUID) -> Row:
    """Return the config, locked so that the audit event records its state at the commit."""
    row = await tx.row(_HOLD_CONFIG, tenant.org_id, config_id)
    if row is None:
        raise NotFound(f"There is no webhook config {config_id}.")
    return row


def _event(actor: Actor, config: Row, hook_url: str | None) -> Event:
    payload = {"webhookConfigId": str(config["id"]), "source": config["source"], "hookUrl": hook_url}
    return Event(AuditName.WEBHOOK_CONFIG_RECONCILED, actor, WEBHOOK_CONFIG, config, payload)


@dataclass(frozen=True, slots=True)
class Due:
    """A claimed reconciliation. `leased_until` identifies the claim."""

    config_id: UUID
    org_id: UUID
    source: str
    hook_url: str
    secret_id: UUID
    leased_until: datetime
    started_at: datetime
    last_run_at: datetime | None
    created_at: datetime


_CLAIM = """
UPDATE reconciliations r SET next_run_at = $2
FROM (
  SELECT r.config_id, c.source FROM reconciliations r JOIN webhook_configs c ON c.id = r.config_id
  WHERE r.next_run_at <= $1 AND c.is_active AND c.archived_at IS NULL
  ORDER BY r.next_run_at LIMIT 1 FOR UPDATE OF r SKIP LOCKED
) due
WHERE r.config_id = due.config_id
RETURNING r.config_id, r.org_id, due.source, r.hook_url, r.secret_id, r.next_run_at AS leased_until,
          $1::timestamptz AS started_at, r.last_run_at, r.created_at
"""


async def claim_reconciliation(tx: Transaction, lease: timedelta) -> Due | None:
    """Lease the reconciliation that has been due longest; None if none is due. An unsettled lease expires."""
    row = await tx.row(_CLAIM, tx.now, tx.now + lease)
    return Due(**row) if row else None


@dataclass(frozen=True, slots=True)
class ReconciliationOutcome:
    """The outcome of a run: the deliveries requested again, and the error for people, if any.

    `whole` is True if the comparison was complete, so that the next one need not look back further. `retry_after` is
    the wait that the sender asked for.
    """

    asked: Sequence[str]
    whole: bool
    error: str | None = None
    retry_after: timedelta | None = None


_ASKED = """
INSERT INTO redelivery_requests (config_id, delivery_id, org_id, times, asked_at)
SELECT $1, guid, $2, 1, $3 FROM unnest($4::text[]) AS a(guid) ORDER BY guid
ON CONFLICT (config_id, delivery_id) DO UPDATE
SET times = redelivery_requests.times + 1, asked_at = excluded.asked_at
"""
_SETTLE = """
UPDATE reconciliations SET next_run_at = $3, last_run_at = CASE WHEN $4 THEN $5 ELSE last_run_at END, last_error = $6
WHERE config_id = $1 AND next_run_at = $2
"""


async def settle_reconciliation(tx: Transaction, due: Due, outcome: ReconciliationOutcome, interval: timedelta) -> None:
    """Settle a claim. Requests are recorded even if the claim is lost to a changed setting or another worker."""
    if outcome.asked:
        await tx.execute(_ASKED, due.config_id, due.org_id, tx.now, list(outcome.asked))
    well_at = due.last_run_at or due.created_at
    failed = outcome.error is not None and not outcome.whole
    following = next_run(tx.now, well_at, interval, outcome.retry_after) if failed else tx.now + interval
    await tx.execute(_SETTLE, due.config_id, due.leased_until, following, outcome.whole, due.started_at, outcome.error)


_FORGET_REQUESTS = """
DELETE FROM redelivery_requests
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM redelivery_requests WHERE asked_at <= $1 ORDER BY asked_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""


async def forget_requests(tx: Transaction, age: timedelta, limit: int) -> int:
    """Delete up to `limit` redelivery requests older than `age`; return how many."""
    return await tx.execute(_FORGET_REQUESTS, tx.now - age, limit)
