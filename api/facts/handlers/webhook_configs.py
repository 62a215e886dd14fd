"""Webhook configs, their deliveries, and receipts (integrations.md 13)."""

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
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, WouldDelete, WouldUpdate, created, deleted, updated
from api.http.paging import ListQuery, list_headers
from domain.errors import Invalid
from domain.facts.reconciliations import check_hook_url
from integrations import SENDERS
from storage.facts.commands import reconciliations
from storage.facts.commands import webhook_configs as commands
from storage.facts.queries import webhook_configs as queries
from storage.facts.queries.attestations import attestations_of_source
from storage.facts.queries.reconciliations import get_reconciliation
from storage.inbox.queries import DeliveryRow, get_delivery, list_deliveries

FIRST_LOOK, LAST_LOOK = 0.02, 0.5
"""Seconds between two looks at a receipt that is waited for, growing from one to the other."""


async def create_webhook_config(
    call: Call, body: WebhookConfigIn, dry_run: DryRun = False
) -> WebhookConfigOut | Preview[WouldCreate[WebhookConfigOut]]:
    """Let a sender in.

    Its deliveries go into the flow. Enter the answer's `url` and the same secret at the sender.
    """
    source = body.source.upper().replace("-", "_")
    if source not in SENDERS:
        raise Invalid.of("source", f"must be one of {', '.join(SENDERS)}")
    services = call.services
    new = commands.NewWebhookConfig(source, body.flow_id, body.secret)
    actor = call.actor
    async with services.database.transaction(dry_run=dry_run) as tx:
        config = await commands.create_webhook_config(tx, call.tenant, new, services.envelope, actor)
    return created(WebhookConfigOut.of(config, services.settings.address), dry_run=dry_run)


async def list_webhook_configs(call: Call, query: ListQuery) -> Reply[list[WebhookConfigOut]]:
    """List the webhook configs, oldest first."""
    async with call.services.database.read() as reader:
        page = await queries.list_webhook_configs(reader, call.tenant, query.window())
    items = [WebhookConfigOut.of(config, call.services.settings.address) for config in page.items]
    return Reply(items, headers=list_headers(call.request, page))


async def rotate_webhook_secret(
    call: Call, config_id: UUID, body: RotationIn, dry_run: DryRun = False
) -> WebhookConfigOut | Preview[WouldUpdate[WebhookConfigOut]]:
    """Replace the secret of a config.

    Deliveries signed with the old one are taken until the grace ends.
    """
    services = call.services
    actor = call.actor
    new = commands.NewSecret(config_id, body.secret, timedelta(hours=body.grace_hours))
    async with services.database.transaction(dry_run=dry_run) as tx:
        config = await commands.rotate_webhook_secret(tx, call.tenant, new, services.envelope, actor)
    return updated(WebhookConfigOut.of(config, services.settings.address), dry_run=dry_run)


async def delete_webhook_config(
    call: Call, config_id: UUID, dry_run: DryRun = False
) -> Preview[WouldDelete[WebhookConfigOut]] | None:
    """Let a sender in no longer. What it delivered stays; it is not reconciled any more."""
    actor, tenant = call.actor, call.tenant
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        config = await commands.delete_webhook_config(tx, tenant, config_id, actor)
        await reconciliations.forget_reconciliation(tx, tenant, config_id)
    return deleted(WebhookConfigOut.of(config, call.services.settings.address), dry_run=dry_run)


async def set_webhook_reconciliation(
    call: Call, config_id: UUID, body: ReconciliationIn, dry_run: DryRun = False
) -> ReconciliationOut | Preview[WouldUpdate[ReconciliationOut]]:
    """Compare a sender's own list of deliveries with ours from now on.

    What GitHub delivered in the last three days and never came is asked for again, at most three times each.
    """
    services = call.services
    hook_url = check_hook_url(body.hook_url, http_allowed=bool(services.settings.outbound_networks))
    new = reconciliations.NewReconciliation(config_id, hook_url, body.token)
    actor = call.actor
    async with services.database.transaction(dry_run=dry_run) as tx:
        made = await reconciliations.set_reconciliation(tx, call.tenant, new, services.envelope, actor)
    return updated(ReconciliationOut.of(made), dry_run=dry_run)


async def get_webhook_reconciliation(call: Call, config_id: UUID) -> ReconciliationOut:
    """Read how the comparison of a sender's deliveries with ours goes."""
    async with call.services.database.read() as reader:
        return ReconciliationOut.of(await get_reconciliation(reader, call.tenant, config_id))


async def delete_webhook_reconciliation(
    call: Call, config_id: UUID, dry_run: DryRun = False
) -> Preview[WouldDelete[ReconciliationOut]] | None:
    """Compare no longer, and forget the token."""
    actor = call.actor
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        gone = await reconciliations.remove_reconciliation(tx, call.tenant, config_id, actor)
    return deleted(ReconciliationOut.of(gone), dry_run=dry_run)


async def list_webhook_deliveries(call: Call, config_id: UUID, query: ListQuery) -> Reply[list[DeliveryOut]]:
    """List the deliveries of a config, newest first."""
    tenant = call.tenant
    async with call.services.database.read() as reader:
        await queries.get_webhook_config(reader, tenant, config_id)
        page = await list_deliveries(reader, tenant, config_id, query.window(descending=True))
    return Reply([DeliveryOut.of(row) for row in page.items], headers=list_headers(call.request, page))


async def get_receipt(call: Call, receipt_id: UUID, query: ReceiptQuery) -> ReceiptOut:
    """Read what became of a delivery.

    With `wait` the answer comes when it is settled, or when the time is over, whichever is first.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + query.wait
    pause = FIRST_LOOK
    while True:
        receipt = await _receipt(call, receipt_id)
        if receipt.status != "PENDING" or loop.time() >= deadline:
            return receipt
        await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        pause = min(pause * 1.5, LAST_LOOK)


async def _receipt(call: Call, receipt_id: UUID) -> ReceiptOut:
    tenant = call.tenant
    async with call.services.database.read() as reader:
        row: DeliveryRow = await get_delivery(reader, tenant, receipt_id)
        recorded = await attestations_of_source(reader, tenant, receipt_id) if row.trail_id else []
    return ReceiptOut(**DeliveryOut.of(row).model_dump(), attestation_ids=list(recorded))
