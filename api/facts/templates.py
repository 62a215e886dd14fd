"""Templates out of a body, compiled off the event loop: one of 64 KiB may hold a second's worth of conditions."""

import asyncio

from domain.facts.requirements import Template
from domain.facts.templates import parse_template


async def compiled_template(text: str | None) -> Template | None:
    """The template of a `templateYaml`; a blank one is none. Raises Invalid."""
    return await asyncio.to_thread(parse_template, text) if text and text.strip() else None
