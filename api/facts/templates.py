"""Compile the template of a request body off the event loop: the conditions of 64 KiB may take a second."""

import asyncio

from domain.facts.requirements import Template
from domain.facts.templates import parse_template


async def compiled_template(text: str | None) -> Template | None:
    """Return the compiled template of a `templateYaml`, or None if it is absent or blank. Raises Invalid."""
    return await asyncio.to_thread(parse_template, text) if text and text.strip() else None
