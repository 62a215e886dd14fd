"""Reading notification rules, for people and for the relay."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.notifications.rules import CONFIG_PURPOSE, SIGNING_PURPOSE, NotificationRule
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.paging import Listing, Page, Window
from storage.secrets.envelope import SecretCipher
from storage.secrets.queries import open_secrets

_RULES = Listing.plain(NotificationRule, "notification_rules", "notification rule", archivable=True)


async def get_rule(reader: Reader, tenant: Tenant, rule_id: UUID) -> NotificationRule:
    """Return one rule. Raises NotFound, also if it is deleted or belongs to another organisation."""
    return await _RULES.get(reader, tenant, rule_id)


async def list_rules(reader: Reader, tenant: Tenant, window: Window) -> Page[NotificationRule]:
    """List the organisation's rules, oldest first."""
    return await _RULES.page(reader, tenant, window)


@dataclass(frozen=True, slots=True)
class RuleTarget:
    """A rule for the relay: its channel configuration in clear, and the secrets to sign with, newest first.

    Waiting messages of an inactive rule are still sent, because the rule was active when they were raised; those of an
    archived rule are not.
    """

    rule_id: UUID
    org_id: UUID
    channel: str
    config: Mapping[str, Any]
    signing_secrets: tuple[str, ...]
    title_template: str | None
    message_template: str | None
    archived: bool
    is_active: bool


_TARGETS = """
SELECT id, org_id, channel, config_secret_id, signing_secret_id,
       CASE WHEN previous_until > now() THEN previous_signing_secret_id END AS previous_signing_secret_id,
       title_template, message_template, archived_at IS NOT NULL AS archived, is_active
FROM notification_rules WHERE id = ANY($1::uuid[])
"""


async def channel_targets(reader: Reader, envelope: SecretCipher, rule_ids: Sequence[UUID]) -> dict[UUID, RuleTarget]:
    """Return the targets of rules of any organisation, including archived ones, by rule id.

    Raises envelope.Undecipherable.
    """
    rows = await reader.rows(_TARGETS, rule_ids)
    configs = await open_secrets(reader, envelope, [row["config_secret_id"] for row in rows], CONFIG_PURPOSE)
    signing_ids = [secret_id for row in rows for secret_id in _signing_ids(row)]
    secrets = await open_secrets(reader, envelope, signing_ids, SIGNING_PURPOSE) if signing_ids else {}
    return {row["id"]: _target(row, configs, secrets) for row in rows}


def _target(row: Row, configs: Mapping[UUID, str], secrets: Mapping[UUID, str]) -> RuleTarget:
    return RuleTarget(
        rule_id=row["id"],
        org_id=row["org_id"],
        channel=row["channel"],
        config=json.loads(configs[row["config_secret_id"]]),
        signing_secrets=tuple(secrets[secret_id] for secret_id in _signing_ids(row)),
        title_template=row["title_template"],
        message_template=row["message_template"],
        archived=row["archived"],
        is_active=row["is_active"],
    )


def _signing_ids(row: Row) -> list[UUID]:
    return [one for one in (row["signing_secret_id"], row["previous_signing_secret_id"]) if one]
