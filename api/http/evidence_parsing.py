"""Parse uploaded evidence and scan reports off the event loop: small files in a thread, large ones in a process.

A parser written in C holds the interpreter lock: half a second of parsing would be half a second without responses.
"""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import structlog
from aiohttp import web

from api.http.calls import Upload
from integrations.formats.evidence import FORMATS, UNREADABLE, failed, parse_evidence
from integrations.formats.parsed import ParsedEvidence
from integrations.formats.parser_process import from_text
from integrations.formats.scan_reports import SCAN_REPORT
from storage.slots import Slots
from storage.threads import Threads

MAX_IN_THREAD = 512 * 1024
"""Bytes up to which a file is parsed in a thread, which takes some milliseconds."""
TIMEOUT_PROCESS = 40
"""Seconds for one process: ten more than the parser's own limit."""
MAX_THREADS, MAX_PROCESSES = 2, 3
"""Files parsed at once in threads and in processes: half of them of one organisation, so that another need not wait."""

_ROOT = Path(__file__).parents[2]

log = structlog.get_logger()


class EvidenceParsers:
    """Parses the uploads of one application."""

    def __init__(self) -> None:
        self._threads = Threads(MAX_THREADS, "evidence parsers")
        self._processes = Slots(MAX_PROCESSES, "evidence parsers")

    async def parse(self, org_id: UUID, kind: str, file: Upload) -> ParsedEvidence | None:
        """Return the parsed evidence of a file, or None when evidence of this attestation type is not parsed."""
        return await self._parse(org_id, kind, file) if kind.lower() in FORMATS else None

    async def parse_scan_report(self, org_id: UUID, file: Upload) -> ParsedEvidence:
        """Return what the report of a security scanner says. Its details have an `error` if it cannot be read."""
        parsed = await self._parse(org_id, SCAN_REPORT, file)
        return parsed or failed(UNREADABLE)

    async def _parse(self, org_id: UUID, kind: str, file: Upload) -> ParsedEvidence | None:
        if file.size <= MAX_IN_THREAD:
            return await self._threads.run(org_id, parse_evidence, kind, file.path)
        async with self._processes.taken(org_id):
            return await _parse_in_process(kind, file.path)


PARSERS: web.AppKey[EvidenceParsers] = web.AppKey("evidence_parsers", EvidenceParsers)


def _command(kind: str, path: Path) -> tuple[str, ...]:
    return sys.executable, "-m", "integrations.formats.parser_process", kind, str(path.absolute())


async def _parse_in_process(kind: str, path: Path) -> ParsedEvidence | None:
    process = await asyncio.create_subprocess_exec(
        *_command(kind, path),
        cwd=_ROOT,
        env={},  # no variable of the API, whose environment has secrets
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_PROCESS)
    except TimeoutError:
        output = b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == 0:
        return from_text(output.decode())
    # Fail closed: whatever ended the process (memory, time or a crash), the evidence was not parsed.
    log.warning("evidence_parser_ended", kind=kind, status=process.returncode)
    return failed(UNREADABLE)
