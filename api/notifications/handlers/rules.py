"""Notification rules and what was sent for them (integrations.md 12.1)."""

from uuid import UUID

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, WouldDelete, WouldUpdate, created, deleted, updated
from api.http.paging import ListQuery, list_headers
from api.http.versions import IfMatch, etag, expected_versions
from api.notifications.schemas.deliveries import MessageOut
from api.notifications.schemas.rules import (
    IssuedRuleOut,
    NotificationRuleChangeIn,
    NotificationRuleIn,
    NotificationRuleOut,
    SigningSecretIn,
)
from storage.database import Reader
from storage.facts.queries.flows import get_flow
from storage.notifications.commands import rules as commands
from storage.notifications.queries import rules as queries
from storage.outbox.queries import Wanted, get_message, list_messages
from storage.tenant import Tenant


async def create_notification_rule(
    call: Call, body: NotificationRuleIn, dry_run: DryRun = False
) -> IssuedRuleOut | Reply[IssuedRuleOut] | Preview[WouldCreate[IssuedRuleOut]]:
    """Make a rule: whom to tell of what.

    It counts for what happens from now on. The `signingSecret` of a webhook is shown in this answer and never again.
    """
    services, new = call.services, body.rule()
    tenant, actor = call.tenant, call.actor
    async with services.database.transaction(dry_run=dry_run) as tx:
        await _check_flow(tx, tenant, new.filter_flow_id)
        issued = await commands.create_rule(tx, tenant, new, services.envelope, actor)
    made = IssuedRuleOut.issued(issued)
    return created(made, dry_run=True) if dry_run else Reply(made, headers=etag(made.version))


async def list_notification_rules(call: Call, query: ListQuery) -> Reply[list[NotificationRuleOut]]:
    """List the rules, oldest first."""
    async with call.services.database.read() as reader:
        page = await queries.list_rules(reader, call.tenant, query.window())
    return Reply([NotificationRuleOut.of(rule) for rule in page.items], headers=list_headers(call.request, page))


async def get_notification_rule(call: Call, rule_id: UUID) -> Reply[NotificationRuleOut]:
    """Read one rule.

    Its ETag is its version; a change that carries it in If-Match is made to this version or not at all.
    """
    async with call.services.database.read() as reader:
        rule = NotificationRuleOut.of(await queries.get_rule(reader, call.tenant, rule_id))
    return Reply(rule, headers=etag(rule.version))


async def update_notification_rule(
    call: Call, rule_id: UUID, body: NotificationRuleChangeIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> IssuedRuleOut | Reply[IssuedRuleOut] | Preview[WouldUpdate[IssuedRuleOut]]:
    """Change a rule.

    What waits to be sent for it goes to its new address. A rule that becomes a webhook is given a signing secret.
    """
    services, change = call.services, body.change()
    tenant, actor = call.tenant, call.actor
    expected = expected_versions(if_match)
    async with services.database.transaction(dry_run=dry_run) as tx:
        await _check_flow(tx, tenant, change.get("filter_flow_id"))
        issued = await commands.update_rule(
            tx, tenant, rule_id, change, actor, envelope=services.envelope, expected=expected
        )
    changed = IssuedRuleOut.issued(issued)
    return updated(changed, dry_run=True) if dry_run else Reply(changed, headers=etag(changed.version))


async def delete_notification_rule(
    call: Call, rule_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Preview[WouldDelete[NotificationRuleOut]] | None:
    """Put a rule away. What waits to be sent for it is skipped."""
    actor, expected = call.actor, expected_versions(if_match)
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        rule = await commands.archive_rule(tx, call.tenant, rule_id, actor, expected=expected)
    return deleted(NotificationRuleOut.of(rule), dry_run=dry_run)


async def rotate_notification_rule_secret(
    call: Call, rule_id: UUID, body: SigningSecretIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> IssuedRuleOut | Reply[IssuedRuleOut] | Preview[WouldUpdate[IssuedRuleOut]]:
    """Replace the secret that a rule's webhooks are signed with.

    Until the grace ends both sign, so that the receiver can be changed without a gap. The new one is shown once, here.
    """
    services = call.services
    actor, expected = call.actor, expected_versions(if_match)
    async with services.database.transaction(dry_run=dry_run) as tx:
        issued = await commands.rotate_signing_secret(
            tx, call.tenant, body.replacement(rule_id), services.envelope, actor, expected=expected
        )
    rotated = IssuedRuleOut.issued(issued)
    return updated(rotated, dry_run=True) if dry_run else Reply(rotated, headers=etag(rotated.version))


async def try_notification_rule(
    call: Call, rule_id: UUID, dry_run: DryRun = False
) -> Preview[WouldCreate[MessageOut]] | None:
    """Send a test notification by this one rule, active or not.

    What becomes of it stands among the rule's deliveries.
    """
    tenant = call.tenant
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        message = await get_message(tx, tenant, await commands.send_test(tx, tenant, rule_id))
    return Preview(WouldCreate[MessageOut](would_create=MessageOut.of(message))) if dry_run else None


async def list_notification_rule_deliveries(call: Call, rule_id: UUID, query: ListQuery) -> Reply[list[MessageOut]]:
    """List what was sent, or is to be sent, for a rule, newest first."""
    tenant = call.tenant
    async with call.services.database.read() as reader:
        await queries.get_rule(reader, tenant, rule_id)
        page = await list_messages(reader, tenant, Wanted(rule_id=rule_id), query.window(descending=True))
    return Reply([MessageOut.of(message) for message in page.items], headers=list_headers(call.request, page))


async def _check_flow(reader: Reader, tenant: Tenant, flow_id: UUID | None) -> None:
    """Raises NotFound."""
    if flow_id is not None:
        await get_flow(reader, tenant, flow_id)
