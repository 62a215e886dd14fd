"""Defining notification rules. What waits in the outbox follows its rule: to a new address, or to its end."""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, Stale
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
    trial_notice,
)
from domain.notifications.signing import NEW_KEY, checked_secret, written_secret
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.notifications.commands.notices import payload_of
from storage.notifications.queries.rules import RULE_COLUMNS, get_rule, no_such_rule
from storage.outbox.commands import NewMessage, destination_for, enqueue
from storage.rows import insert
from storage.schedule.wakeups import Job
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import Envelope
from storage.secrets.queries import open_secrets
from storage.tenant import Tenant

_UNSIGNED: Row = {"signing_secret_id": None, "previous_signing_secret_id": None, "previous_until": None}


@dataclass(frozen=True, slots=True)
class Issued:
    """A rule, with the signing secret that this very action gave it, in clear: it is never shown again."""

    rule: NotificationRule
    signing_secret: str | None = None


async def create_rule(tx: Transaction, tenant: Tenant, new: NewRule, envelope: Envelope, actor: Actor) -> Issued:
    """Define a rule, for what happens from now on. Raises Invalid for its channel's configuration."""
    config = checked_config(new.channel, new.config)
    row: Row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
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
        "created_by": actor.principal_id,
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
        "archived_at": None,
    }
    signing, secret = await _signing(tx, tenant, envelope, row, new.config)
    row = {**row, **signing}
    await insert(tx, "notification_rules", row)
    await append(tx, tenant, [_event(AuditName.NOTIFICATION_RULE_CREATED, actor, row)])
    return Issued(_rule(row), secret)


async def update_rule(
    tx: Transaction,
    tenant: Tenant,
    rule_id: UUID,
    change: RuleChange,
    actor: Actor,
    *,
    envelope: Envelope,
    expected: Collection[int] | None = None,
) -> Issued:
    """Change a rule; what changes nothing makes no version. The configuration must fit the channel it ends up with.

    A value that is sent as it is shown, masked, stays. A new `secret` in the configuration replaces the signing secret
    with the usual grace. `expected` are the versions that the change was meant for, None for any. Raises NotFound,
    Stale for another version, Invalid for the configuration.
    """
    row = await _held(tx, tenant, rule_id, expected)
    fields: dict[str, Any] = {**change}
    before = await _config(tx, envelope, row)
    sent = unmasked(fields.pop("config"), row["config_shown"], before) if "config" in fields else before
    changed = {**row, **{name: value.value if isinstance(value, Enum) else value for name, value in fields.items()}}
    channel = Channel(changed["channel"])
    config = checked_config(channel, sent)
    if (config, channel) != (before, row["channel"]):
        changed |= await _kept_config(tx, tenant, envelope, channel, config)
    signing, secret = await _signing(tx, tenant, envelope, changed, sent)
    changed |= signing
    if changed == row:
        return Issued(_rule(row))
    await _next_version(tx, tenant, changed, AuditName.NOTIFICATION_RULE_UPDATED, actor)
    if changed["destination_id"] != row["destination_id"]:
        await _redirect(tx, tenant, row, changed)
    return Issued(_rule(changed), secret)


@dataclass(frozen=True, slots=True)
class NewSigningSecret:
    """What replaces the secret of a rule; None asks for a random one. The one before is used beside it for `grace`."""

    rule_id: UUID
    secret: str | None = None
    grace: timedelta = GRACE


async def rotate_signing_secret(
    tx: Transaction,
    tenant: Tenant,
    new: NewSigningSecret,
    envelope: Envelope,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Issued:
    """Replace the secret that a rule's webhooks are signed with.

    Raises NotFound, Stale, Invalid for the secret, Conflict for a rule of another channel.
    """
    row = await _held(tx, tenant, new.rule_id, expected)
    if row["channel"] != Channel.WEBHOOK:
        raise Conflict(f"Only webhooks are signed, and this rule's channel is {row['channel']}.", kind="state")
    secret = _random_secret() if new.secret is None else checked_secret(new.secret, SECRET)
    changed = {**row, **await _signed(tx, tenant, envelope, row, secret, grace=new.grace)}
    await _next_version(tx, tenant, changed, AuditName.NOTIFICATION_RULE_ROTATED, actor)
    return Issued(_rule(changed), secret)


async def archive_rule(
    tx: Transaction, tenant: Tenant, rule_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> NotificationRule:
    """Put a rule away: nothing is sent for it any more. The answer is the rule at its end. Raises NotFound, Stale."""
    row = await _held(tx, tenant, rule_id, expected)
    archived = {**row, "is_active": False, "archived_at": tx.now}
    await _next_version(tx, tenant, archived, AuditName.NOTIFICATION_RULE_DELETED, actor)
    await _end_waiting(tx, tenant, row, MessageStatus.SKIPPED, "The rule was deleted.")
    return _rule(archived)


async def send_test(tx: Transaction, tenant: Tenant, rule_id: UUID) -> UUID:
    """Queue a message for this one rule, active or not; the answer is the message's id. Raises NotFound."""
    rule = await get_rule(tx, tenant, rule_id)
    notice = trial_notice(rule)
    payload = {**payload_of(notice), "entityType": None, "entityId": None}  # it tells of nothing that happened
    message = NewMessage(rule.destination_id, rule.channel, rule.trigger, notice.subject, payload, rule.id)
    [message_id] = await enqueue(tx, tenant, [message])
    return message_id


_HOLD = "SELECT * FROM notification_rules WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR UPDATE"


async def _held(tx: Transaction, tenant: Tenant, rule_id: UUID, expected: Collection[int] | None) -> dict[str, Any]:
    """The locked row."""
    row = await tx.row(_HOLD, tenant.org_id, rule_id)
    if row is None:
        raise no_such_rule(rule_id)
    if expected is not None and row["version"] not in expected:
        raise Stale(f"The notification rule is at version {row['version']}; read it again.")
    return dict(row)


_CHANGEABLE = (
    "name",
    "is_active",
    "trigger",
    "channel",
    "config_secret_id",
    "config_shown",
    "title_template",
    "message_template",
    "filter_flow_id",
    "filter_environment_id",
    "signing_secret_id",
    "previous_signing_secret_id",
    "previous_until",
    "destination_id",
    "version",
    "updated_at",
    "archived_at",
)
_UPDATE = (
    f"UPDATE notification_rules SET {', '.join(f'{name} = ${n}' for n, name in enumerate(_CHANGEABLE, 2))} "  # noqa: S608
    "WHERE id = $1"
)


async def _next_version(
    tx: Transaction, tenant: Tenant, changed: dict[str, Any], name: AuditName, actor: Actor
) -> None:
    changed |= {"version": changed["version"] + 1, "updated_at": tx.now}
    await tx.execute(_UPDATE, changed["id"], *(changed[column] for column in _CHANGEABLE))
    await append(tx, tenant, [_event(name, actor, changed)])


async def _config(tx: Transaction, envelope: Envelope, row: Row) -> dict[str, Any]:
    opened = await open_secrets(tx, envelope, [row["config_secret_id"]], CONFIG_PURPOSE)
    config: dict[str, Any] = json.loads(opened[row["config_secret_id"]])
    return config


async def _kept_config(
    tx: Transaction, tenant: Tenant, envelope: Envelope, channel: Channel, config: Mapping[str, Any]
) -> Row:
    """The columns of a checked configuration: what is encrypted, what is shown, where it leads."""
    address, label = address_of(channel, config), label_of(channel, config)
    return {
        "config_secret_id": await keep_secret(tx, tenant, envelope, json.dumps(config), CONFIG_PURPOSE),
        "config_shown": shown_config(config),
        "destination_id": await destination_for(tx, tenant, channel.value, address, label),
    }


async def _signing(
    tx: Transaction, tenant: Tenant, envelope: Envelope, row: Row, sent: Mapping[str, Any]
) -> tuple[Row, str | None]:
    """The columns of the signing secret that a row should have, and that secret where it is a new one."""
    if row["channel"] != Channel.WEBHOOK:
        return _UNSIGNED, None
    given = checked_secret(sent[SECRET], f"{FIELD}.{SECRET}") if sent.get(SECRET) is not None else None
    if (current := row["signing_secret_id"]) is None:
        secret = given or _random_secret()
    elif given is None or given == (await open_secrets(tx, envelope, [current], SIGNING_PURPOSE))[current]:
        return {}, None
    else:
        secret = given
    return await _signed(tx, tenant, envelope, row, secret, grace=GRACE), secret


async def _signed(
    tx: Transaction, tenant: Tenant, envelope: Envelope, row: Row, secret: str, *, grace: timedelta
) -> Row:
    previous = row["signing_secret_id"]
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
"""  # noqa: S608 - SQL of our own


async def _redirect(tx: Transaction, tenant: Tenant, row: Row, changed: Row) -> None:
    """Take what waits to the new address, where there is nothing to wait for: the failures were the old one's."""
    target = changed["destination_id"]
    moved = await tx.execute(
        _REDIRECT, tenant.org_id, row["destination_id"], row["id"], target, changed["channel"], tx.now
    )
    if await tx.value("SELECT disabled_at IS NOT NULL FROM destinations WHERE id = $1", target):
        await _end_waiting(tx, tenant, changed, MessageStatus.FAILED, "The destination is disabled.")
    elif moved:
        tx.ring(Job.RELAY)


_END = f"""{_WAITING}, ended AS (
  DELETE FROM outbox o USING waiting w WHERE o.message_id = w.message_id RETURNING o.message_id
)
UPDATE messages m SET status = $4, error = $5, settled_at = $6 FROM ended e WHERE m.id = e.message_id
"""  # noqa: S608 - SQL of our own


async def _end_waiting(tx: Transaction, tenant: Tenant, row: Row, status: MessageStatus, error: str) -> None:
    await tx.execute(_END, tenant.org_id, row["destination_id"], row["id"], status.value, error, tx.now)


def _rule(row: Row) -> NotificationRule:
    return NotificationRule(**{column: row[column] for column in RULE_COLUMNS})


def _event(name: AuditName, actor: Actor, row: Row) -> Event:
    payload = {
        "notificationRuleId": str(row["id"]),
        "name": row["name"],
        "triggerEvent": row["trigger"],
        "channelType": row["channel"],
    }
    return Event(name, actor, NOTIFICATION_RULE, row, payload)
