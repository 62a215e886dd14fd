"""Raising triggers: queue a message for every matching rule, in the transaction of the fact."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.canonical import normalise
from domain.identity.quotas import PERIODS, Quota
from domain.notifications.rules import Listener, digest_notice
from domain.notifications.triggers import Notice
from domain.tenant import Tenant
from storage.counters import NO_PARENT, SUPPRESSED, adjust
from storage.database import Transaction
from storage.identity.commands.quotas import take
from storage.ids import derived_id
from storage.outbox.commands import NewMessage, enqueue

_LISTENERS = """
SELECT id AS rule_id, trigger, channel, destination_id, filter_flow_id, filter_environment_id
FROM notification_rules
WHERE org_id = $1 AND trigger = ANY($2::text[]) AND is_active AND archived_at IS NULL
"""


async def raise_notices(tx: Transaction, tenant: Tenant, notices: Sequence[Notice]) -> list[UUID]:
    """Queue a message for each notice and each active rule that matches it; return the ids of the messages.

    Messages beyond the organisation's quota are counted and not stored, so that it never stands in the way of a fact.
    """
    if not notices:
        return []
    triggers = sorted({notice.trigger.value for notice in notices})
    listeners = [Listener(**row) for row in await tx.rows(_LISTENERS, tenant.org_id, triggers)]
    wanted = [(notice, listener) for notice in notices for listener in listeners if listener.wants(notice)]
    if not wanted:
        return []
    granted = await take(tx, tenant, Quota.MESSAGES_PER_HOUR, len(wanted))
    if beyond := wanted[granted:]:
        await _send_digests(tx, tenant, [listener for _, listener in beyond])
    return await enqueue(tx, tenant, [message(notice, listener) for notice, listener in wanted[:granted]])


async def _send_digests(tx: Transaction, tenant: Tenant, unheard: Sequence[Listener]) -> None:
    """Count messages that are not sent; send each rule concerned one digest per period, whose id makes it unique."""
    await adjust(tx, tenant, SUPPRESSED, NO_PARENT, len(unheard))
    started = tx.now.replace(minute=0, second=0, microsecond=0)
    resets = started + PERIODS[Quota.MESSAGES_PER_HOUR].length
    rules = {listener.rule_id: listener for listener in unheard}
    digests = [
        replace(message(digest_notice(rule, resets), rule), id=derived_id(started, rule.rule_id))
        for rule in rules.values()
    ]
    await enqueue(tx, tenant, digests)


def message(notice: Notice, listener: Listener) -> NewMessage:
    """Make the outbox message of a notice for one rule."""
    return NewMessage(
        destination_id=listener.destination_id,
        channel=listener.channel,
        event=notice.trigger.value,
        subject=notice.subject,
        payload=payload_of(notice),
        rule_id=listener.rule_id,
    )


def payload_of(notice: Notice) -> Mapping[str, Any]:
    """Return the payload of a notice, under its JSON field names, as stored with the message."""
    return {
        "triggerEvent": notice.trigger.value,
        "severity": notice.severity.value,
        "title": notice.title,
        "message": notice.message,
        "entityType": notice.entity_type,
        "entityId": str(notice.entity_id),
        "flowId": str(notice.flow_id) if notice.flow_id else None,
        "environmentId": str(notice.environment_id) if notice.environment_id else None,
        "data": normalise(dict(notice.data)),
    }
