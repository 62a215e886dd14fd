"""Configuring inbound webhooks."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.facts.records import WEBHOOK_CONFIG
from domain.facts.webhook_configs import MAX_DEFAULT_CONFIGS, SECRET_PURPOSE, NewWebhookConfig, WebhookConfig
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.identity.principals import NewPrincipal
from domain.identity.quotas import FixedLimit, Quota
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.facts.commands.reconciliations import forget_reconciliation
from storage.facts.tables import webhook_configs
from storage.identity.commands.principals import create_principal
from storage.identity.commands.quotas import charge, release
from storage.references import check_reference
from storage.rows import from_row
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import SecretCipher

CONFIGS = Definition(
    "webhook config",
    WEBHOOK_CONFIG,
    webhook_configs,
    shown={"source": "source", "flowId": "flow_id"},
    taken={},
)

_config = from_row(WebhookConfig)


async def create_webhook_config(
    tx: Transaction, tenant: Tenant, new: NewWebhookConfig, envelope: SecretCipher, actor: Actor
) -> WebhookConfig:
    """Create a config, with a principal of its own that reports the sender's facts.

    Raises NotFound for the flow, Conflict when the organisation's quota is exceeded, and when the organisation
    `default` has MAX_DEFAULT_CONFIGS configs of the source: a delivery to the path without a config id is checked
    against each of them.
    """
    await check_reference(tx, tenant, "flow", new.flow_id)
    await _check_limit(tx, tenant, new.source)
    await charge(tx, tenant, Quota.WEBHOOK_CONFIGS)
    config_id = tx.new_id()
    sender = NewPrincipal("service", f"webhook-{new.source.lower()}-{config_id}", "reporter")
    values = {
        "id": config_id,
        "source": new.source,
        "flow_id": new.flow_id,
        "principal_id": await create_principal(tx, tenant, sender, actor),
        "secret_id": await keep_secret(tx, tenant, envelope, new.secret, SECRET_PURPOSE),
        "previous_secret_id": None,
        "previous_until": None,
        "is_active": True,
        "signed_at": None,
    }
    return _config(await CONFIGS.create(tx, tenant, actor, values))


_COUNT = "SELECT count(*) FROM webhook_configs WHERE org_id = $1 AND source = $2 AND archived_at IS NULL"


async def _check_limit(tx: Transaction, tenant: Tenant, source: str) -> None:
    if tenant.org_slug != DEFAULT_ORGANISATION:
        return
    await tx.value("SELECT pg_advisory_xact_lock(7241004, hashtext($1))", source)
    if await tx.value(_COUNT, tenant.org_id, source) >= MAX_DEFAULT_CONFIGS:
        raise Conflict(
            f"The organisation 'default' has {MAX_DEFAULT_CONFIGS} configs of source {source} already; "
            "delete one, or use an organisation of your own.",
            kind="state",
            limit=FixedLimit.WEBHOOK_CONFIGS_PER_SOURCE,
        )


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A new secret for a config; the previous one stays valid for `grace`."""

    config_id: UUID
    secret: str
    grace: timedelta


async def rotate_webhook_secret(
    tx: Transaction, tenant: Tenant, new: NewSecret, envelope: SecretCipher, actor: Actor
) -> WebhookConfig:
    """Replace the secret of a config. Raises NotFound."""
    held = await CONFIGS.hold(tx, tenant, new.config_id)
    values = {
        "secret_id": await keep_secret(tx, tenant, envelope, new.secret, SECRET_PURPOSE),
        "previous_secret_id": held["secret_id"],
        "previous_until": tx.now + new.grace,
    }
    return _config(await CONFIGS.change(tx, tenant, actor, held, values, verb="rotated"))


async def delete_webhook_config(
    tx: Transaction, tenant: Tenant, config_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> WebhookConfig:
    """Archive a config and remove its reconciliation; the facts that the sender reported stay.

    Return the last version of the config. Raises NotFound, Stale.
    """
    held = await CONFIGS.hold(tx, tenant, config_id, expected)
    archived = await CONFIGS.archive(tx, tenant, actor, held, {"is_active": False})
    await release(tx, tenant, Quota.WEBHOOK_CONFIGS)
    await forget_reconciliation(tx, tenant, config_id)
    return _config(archived)
