"""What leaves: messages, their attempts, dead letters, and the destinations they go to."""

from uuid import UUID

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldUpdate, updated
from api.http.paging import ListQuery, list_headers
from api.notifications.schemas.deliveries import (
    AttemptOut,
    DestinationOut,
    MessageDetailOut,
    MessageOut,
    MessagesQuery,
    ReplayedOut,
)
from storage.database import Reader
from storage.outbox import queries, recovery
from storage.tenant import Tenant


async def list_messages(call: Call, query: MessagesQuery) -> Reply[list[MessageOut]]:
    """List what was sent or waits to be, newest first.

    Dead letters: `status=FAILED`.
    """
    async with call.services.database.read() as reader:
        page = await queries.list_messages(reader, call.tenant, query.wanted(), query.window(descending=True))
    return Reply([MessageOut.of(message) for message in page.items], headers=list_headers(call.request, page))


async def get_message(call: Call, message_id: UUID) -> MessageDetailOut:
    """Read one message with its attempts, newest first."""
    async with call.services.database.read() as reader:
        return await _detail(reader, call.tenant, message_id)


async def replay_message(
    call: Call, message_id: UUID, dry_run: DryRun = False
) -> MessageDetailOut | Preview[WouldUpdate[MessageDetailOut]]:
    """Send a dead letter again.

    It keeps its id, and has the whole schedule of attempts before it.
    """
    tenant = call.tenant
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        await recovery.replay_message(tx, tenant, message_id)
        detail = await _detail(tx, tenant, message_id)
    return updated(detail, dry_run=dry_run)


async def _detail(reader: Reader, tenant: Tenant, message_id: UUID) -> MessageDetailOut:
    message = await queries.get_message(reader, tenant, message_id)
    attempts = await queries.attempts_of(reader, tenant, message_id)
    shown = MessageOut.of(message).model_dump()
    return MessageDetailOut(**shown, attempts=[AttemptOut.of(row) for row in attempts])


async def list_destinations(call: Call, query: ListQuery) -> Reply[list[DestinationOut]]:
    """List where messages go and how each destination fares, oldest first."""
    async with call.services.database.read() as reader:
        page = await queries.list_destinations(reader, call.tenant, query.window())
    return Reply([DestinationOut.of(one) for one in page.items], headers=list_headers(call.request, page))


async def get_destination(call: Call, destination_id: UUID) -> DestinationOut:
    """Read one destination."""
    async with call.services.database.read() as reader:
        return DestinationOut.of(await queries.get_destination(reader, call.tenant, destination_id))


async def replay_destination(
    call: Call, destination_id: UUID, dry_run: DryRun = False
) -> ReplayedOut | Preview[WouldUpdate[ReplayedOut]]:
    """Send the dead letters of a destination again, the oldest 10,000 of them."""
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        replayed = await recovery.replay_destination(tx, call.tenant, destination_id)
    return updated(ReplayedOut(replayed=replayed), dry_run=dry_run)


async def enable_destination(
    call: Call, destination_id: UUID, dry_run: DryRun = False
) -> DestinationOut | Preview[WouldUpdate[DestinationOut]]:
    """Let messages go to a destination again, after it was disabled or while it is paused.

    What waits goes at once; dead letters stay until they are replayed.
    """
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        destination = await recovery.enable_destination(tx, call.tenant, destination_id)
    return updated(DestinationOut.of(destination), dry_run=dry_run)
