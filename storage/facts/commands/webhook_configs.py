"""Configuring inbound webhooks."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound
from domain.facts.records import WEBHOOK_CONFIG
from domain.facts.webhook_configs import MAX_DEFAULT_CONFIGS, SECRET_PURPOSE, WebhookConfig
from domain.identity.permissions import DEFAULT_ORGANISATION
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.facts.queries.flows import get_flow
from storage.facts.queries.webhook_configs import CONFIG_COLUMNS
from storage.identity.commands import NewPrincipal, create_principal
from storage.rows import insert
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import Envelope
from storage.tenant import Tenant


@dataclass(frozen=True, slots=True)
class NewWebhookConfig:
    """A sender to be let in."""

    source: str
    flow_id: UUID
    secret: str


async def create_webhook_config(
    tx: Transaction, tenant: Tenant, new: NewWebhookConfig, envelope: Envelope, actor: Actor
) -> WebhookConfig:
    """Let a sender in, with a principal of its own that its facts are reported by.

    Raises NotFound for the flow, Conflict when `default` has as many configs of the source as its open door tries.
    """
    await get_flow(tx, tenant, new.flow_id)
    await _check_room(tx, tenant, new.source)
    config_id = tx.new_id()
    sender = NewPrincipal("service", f"webhook-{new.source.lower()}-{config_id}", "reporter")
    row: Row = {
        "id": config_id,
        "org_id": tenant.org_id,
        "source": new.source,
        "flow_id": new.flow_id,
        "principal_id": await create_principal(tx, tenant, sender, actor),
        "secret_id": await keep_secret(tx, tenant, envelope, new.secret, SECRET_PURPOSE),
        "previous_secret_id": None,
        "previous_until": None,
        "is_active": True,
        "version": 1,
        "created_at": tx.now,
        "archived_at": None,
    }
    await insert(tx, "webhook_configs", row)
    await append(tx, tenant, [_event(AuditName.WEBHOOK_CONFIG_CREATED, actor, row)])
    return _config(row)


_COUNT = "SELECT count(*) FROM webhook_configs WHERE org_id = $1 AND source = $2 AND archived_at IS NULL"


async def _check_room(tx: Transaction, tenant: Tenant, source: str) -> None:
    if tenant.org_slug != DEFAULT_ORGANISATION:
        return
    await tx.value("SELECT pg_advisory_xact_lock(7241004, hashtext($1))", source)
    if await tx.value(_COUNT, tenant.org_id, source) >= MAX_DEFAULT_CONFIGS:
        raise Conflict(
            f"The organisation 'default' has {MAX_DEFAULT_CONFIGS} configs of source {source} already; "
            "delete one, or use an organisation of your own.",
            kind="state",
        )


_ROTATE = """
UPDATE webhook_configs
SET previous_secret_id = secret_id, secret_id = $3, previous_until = $4, version = version + 1
WHERE org_id = $1 AND id = $2 AND archived_at IS NULL
RETURNING *
"""


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What replaces a config's secret; the one before stays valid for `grace`."""

    config_id: UUID
    secret: str
    grace: timedelta


async def rotate_webhook_secret(
    tx: Transaction, tenant: Tenant, new: NewSecret, envelope: Envelope, actor: Actor
) -> WebhookConfig:
    """Replace the secret of a config. Raises NotFound."""
    secret_id = await keep_secret(tx, tenant, envelope, new.secret, SECRET_PURPOSE)
    row = await tx.row(_ROTATE, tenant.org_id, new.config_id, secret_id, tx.now + new.grace)
    if row is None:
        raise NotFound(f"There is no webhook config {new.config_id}.")
    await append(tx, tenant, [_event(AuditName.WEBHOOK_CONFIG_ROTATED, actor, row)])
    return _config(row)


_ARCHIVE = """
UPDATE webhook_configs SET archived_at = $3, is_active = false, version = version + 1
WHERE org_id = $1 AND id = $2 AND archived_at IS NULL
RETURNING *
"""


async def delete_webhook_config(tx: Transaction, tenant: Tenant, config_id: UUID, actor: Actor) -> WebhookConfig:
    """Let a sender in no longer; what it reported stays. The answer is the config at its end. Raises NotFound."""
    row = await tx.row(_ARCHIVE, tenant.org_id, config_id, tx.now)
    if row is None:
        raise NotFound(f"There is no webhook config {config_id}.")
    await append(tx, tenant, [_event(AuditName.WEBHOOK_CONFIG_DELETED, actor, row)])
    return _config(row)


def _config(row: Row) -> WebhookConfig:
    return WebhookConfig(**{column: row[column] for column in CONFIG_COLUMNS})


def _event(name: AuditName, actor: Actor, row: Row) -> Event:
    payload = {"webhookConfigId": str(row["id"]), "source": row["source"], "flowId": str(row["flow_id"])}
    return Event(name, actor, WEBHOOK_CONFIG, row, payload)
