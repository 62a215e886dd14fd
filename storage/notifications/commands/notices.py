"""Raising triggers: queue a message for every matching rule, in the transaction of the fact."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.canonical import normalise
from domain.notifications.rules import Listener
from domain.notifications.triggers import Notice
from domain.tenant import Tenant
from storage.database import Transaction
from storage.outbox.commands import NewMessage, enqueue

_LISTENERS = """
SELECT id AS rule_id, trigger, channel, destination_id, filter_flow_id, filter_environment_id
FROM notification_rules
WHERE org_id = $1 AND trigger = ANY($2::text[]) AND is_active AND archived_at IS NULL
"""


async def raise_notices(tx: Transaction, tenant: Tenant, notices: Sequence[Notice]) -> list[UUID]:
    """Queue a message for each notice and each active rule that matches it; return the ids of the messages."""
    if not notices:
        return []
    triggers = sorted({notice.trigger.value for notice in notices})
    listeners = [Listener(**row) for row in await tx.rows(_LISTENERS, tenant.org_id, triggers)]
    wanted = [(notice, listener) for notice in notices for listener in listeners if listener.wants(notice)]
    return await enqueue(tx, tenant, [message(notice, listener) for notice, listener in wanted])


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
