"""Notification rules and what was sent for them (integrations.md 12.1)."""

from uuid import UUID

from api.authentication import actor_of, scope_of
from api.calls import Call, Preview, Reply
from api.facts.schemas.dry_runs import DryRun, WouldCreate, WouldDelete, WouldUpdate, created, deleted, updated
from api.facts.schemas.flows import IfMatch, expected_versions
from api.facts.schemas.notification_rules import (
    IssuedRuleOut,
    NotificationRuleChangeIn,
    NotificationRuleIn,
    NotificationRuleOut,
    SigningSecretIn,
    etag,
)
from api.facts.schemas.outbox import MessageOut
from api.facts.schemas.paging import ListQuery, list_headers
from storage.database import Reader
from storage.facts.queries.flows import get_flow
from storage.notifications.commands import rules as commands
from storage.notifications.queries import rules as queries
from storage.outbox.queries import Wanted, get_message, list_messages
from storage.scope import Scope


async def create_notification_rule(
    call: Call, body: NotificationRuleIn, dry_run: DryRun = False
) -> IssuedRuleOut | Reply[IssuedRuleOut] | Preview[WouldCreate[IssuedRuleOut]]:
    """Make a rule: whom to tell of what.

    It counts for what happens from now on. The `signingSecret` of a webhook is shown in this answer and never again.
    """
    caller, services, new = call.caller, call.services, body.rule()
    scope, actor = scope_of(caller), actor_of(call.request, caller, call.request_id)
    async with services.database.transaction(dry_run=dry_run) as tx:
        await _check_flow(tx, scope, new.filter_flow_id)
        issued = await commands.create_rule(tx, scope, new, services.envelope, actor)
    made = IssuedRuleOut.issued(issued)
    return created(made, dry_run=True) if dry_run else Reply(made, headers=etag(made))


async def list_notification_rules(call: Call, query: ListQuery) -> Reply[list[NotificationRuleOut]]:
    """List the rules, oldest first."""
    async with call.services.database.read() as reader:
        page = await queries.list_rules(reader, scope_of(call.caller), query.window())
    return Reply([NotificationRuleOut.of(rule) for rule in page.items], headers=list_headers(call.request, page))


async def get_notification_rule(call: Call, rule_id: UUID) -> Reply[NotificationRuleOut]:
    """Read one rule.

    Its ETag is its version; a change that carries it in If-Match is made to this version or not at all.
    """
    async with call.services.database.read() as reader:
        rule = NotificationRuleOut.of(await queries.get_rule(reader, scope_of(call.caller), rule_id))
    return Reply(rule, headers=etag(rule))


async def update_notification_rule(
    call: Call, rule_id: UUID, body: NotificationRuleChangeIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> IssuedRuleOut | Reply[IssuedRuleOut] | Preview[WouldUpdate[IssuedRuleOut]]:
    """Change a rule.

    What waits to be sent for it goes to its new address. A rule that becomes a webhook is given a signing secret.
    """
    caller, services, change = call.caller, call.services, body.change()
    scope, actor = scope_of(caller), actor_of(call.request, caller, call.request_id)
    expected = expected_versions(if_match)
    async with services.database.transaction(dry_run=dry_run) as tx:
        await _check_flow(tx, scope, change.get("filter_flow_id"))
        issued = await commands.update_rule(
            tx, scope, rule_id, change, actor, envelope=services.envelope, expected=expected
        )
    changed = IssuedRuleOut.issued(issued)
    return updated(changed, dry_run=True) if dry_run else Reply(changed, headers=etag(changed))


async def delete_notification_rule(
    call: Call, rule_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Preview[WouldDelete[NotificationRuleOut]] | None:
    """Put a rule away. What waits to be sent for it is skipped."""
    caller = call.caller
    actor, expected = actor_of(call.request, caller, call.request_id), expected_versions(if_match)
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        rule = await commands.archive_rule(tx, scope_of(caller), rule_id, actor, expected=expected)
    return deleted(NotificationRuleOut.of(rule), dry_run=dry_run)


async def rotate_notification_rule_secret(
    call: Call, rule_id: UUID, body: SigningSecretIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> IssuedRuleOut | Reply[IssuedRuleOut] | Preview[WouldUpdate[IssuedRuleOut]]:
    """Replace the secret that a rule's webhooks are signed with.

    Until the grace ends both sign, so that the receiver can be changed without a gap. The new one is shown once, here.
    """
    caller, services = call.caller, call.services
    actor, expected = actor_of(call.request, caller, call.request_id), expected_versions(if_match)
    async with services.database.transaction(dry_run=dry_run) as tx:
        issued = await commands.rotate_signing_secret(
            tx, scope_of(caller), body.replacement(rule_id), services.envelope, actor, expected=expected
        )
    rotated = IssuedRuleOut.issued(issued)
    return updated(rotated, dry_run=True) if dry_run else Reply(rotated, headers=etag(rotated))


async def try_notification_rule(
    call: Call, rule_id: UUID, dry_run: DryRun = False
) -> Preview[WouldCreate[MessageOut]] | None:
    """Send a test notification by this one rule, active or not.

    What becomes of it stands among the rule's deliveries.
    """
    scope = scope_of(call.caller)
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        message = await get_message(tx, scope, await commands.send_test(tx, scope, rule_id))
    return Preview(WouldCreate[MessageOut](would_create=MessageOut.of(message))) if dry_run else None


async def list_notification_rule_deliveries(call: Call, rule_id: UUID, query: ListQuery) -> Reply[list[MessageOut]]:
    """List what was sent, or is to be sent, for a rule, newest first."""
    scope = scope_of(call.caller)
    async with call.services.database.read() as reader:
        await queries.get_rule(reader, scope, rule_id)
        page = await list_messages(reader, scope, Wanted(rule_id=rule_id), query.window(descending=True))
    return Reply([MessageOut.of(message) for message in page.items], headers=list_headers(call.request, page))


async def _check_flow(reader: Reader, scope: Scope, flow_id: UUID | None) -> None:
    """Raises NotFound."""
    if flow_id is not None:
        await get_flow(reader, scope, flow_id)
