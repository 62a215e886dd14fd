"""`trailgate sweep`: run a clean-up of the worker at once and completely."""

import asyncio

import typer

from cli.installation import located, opened, read_settings
from cli.output import counted, progress, say
from storage.blobs.store import SHARDS, BlobStore
from storage.blobs.sweep import Swept, sweep_blobs
from storage.settings import Settings

sweep = typer.Typer(help="Remove leftover data.", no_args_is_help=True)


@sweep.callback()
def _of_several() -> None:
    """Make typer keep the name of the only command."""


@sweep.command("blobs")
def sweep_all_blobs() -> None:
    """Remove interrupted uploads and content without evidence that are more than an hour old."""
    with located(read_settings()) as settings:
        swept = asyncio.run(_sweep_blobs(settings))
    checked, staged = counted(swept.objects, "object"), counted(swept.staged, "interrupted upload")
    say(f"{checked} checked, {swept.removed} removed; {staged} removed")


async def _sweep_blobs(settings: Settings) -> Swept:
    store, swept = BlobStore(settings.blobs), Swept()
    async with opened(settings) as database:
        with progress("sweeping (objects)") as advance:
            async for swept in sweep_blobs(database, store, SHARDS):
                advance(swept.objects)
    return swept
