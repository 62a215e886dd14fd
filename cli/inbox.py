"""`trailgate inbox`: list waiting deliveries and dead letters, and replay dead letters."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from cli.installation import located, opened, read_settings
from cli.output import note, printable, say, table
from cli.wakeups import wake
from domain.errors import NotFound
from storage.inbox.commands import replay
from storage.inbox.queries import Backlog, DeliveryRow, backlog, dead_letters, queued
from storage.schedule.wakeups import Job
from storage.settings import Settings

inbox = typer.Typer(help="List waiting deliveries and dead letters; replay dead letters.", no_args_is_help=True)

Limit = Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of rows.")]

_COLUMNS = ("RECEIPT", "SOURCE", "EVENT", "DELIVERY", "RECEIVED", "COPIES", "MESSAGE")


@inbox.command("list")
def list_waiting(limit: Limit = 50) -> None:
    """List deliveries that are waiting or in progress, next due first."""
    with located(read_settings()) as settings:
        rows, waiting = asyncio.run(_waiting(settings, limit))
    table(_COLUMNS, map(_row, rows))
    note(
        f"{waiting.waiting} waiting" + (f", the oldest due since {printable(waiting.oldest)}" if waiting.oldest else "")
    )


@inbox.command("dead")
def list_dead(
    limit: Limit = 50,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print the stored errors too.")] = False,
) -> None:
    """List dead letters: deliveries that could not be processed, by organisation, oldest first."""
    with located(read_settings()) as settings:
        rows = asyncio.run(_dead(settings, limit))
    table(_COLUMNS, map(_row, rows))
    for row in rows if verbose else ():
        say(f"\n{row.id}")
        for line in (row.error or f"no trace was stored; the message is: {row.status_message}").splitlines():
            say("  " + printable(line))


@inbox.command("replay")
def replay_dead(
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="[RECEIPT]...", help="Receipts of dead letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
) -> None:
    """Queue dead letters again: the named ones, or all of them."""
    if everything == bool(ids):
        raise typer.BadParameter("name receipts (trailgate inbox dead lists them), or use --all")
    with located(read_settings()) as settings:
        asyncio.run(_replay(settings, ids))


def _row(delivery: DeliveryRow) -> tuple[object, ...]:
    d = delivery
    return d.id, d.source, d.event_type or d.event, d.delivery_id, d.received_at, d.duplicates, d.status_message


async def _waiting(settings: Settings, limit: int) -> tuple[list[DeliveryRow], Backlog]:
    async with opened(settings) as database, database.read() as reader:
        return await queued(reader, limit), await backlog(reader)


async def _dead(settings: Settings, limit: int) -> list[DeliveryRow]:
    async with opened(settings) as database, database.read() as reader:
        return await dead_letters(reader, limit)


async def _replay(settings: Settings, ids: list[UUID] | None) -> None:
    wanted = None if ids is None else set(ids)
    async with opened(settings) as database, database.transaction() as tx:
        revived = await replay(tx, None, None if wanted is None else list(wanted))
    if wanted and not revived:
        raise NotFound("None of these is a dead letter; `trailgate inbox dead` lists them.")
    say(f"{revived} queued again")
    if wanted and revived < len(wanted):
        note(f"{len(wanted) - revived} of the receipts are not dead letters.")
    if revived:
        await wake(settings, Job.DRAIN)
