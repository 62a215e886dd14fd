"""Handlers of webhook configs, their deliveries, and receipts."""

import asyncio
from datetime import timedelta
from uuid import UUID

from api.facts.schemas.webhook_configs import (
    DeliveryOut,
    ReceiptOut,
    ReceiptQuery,
    ReconciliationIn,
    ReconciliationOut,
    RotationIn,
    WebhookConfigIn,
    WebhookConfigOut,
)
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated
from api.http.paging import ListQuery, list_reply
from domain.facts.reconciliations import check_hook_url
from storage.facts.commands import reconciliations
from storage.facts.commands import webhook_configs as commands
from storage.facts.queries import webhook_configs as queries
from storage.facts.queries.attestations import attestations_of_source
from storage.facts.queries.reconciliations import get_reconciliation
from storage.inbox.queries import get_delivery, list_deliveries

FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5
"""The shortest and longest pause, in seconds, between two queries while waiting for a receipt."""


async def create_webhook_config(
    call: Call, body: WebhookConfigIn, dry_run: DryRun = False
) -> Created[WebhookConfigOut]:
    """Create a webhook config.

    Enter the returned `url` and the secret at the sender. Its deliveries are recorded in the flow by a dedicated
    service account.
    """
    new, envelope = body.to_command(), call.services.envelope
    async with call.transaction(dry_run=dry_run) as tx:
        config = await commands.create_webhook_config(tx, call.tenant, new, envelope, call.actor)
    return created(WebhookConfigOut.of(config, call), dry_run=dry_run)


async def rotate_webhook_secret(
    call: Call, config_id: UUID, body: RotationIn, dry_run: DryRun = False
) -> Updated[WebhookConfigOut]:
    """Rotate the secret of a webhook config.

    Deliveries signed with the previous secret are accepted until the grace period ends.
    """
    new = commands.NewSecret(config_id, body.secret, timedelta(hours=body.grace_hours))
    async with call.transaction(dry_run=dry_run) as tx:
        config = await commands.rotate_webhook_secret(tx, call.tenant, new, call.services.envelope, call.actor)
    return updated(WebhookConfigOut.of(config, call), dry_run=dry_run)


async def set_webhook_reconciliation(
    call: Call, config_id: UUID, body: ReconciliationIn, dry_run: DryRun = False
) -> Updated[ReconciliationOut]:
    """Start the reconciliation of a webhook config.

    GitHub's list of deliveries is compared with the deliveries received: soon, and then every five minutes
    (`TRAILGATE_RECONCILE_INTERVAL`). Missing deliveries of the last three days are requested again, at most three times
    each.
    """
    services = call.services
    hook_url = check_hook_url(body.hook_url, http_allowed=services.settings.outbound_http)
    new = reconciliations.NewReconciliation(config_id, hook_url, body.token)
    async with call.transaction(dry_run=dry_run) as tx:
        made = await reconciliations.set_reconciliation(tx, call.tenant, new, services.envelope, call.actor)
    return updated(ReconciliationOut.of(made, call), dry_run=dry_run)


async def get_webhook_reconciliation(call: Call, config_id: UUID) -> ReconciliationOut:
    """Get the reconciliation of a webhook config."""
    async with call.read() as reader:
        return ReconciliationOut.of(await get_reconciliation(reader, call.tenant, config_id), call)


async def delete_webhook_reconciliation(
    call: Call, config_id: UUID, dry_run: DryRun = False
) -> Deleted[ReconciliationOut]:
    """Stop the reconciliation of a webhook config and delete its token."""
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await reconciliations.remove_reconciliation(tx, call.tenant, config_id, call.actor)
    return deleted(ReconciliationOut.of(gone, call), dry_run=dry_run)


async def list_webhook_deliveries(call: Call, config_id: UUID, query: ListQuery) -> Reply[list[DeliveryOut]]:
    """List the deliveries of a webhook config, newest first."""
    async with call.read() as reader:
        await queries.get_webhook_config(reader, call.tenant, config_id)
        page = await list_deliveries(reader, call.tenant, config_id, query.window(descending=True))
    return list_reply(call, page, DeliveryOut)


async def get_receipt(call: Call, receipt_id: UUID, query: ReceiptQuery) -> ReceiptOut:
    """Get the outcome of a delivery.

    With `wait` the response is delayed until the delivery is processed or the time is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + query.wait
    pause = FIRST_PAUSE
    while True:
        receipt = await _receipt(call, receipt_id)
        if receipt.status != "PENDING" or loop.time() >= deadline:
            return receipt
        await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        pause = min(pause * 1.5, LAST_PAUSE)


async def _receipt(call: Call, receipt_id: UUID) -> ReceiptOut:
    async with call.read() as reader:
        delivery = await get_delivery(reader, call.tenant, receipt_id)
        recorded = await attestations_of_source(reader, call.tenant, receipt_id) if delivery.trail_id else []
    return ReceiptOut.settled(delivery, recorded)
