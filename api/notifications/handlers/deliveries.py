"""Handlers of outgoing messages, dead letters and destinations."""

from uuid import UUID

from api.http.calls import Call, Reply
from api.http.dry_runs import DryRun, Updated, updated
from api.http.paging import list_reply
from api.notifications.schemas.deliveries import (
    DestinationOut,
    MessageDetailOut,
    MessageOut,
    MessagesQuery,
    ReplayedOut,
)
from storage.database import Reader
from storage.outbox import queries, recovery


async def list_messages(call: Call, query: MessagesQuery) -> Reply[list[MessageOut]]:
    """List the outgoing messages, newest first.

    With `status=FAILED` it lists the dead letters.
    """
    async with call.read() as reader:
        page = await queries.list_messages(reader, call.tenant, query.window(descending=True), **query.to_filters())
    return list_reply(call, page, MessageOut)


async def get_message(call: Call, message_id: UUID) -> MessageDetailOut:
    """Get an outgoing message with its attempts, newest first."""
    async with call.read() as reader:
        return await _detail(call, reader, message_id)


async def replay_message(call: Call, message_id: UUID, dry_run: DryRun = False) -> Updated[MessageDetailOut]:
    """Replay a dead letter.

    The message keeps its id; its retry schedule starts again.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        await recovery.replay_message(tx, call.tenant, message_id)
        detail = await _detail(call, tx, message_id)
    return updated(detail, dry_run=dry_run)


async def _detail(call: Call, reader: Reader, message_id: UUID) -> MessageDetailOut:
    message = await queries.get_message(reader, call.tenant, message_id)
    attempts = await queries.attempts_of(reader, call.tenant, message_id)
    return MessageDetailOut.detailed(message, attempts, call)


async def replay_destination(call: Call, destination_id: UUID, dry_run: DryRun = False) -> Updated[ReplayedOut]:
    """Replay the dead letters of a destination.

    One request replays up to 10,000 dead letters, oldest first.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        replayed = await recovery.replay_destination(tx, call.tenant, destination_id)
    return updated(ReplayedOut(replayed=replayed), dry_run=dry_run)


async def enable_destination(call: Call, destination_id: UUID, dry_run: DryRun = False) -> Updated[DestinationOut]:
    """Enable a disabled or paused destination.

    Waiting messages are sent at once. Dead letters stay as they are until they are replayed.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        destination = await recovery.enable_destination(tx, call.tenant, destination_id)
    return updated(DestinationOut.of(destination, call), dry_run=dry_run)
