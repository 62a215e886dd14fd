"""Reading webhook configurations, for people and for the receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.facts.webhook_configs import SECRET_PURPOSE, WebhookConfig
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.paging import Listing, Page, Window
from storage.secrets.envelope import SecretCipher
from storage.secrets.queries import readable_secrets

_CONFIGS = Listing.plain(WebhookConfig, "webhook_configs", "webhook config", archivable=True)


async def get_webhook_config(reader: Reader, tenant: Tenant, config_id: UUID) -> WebhookConfig:
    """Return one config. Raises NotFound, also if it is deleted or belongs to another organisation."""
    return await _CONFIGS.get(reader, tenant, config_id)


async def list_webhook_configs(reader: Reader, tenant: Tenant, window: Window) -> Page[WebhookConfig]:
    """List the organisation's configs, oldest first."""
    return await _CONFIGS.page(reader, tenant, window)


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """A config for the webhook receiver: its organisation and every secret that is valid now."""

    config_id: UUID
    org_id: UUID
    source: str
    signed: bool
    """The sender has signed a delivery: from then on a token alone is not accepted."""
    secrets: tuple[str, ...]


_RECEIVER = """
SELECT c.id, c.org_id, c.source, c.secret_id, c.signed_at IS NOT NULL AS signed,
       CASE WHEN c.previous_until > now() THEN c.previous_secret_id END AS previous_secret_id
FROM webhook_configs c JOIN organisations o ON o.id = c.org_id
WHERE c.source = $1 AND c.is_active AND c.archived_at IS NULL
"""


async def receiver_configs(
    reader: Reader, envelope: SecretCipher, source: str, config_id: UUID | None
) -> list[ReceiverConfig]:
    """Return the configs that a delivery may belong to: the one in its path, else all of `default` for the source.

    A secret whose master key was lost accepts nothing, and does not keep other secrets from being accepted.
    """
    if config_id is not None:
        rows = await reader.rows(f"{_RECEIVER} AND c.id = $2", source, config_id)
    else:
        rows = await reader.rows(
            f"{_RECEIVER} AND o.slug = $2 ORDER BY c.created_at, c.id", source, DEFAULT_ORGANISATION
        )
    ids = [secret_id for row in rows for secret_id in _secret_ids(row)]
    texts = await readable_secrets(reader, envelope, ids, SECRET_PURPOSE)
    return [
        ReceiverConfig(
            row["id"],
            row["org_id"],
            row["source"],
            signed=row["signed"],
            secrets=tuple(texts[secret_id] for secret_id in _secret_ids(row) if secret_id in texts),
        )
        for row in rows
    ]


def _secret_ids(row: Row) -> list[UUID]:
    return [secret_id for secret_id in (row["secret_id"], row["previous_secret_id"]) if secret_id]


@dataclass(frozen=True, slots=True)
class ConfigTarget:
    """The flow that a config's deliveries belong to, and the principal that reports them."""

    org_id: UUID
    org_slug: str
    flow_id: UUID
    principal_id: UUID


async def targets(reader: Reader, config_ids: Sequence[UUID]) -> dict[UUID, ConfigTarget]:
    """Return the targets of configs, also of deleted ones: deliveries accepted before are still processed."""
    rows = await reader.rows(
        "SELECT c.id, c.org_id, o.slug AS org_slug, c.flow_id, c.principal_id "
        "FROM webhook_configs c JOIN organisations o ON o.id = c.org_id WHERE c.id = ANY($1::uuid[])",
        config_ids,
    )
    return {
        row["id"]: ConfigTarget(row["org_id"], row["org_slug"], row["flow_id"], row["principal_id"]) for row in rows
    }
