"""Raise the high-water marks of ledgers while the application serves."""

from collections.abc import AsyncIterator

from aiohttp import web

from api.http.calls import SERVICES
from storage.ledger.marking import marks_kept


async def marks_raised(app: web.Application) -> AsyncIterator[None]:
    """Raise the marks of organisations that this process writes for."""
    async with marks_kept(app[SERVICES]):
        yield
