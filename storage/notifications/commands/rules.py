"""Notification rules. Waiting messages follow their rule: they go to its new address, and are skipped on deletion."""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.identity.quotas import Quota
from domain.notifications.channel_config import (
    FIELD,
    SECRET,
    address_of,
    checked_config,
    label_of,
    shown_config,
    unmasked,
)
from domain.notifications.deliveries import MessageStatus
from domain.notifications.records import NOTIFICATION_RULE
from domain.notifications.rules import (
    CONFIG_PURPOSE,
    GRACE,
    SIGNING_PURPOSE,
    Channel,
    NewRule,
    NotificationRule,
    RuleChange,
    check_filters,
    trial_notice,
)
from domain.notifications.signing import NEW_KEY, checked_secret, written_secret
from domain.notifications.triggers import Trigger
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.identity.commands.quotas import charge, release
from storage.notifications.commands.notices import payload_of
from storage.notifications.queries.rules import get_rule
from storage.notifications.tables import notification_rules
from storage.outbox.commands import NewMessage, destination_for, enqueue
from storage.outbox.settlement import free_waiting
from storage.references import check_reference
from storage.rows import from_row
from storage.schedule.wakeups import Job
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import SecretCipher
from storage.secrets.queries import readable_secrets

_rule = from_row(NotificationRule)

_MATCHING = frozenset({"trigger", "filter_flow_id", "filter_environment_id"})
"""The fields that decide which notices a rule wants."""
_UNSIGNED: Row = {"signing_secret_id": None, "previous_signing_secret_id": None, "previous_until": None}


@dataclass(frozen=True, slots=True)
class Issued:
    """A rule, with its signing secret in clear if this action set a new one; the secret is never shown again."""

    rule: NotificationRule
    signing_secret: str | None = None


RULES = Definition(
    "notification rule",
    NOTIFICATION_RULE,
    notification_rules,
    shown={"name": "name", "triggerEvent": "trigger", "channelType": "channel"},
    taken={},
)


async def create_rule(tx: Transaction, tenant: Tenant, new: NewRule, envelope: SecretCipher, actor: Actor) -> Issued:
    """Create a rule for future events.

    Raises NotFound for an unknown filter flow, Invalid for a bad channel configuration or a filter that never matches,
    and Conflict when the organisation's quota is exceeded.
    """
    check_filters(new.trigger, new.filter_flow_id, new.filter_environment_id)
    await check_reference(tx, tenant, "flow", new.filter_flow_id)
    await charge(tx, tenant, Quota.NOTIFICATION_RULES)
    config = checked_config(new.channel, new.config)
    values: Row = {
        "name": new.name,
        "is_active": True,
        "trigger": new.trigger.value,
        "channel": new.channel.value,
        **await _kept_config(tx, tenant, envelope, new.channel, config),
        "title_template": new.title_template,
        "message_template": new.message_template,
        "filter_flow_id": new.filter_flow_id,
        "filter_environment_id": new.filter_environment_id,
        **_UNSIGNED,
    }
    signing, secret = await _signing(tx, tenant, envelope, values, new.config)
    return Issued(_rule(await RULES.create(tx, tenant, actor, {**values, **signing})), secret)


async def update_rule(
    tx: Transaction,
    tenant: Tenant,
    rule_id: UUID,
    change: RuleChange,
    actor: Actor,
    *,
    envelope: SecretCipher,
    expected: Collection[int] | None = None,
) -> Issued:
    """Change a rule, unless nothing changes. The configuration must be valid for the resulting channel.

    A masked value that is sent back keeps the stored one. A new `secret` in the configuration replaces the signing
    secret with the default grace period. Secrets whose master key was lost are replaced: the configuration by the one
    sent, the signing secret by a new one. `expected` are the versions that the caller accepts, None for any. Raises
    NotFound for the rule or the filter flow, Stale for another version, Invalid for the configuration or the filters.
    """
    await check_reference(tx, tenant, "flow", change.get("filter_flow_id"))
    row = await RULES.hold(tx, tenant, rule_id, expected)
    fields: dict[str, Any] = {**change}
    before = await _config(tx, envelope, row)
    sent = unmasked(fields.pop("config"), row["config_shown"], before or {}) if "config" in fields else before or {}
    wanted = {**row, **{name: value.value if isinstance(value, Enum) else value for name, value in fields.items()}}
    if not _MATCHING.isdisjoint(change):
        check_filters(Trigger(wanted["trigger"]), wanted["filter_flow_id"], wanted["filter_environment_id"])
    channel = Channel(wanted["channel"])
    config = checked_config(channel, sent)
    if (config, channel) != (before, row["channel"]):
        wanted |= await _kept_config(tx, tenant, envelope, channel, config)
    signing, secret = await _signing(tx, tenant, envelope, wanted, sent)
    changed = await RULES.change(tx, tenant, actor, row, {**wanted, **signing})
    if changed["destination_id"] != row["destination_id"]:
        await _redirect(tx, tenant, row, changed)
    return Issued(_rule(changed), secret)


@dataclass(frozen=True, slots=True)
class NewSigningSecret:
    """A new signing secret for a rule, random for None. For `grace`, webhooks are also signed with the previous one."""

    rule_id: UUID
    secret: str | None = None
    grace: timedelta = GRACE


async def rotate_signing_secret(
    tx: Transaction,
    tenant: Tenant,
    new: NewSigningSecret,
    envelope: SecretCipher,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Issued:
    """Replace the secret that signs the webhooks of a rule.

    Raises NotFound, Stale, Invalid for the secret, Conflict for a rule of another channel.
    """
    row = await RULES.hold(tx, tenant, new.rule_id, expected)
    if row["channel"] != Channel.WEBHOOK:
        raise Conflict(f"Only webhooks are signed, and this rule's channel is {row['channel']}.", kind="state")
    secret = _random_secret() if new.secret is None else checked_secret(new.secret, SECRET)
    signed = await _signed(tx, tenant, envelope, row, secret, grace=new.grace)
    return Issued(_rule(await RULES.change(tx, tenant, actor, row, signed, verb="rotated")), secret)


async def archive_rule(
    tx: Transaction, tenant: Tenant, rule_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> NotificationRule:
    """Archive a rule, skip its waiting messages and return its last version. Raises NotFound, Stale."""
    row = await RULES.hold(tx, tenant, rule_id, expected)
    archived = await RULES.archive(tx, tenant, actor, row, {"is_active": False})
    await release(tx, tenant, Quota.NOTIFICATION_RULES)
    await _end_waiting(tx, tenant, row, MessageStatus.SKIPPED, "The rule was deleted.")
    return _rule(archived)


async def send_test(tx: Transaction, tenant: Tenant, rule_id: UUID) -> UUID:
    """Queue a test message for one rule, active or not; return the id of the message.

    Raises NotFound, and Throttled when the organisation's quota of messages is exceeded.
    """
    rule = await get_rule(tx, tenant, rule_id)
    await charge(tx, tenant, Quota.MESSAGES_PER_HOUR)
    notice = trial_notice(rule)
    payload = {**payload_of(notice), "entityType": None, "entityId": None}  # a test concerns no entity
    message = NewMessage(rule.destination_id, rule.channel, rule.trigger, notice.subject, payload, rule.id)
    [message_id] = await enqueue(tx, tenant, [message])
    return message_id


async def _config(tx: Transaction, envelope: SecretCipher, row: Row) -> dict[str, Any] | None:
    """Return the stored configuration; None if its master key was lost."""
    text = await _readable(tx, envelope, row["config_secret_id"], CONFIG_PURPOSE)
    config: dict[str, Any] | None = None if text is None else json.loads(text)
    return config


async def _readable(tx: Transaction, envelope: SecretCipher, secret_id: UUID | None, purpose: str) -> str | None:
    ids = [secret_id] if secret_id else []
    return next(iter((await readable_secrets(tx, envelope, ids, purpose)).values()), None)


async def _kept_config(
    tx: Transaction, tenant: Tenant, envelope: SecretCipher, channel: Channel, config: Mapping[str, Any]
) -> Row:
    """Store a checked configuration; return its columns: the secret, the masked form and the destination."""
    address, label = address_of(channel, config), label_of(channel, config)
    return {
        "config_secret_id": await keep_secret(tx, tenant, envelope, json.dumps(config), CONFIG_PURPOSE),
        "config_shown": shown_config(config),
        "destination_id": await destination_for(tx, tenant, channel.value, address, label),
    }


async def _signing(
    tx: Transaction, tenant: Tenant, envelope: SecretCipher, row: Row, sent: Mapping[str, Any]
) -> tuple[Row, str | None]:
    """Return the changes to the signing secret's columns, and the secret itself if it is new."""
    if row["channel"] != Channel.WEBHOOK:
        return _UNSIGNED, None
    given = checked_secret(sent[SECRET], f"{FIELD}.{SECRET}") if sent.get(SECRET) is not None else None
    current = await _readable(tx, envelope, row["signing_secret_id"], SIGNING_PURPOSE)
    if current and given in {None, current}:
        return {}, None
    secret = given or _random_secret()
    return await _signed(tx, tenant, envelope, row, secret, grace=GRACE), secret


async def _signed(
    tx: Transaction, tenant: Tenant, envelope: SecretCipher, row: Row, secret: str, *, grace: timedelta
) -> Row:
    """Return the columns of a new signing secret. A current one that cannot be read any more gets no grace period."""
    current = row["signing_secret_id"]
    previous = current if await _readable(tx, envelope, current, SIGNING_PURPOSE) else None
    return {
        "signing_secret_id": await keep_secret(tx, tenant, envelope, secret, SIGNING_PURPOSE),
        "previous_signing_secret_id": previous,
        "previous_until": tx.now + grace if previous else None,
    }


def _random_secret() -> str:
    return written_secret(secrets.token_bytes(NEW_KEY))


_WAITING = """
WITH waiting AS (
  SELECT o.message_id FROM outbox o JOIN messages m ON m.id = o.message_id
  WHERE o.org_id = $1 AND o.destination_id = $2 AND m.rule_id = $3
  ORDER BY o.message_id FOR UPDATE OF o
)
"""
_REDIRECT = f"""{_WAITING}, redirected AS (
  UPDATE outbox o
  SET destination_id = $4, due_at = CASE WHEN claim_id IS NULL THEN least(due_at, $6) ELSE due_at END
  FROM waiting w WHERE o.message_id = w.message_id
  RETURNING o.message_id
)
UPDATE messages m SET destination_id = $4, channel = $5 FROM redirected r WHERE m.id = r.message_id
"""


async def _redirect(tx: Transaction, tenant: Tenant, row: Row, changed: Row) -> None:
    """Move waiting messages to the new address, due at once: the back-off was for the failures of the old address."""
    target = changed["destination_id"]
    moved = await tx.execute(
        _REDIRECT, tenant.org_id, row["destination_id"], row["id"], target, changed["channel"], tx.now
    )
    if moved:
        await free_waiting(tx, row["destination_id"])
    if await tx.value("SELECT disabled_at IS NOT NULL FROM destinations WHERE id = $1", target):
        await _end_waiting(tx, tenant, changed, MessageStatus.FAILED, "The destination is disabled.")
    elif moved:
        tx.wake(Job.RELAY)


_END = f"""{_WAITING}, ended AS (
  DELETE FROM outbox o USING waiting w WHERE o.message_id = w.message_id RETURNING o.message_id
)
UPDATE messages m SET status = $4, error = $5, settled_at = $6 FROM ended e WHERE m.id = e.message_id
"""


async def _end_waiting(tx: Transaction, tenant: Tenant, row: Row, status: MessageStatus, error: str) -> None:
    if await tx.execute(_END, tenant.org_id, row["destination_id"], row["id"], status.value, error, tx.now):
        await free_waiting(tx, row["destination_id"])
