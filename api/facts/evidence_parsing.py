"""Parsing uploaded evidence beside the event loop: small files in a thread, large ones in a process of their own.

A parser in C holds the interpreter for as long as it takes; half a second of that is half a second without answers.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import structlog
from aiohttp import web

from api.http.calls import Upload
from integrations.formats.evidence import FORMATS, UNREADABLE, failed, parse_evidence
from integrations.formats.parsed import ParsedEvidence
from integrations.formats.parser_process import from_text

MAX_IN_THREAD = 512 * 1024
"""Bytes up to which a thread will do: some milliseconds of parsing."""
TIMEOUT_PROCESS = 40
"""For one process: ten more than the parser gives itself."""
MAX_PROCESSES = 2
"""More processes than cores only wait for each other."""

_ROOT = Path(__file__).parents[2]

log = structlog.get_logger()


class EvidenceParsers:
    """Parses the uploads of one application."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MAX_PROCESSES)

    async def parse(self, kind: str, file: Upload) -> ParsedEvidence | None:
        """What a file says of an attestation of that type; None where such evidence is not parsed."""
        if kind.lower() not in FORMATS:
            return None
        if file.size <= MAX_IN_THREAD:
            return await asyncio.to_thread(parse_evidence, kind, file.path)
        async with self._places:
            return await _parse_in_process(kind, file.path)


PARSERS: web.AppKey[EvidenceParsers] = web.AppKey("evidence_parsers", EvidenceParsers)


def _command(kind: str, path: Path) -> tuple[str, ...]:
    return sys.executable, "-m", "integrations.formats.parser_process", kind, str(path.absolute())


async def _parse_in_process(kind: str, path: Path) -> ParsedEvidence | None:
    process = await asyncio.create_subprocess_exec(
        *_command(kind, path),
        cwd=_ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_PROCESS)
    except TimeoutError:
        said = b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == 0:
        return from_text(said.decode())
    # Fails closed: whatever ended it, memory, time or a crash, the evidence was not parsed.
    log.warning("evidence_parser_ended", kind=kind, status=process.returncode)
    return failed(UNREADABLE)
