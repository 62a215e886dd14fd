"""`trailgate outbox`: list waiting messages, dead letters and destinations, and replay dead letters."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from cli.installation import located, opened, read_settings
from cli.output import note, say, table
from cli.wakeups import wake
from domain.errors import NotFound
from storage.outbox.queries import Destination, Message, all_destinations, dead_letters, queued
from storage.outbox.recovery import Dead, replay
from storage.schedule.wakeups import Job
from storage.settings import Settings

outbox = typer.Typer(help="List messages, dead letters and destinations; replay dead letters.", no_args_is_help=True)

Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of rows.")]

_COLUMNS = ("ID", "CHANNEL", "EVENT", "DESTINATION", "RAISED", "ATTEMPTS", "NEXT", "ERROR")


@outbox.command("list")
def list_waiting(limit: Limit = 50) -> None:
    """List messages that are waiting or in progress, next due first."""
    with located(read_settings()) as settings:
        rows = asyncio.run(_waiting(settings, limit))
    table(_COLUMNS, map(_row, rows))
    note(f"{len(rows)} shown")


@outbox.command("dead")
def list_dead(limit: Limit = 50) -> None:
    """List dead letters: messages that could not be sent, by organisation, oldest first."""
    with located(read_settings()) as settings:
        rows = asyncio.run(_dead(settings, limit))
    table(_COLUMNS, map(_row, rows))
    note(f"{len(rows)} shown")


@outbox.command("destinations")
def list_destinations(limit: Limit = 50) -> None:
    """List the destinations of all organisations: disabled ones first, then failing ones."""
    with located(read_settings()) as settings:
        rows = asyncio.run(_destinations(settings, limit))
    table(
        ("ID", "CHANNEL", "ADDRESS", "FAILURES", "FAILING SINCE", "PAUSED UNTIL", "DISABLED"),
        [
            (d.id, d.channel, d.label, d.failures, d.failing_since, d.paused_until, d.disabled_reason or d.disabled_at)
            for d in rows
        ],
    )


@outbox.command("replay")
def replay_dead(
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters.")] = None,
    destination: Annotated[UUID | None, typer.Option(help="All dead letters of this destination.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
) -> None:
    """Queue dead letters again: the named ones, those of a destination, or all (10,000 at a time)."""
    if sum((bool(ids), destination is not None, everything)) != 1:
        raise typer.BadParameter("name ids (trailgate outbox dead lists them), or use --destination ID or --all")
    with located(read_settings()) as settings:
        asyncio.run(_replay(settings, Dead(None, destination, ids)))


def _row(m: Message) -> tuple[object, ...]:
    return m.id, m.channel, m.event, m.destination_id, m.created_at, m.attempts, m.due_at, m.error


async def _waiting(settings: Settings, limit: int) -> list[Message]:
    async with opened(settings) as database, database.read() as reader:
        return await queued(reader, limit)


async def _dead(settings: Settings, limit: int) -> list[Message]:
    async with opened(settings) as database, database.read() as reader:
        return await dead_letters(reader, limit)


async def _destinations(settings: Settings, limit: int) -> list[Destination]:
    async with opened(settings) as database, database.read() as reader:
        return await all_destinations(reader, limit)


async def _replay(settings: Settings, dead: Dead) -> None:
    async with opened(settings) as database, database.transaction() as tx:
        revived = await replay(tx, dead)
    if not revived and not (dead.message_ids is None and dead.destination_id is None):
        raise NotFound(
            "None of these is a dead letter of an enabled destination; see `trailgate outbox dead` and "
            "`trailgate outbox destinations`."
        )
    say(f"{revived} queued again")
    if dead.message_ids and revived < len(set(dead.message_ids)):
        note(f"{len(set(dead.message_ids)) - revived} of the ids are not dead letters of an enabled destination.")
    if revived:
        await wake(settings, Job.RELAY)
