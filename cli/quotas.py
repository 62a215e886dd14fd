"""`trailgate organisations limits`: show the quotas of an organisation, and give it limits of its own."""

import asyncio
import re
from typing import Annotated

import typer

from cli.identity import administrator, named_organisation
from cli.installation import located, opened, read_settings
from cli.output import table
from domain.identity.quotas import MAX_LIMIT, Quota, QuotaUse
from storage.identity.commands.quotas import set_limits
from storage.identity.queries.quotas import quota_uses
from storage.settings import Settings

_NUMBER = re.compile(r"[0-9]{1,19}")

STANDARD = "standard"
"""In place of a number: the limit of organisations without limits of their own."""


def limits(
    slug: Annotated[str, typer.Argument(help="Slug of the organisation.")],
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="QUOTA=NUMBER",
            help=f"Give the organisation its own limit, or with QUOTA={STANDARD} the standard one; may be repeated.",
        ),
    ] = None,
) -> None:
    """Show what an organisation has used of its quotas, and change its limits."""
    changes = dict(_limit(text) for text in change or ())
    with located(read_settings()) as settings:
        uses = asyncio.run(_limits(settings, slug, changes))
    rows = ((use.quota, use.limit, use.used, use.remaining, use.resets_at) for use in uses)
    table(("QUOTA", "LIMIT", "USED", "REMAINING", "RESETS"), rows)


async def _limits(settings: Settings, slug: str, changes: dict[Quota, int | None]) -> list[QuotaUse]:
    async with opened(settings) as database, database.transaction() as tx:
        tenant = (await named_organisation(tx, slug)).tenant
        if changes:
            await set_limits(tx, tenant, changes, await administrator(tx, settings))
        return await quota_uses(tx, tenant, settings.quotas, tx.now)


def _limit(text: str) -> tuple[Quota, int | None]:
    name, _, number = text.partition("=")
    if name not in list(Quota):
        raise typer.BadParameter(f"--set: {name!r} is not a quota; the quotas are {', '.join(Quota)}")
    if number == STANDARD:
        return Quota(name), None
    if not _NUMBER.fullmatch(number) or int(number) > MAX_LIMIT:
        raise typer.BadParameter(f"--set: {name} must be a number up to {MAX_LIMIT}, or {STANDARD}, not {number!r}")
    return Quota(name), int(number)
