"""Handlers of notification rules that issue secrets or send messages; the routes define the other operations."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import Created, DryRun, Updated, WouldCreate, created, updated
from api.http.paging import ListQuery, list_reply
from api.http.versions import IfMatch, expected_versions
from api.notifications.schemas.deliveries import MessageOut
from api.notifications.schemas.rules import (
    IssuedRuleOut,
    NotificationRuleChangeIn,
    NotificationRuleIn,
    SigningSecretIn,
)
from domain.errors import Invalid
from domain.notifications.channel_config import check_reachable
from domain.notifications.rules import Channel
from storage.notifications.commands import rules as commands
from storage.notifications.queries import rules as queries
from storage.outbox.queries import get_message, list_messages
from storage.settings import Settings


async def create_notification_rule(
    call: Call, body: NotificationRuleIn, dry_run: DryRun = False
) -> Created[IssuedRuleOut]:
    """Create a notification rule.

    It applies to events from now on. The `signingSecret` of a webhook is returned only in this response.
    """
    new, envelope = body.to_command(), call.services.envelope
    _check_deliverable(call.services.settings, new.channel, new.config)
    async with call.transaction(dry_run=dry_run) as tx:
        issued = await commands.create_rule(tx, call.tenant, new, envelope, call.actor)
    return created(IssuedRuleOut.of(issued, call), dry_run=dry_run)


async def update_notification_rule(
    call: Call, rule_id: UUID, body: NotificationRuleChangeIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> Updated[IssuedRuleOut]:
    """Update a notification rule.

    Waiting messages of the rule are sent to its new address. A rule that becomes a webhook gets a signing secret.
    """
    change, expected, envelope = body.to_command(), expected_versions(if_match), call.services.envelope
    _check_deliverable(call.services.settings, change.get("channel"), change.get("config", {}))
    async with call.transaction(dry_run=dry_run) as tx:
        issued = await commands.update_rule(
            tx, call.tenant, rule_id, change, call.actor, envelope=envelope, expected=expected
        )
    return updated(IssuedRuleOut.of(issued, call), dry_run=dry_run)


async def rotate_notification_rule_secret(
    call: Call, rule_id: UUID, body: SigningSecretIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> Updated[IssuedRuleOut]:
    """Rotate the signing secret of a webhook rule.

    Messages are signed with both secrets until the grace period ends, so that the receiver can switch without
    interruption. The new secret is returned only in this response.
    """
    new, expected, envelope = body.to_command(rule_id), expected_versions(if_match), call.services.envelope
    async with call.transaction(dry_run=dry_run) as tx:
        issued = await commands.rotate_signing_secret(tx, call.tenant, new, envelope, call.actor, expected=expected)
    return updated(IssuedRuleOut.of(issued, call), dry_run=dry_run)


async def try_notification_rule(
    call: Call, rule_id: UUID, dry_run: DryRun = False
) -> Preview[WouldCreate[MessageOut]] | None:
    """Send a test notification.

    The rule may be active or not. The outcome is listed among the deliveries of the rule.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        message = await get_message(tx, call.tenant, await commands.send_test(tx, call.tenant, rule_id))
    return Preview(WouldCreate[MessageOut](would_create=MessageOut.of(message, call))) if dry_run else None


async def list_notification_rule_deliveries(call: Call, rule_id: UUID, query: ListQuery) -> Reply[list[MessageOut]]:
    """List the outgoing messages of a notification rule, newest first."""
    async with call.read() as reader:
        await queries.get_rule(reader, call.tenant, rule_id)
        page = await list_messages(reader, call.tenant, query.window(descending=True), rule_id=rule_id)
    return list_reply(call, page, MessageOut)


def _check_deliverable(settings: Settings, channel: Channel | None, config: Mapping[str, Any]) -> None:
    """Raise Invalid for a destination that this installation cannot reach, as far as that is known beforehand."""
    if channel is Channel.EMAIL and settings.smtp_url is None:
        raise Invalid.of("channelType", "no mail server is configured; the operator sets TRAILGATE_SMTP_URL")
    check_reachable(config, settings.outbound_networks)
