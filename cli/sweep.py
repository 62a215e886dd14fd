"""`trailgate sweep`: what the worker clears away by itself, all of it at once."""

import asyncio

import typer

from cli.installation import located, opened, read_settings
from cli.output import progress, say
from storage.blobs.store import SHARDS, BlobStore
from storage.blobs.sweep import Swept, sweep_blobs
from storage.settings import Settings

sweep = typer.Typer(help="Clearing away what was left behind.", no_args_is_help=True)


@sweep.callback()
def _of_several() -> None:
    """Without this, typer would drop the name of the one command."""


@sweep.command("blobs")
def sweep_all_blobs() -> None:
    """Remove uploads that were broken off, and content that no evidence was ever recorded for, once an hour old."""
    with located(read_settings()) as settings:
        swept = asyncio.run(_sweep_blobs(settings))
    say(f"{swept.objects} objects looked at, {swept.removed} removed; {swept.staged} broken uploads removed")


async def _sweep_blobs(settings: Settings) -> Swept:
    store, swept = BlobStore(settings.blobs), Swept()
    async with opened(settings) as database:
        with progress("sweeping (objects)") as advance:
            async for swept in sweep_blobs(database, store, SHARDS):
                advance(swept.objects)
    return swept
