"""Small files in a thread, large ones in a process of their own, and the same verdict from both."""

import asyncio
import time
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from api.http import evidence_parsing
from api.http.calls import Upload
from api.http.evidence_parsing import MAX_IN_THREAD, EvidenceParsers
from integrations.formats.parsed import ParsedEvidence
from integrations.formats.parser_process import from_text, to_text

ORG = UUID(int=1)


def uploaded(path: Path, content: bytes) -> Upload:
    path.write_bytes(content)
    return Upload(path, sha256(content).hexdigest(), len(content), path.name, "application/json")


def report(findings: int, padding: int = 0) -> bytes:
    finding = b'{"ruleId": "r", "level": "error", "message": {"text": "%s"}}' % (b"x" * padding)
    results = b",".join([finding] * findings)
    return b'{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "s"}}, "results": [%s]}]}' % results


def parser_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "parser_process" in " ".join(child.cmdline())]


@pytest.mark.parametrize("padding", [0, MAX_IN_THREAD], ids=["small", "large"])
@pytest.mark.parametrize("findings", [0, 3])
async def test_size_changes_the_place_and_not_the_verdict(tmp_path: Path, findings: int, padding: int) -> None:
    content = report(findings, padding) + b" " * padding
    parsed = await EvidenceParsers().parse(ORG, "SARIF", uploaded(tmp_path / "scan.sarif", content))
    assert parsed is not None
    assert (parsed.passed, parsed.details["vulnerabilities"]) == (findings == 0, findings)


async def test_what_is_not_read_starts_nothing(tmp_path: Path) -> None:
    assert await EvidenceParsers().parse(ORG, "generic", uploaded(tmp_path / "x", b" " * (MAX_IN_THREAD + 1))) is None


async def test_a_large_file_that_is_no_report_has_failed(tmp_path: Path) -> None:
    parsed = await EvidenceParsers().parse(ORG, "sarif", uploaded(tmp_path / "x", b"x" * (MAX_IN_THREAD + 1)))
    assert parsed is not None
    assert parsed.passed is False
    assert parsed.details["error"].startswith("The file is not JSON")


async def test_a_reader_that_takes_too_long_is_ended_and_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence_parsing, "TIMEOUT_PROCESS", 0.05)
    parsed = await EvidenceParsers().parse(ORG, "sarif", uploaded(tmp_path / "x", report(1, MAX_IN_THREAD)))
    assert parsed == ParsedEvidence(
        passed=False, details={"error": "The file could not be read"}, reason="The file could not be read"
    )
    assert parser_processes() == []


async def test_the_process_that_parses_has_no_secrets_in_its_environment(tmp_path: Path) -> None:
    parsing = asyncio.create_task(EvidenceParsers().parse(ORG, "sarif", uploaded(tmp_path / "x", report(60_000, 300))))
    async with asyncio.timeout(30):
        while not (found := parser_processes()):
            await asyncio.sleep(0.001)
        assert found[0].environ().keys() <= {"LC_CTYPE"}
        assert (await parsing) is not None


async def test_the_loop_answers_while_a_large_file_is_parsed(tmp_path: Path) -> None:
    file = uploaded(tmp_path / "x", report(60_000, 300))
    parsing = asyncio.create_task(EvidenceParsers().parse(ORG, "sarif", file))
    longest = 0.0
    while not parsing.done():
        began = time.thread_time()
        await asyncio.sleep(0.01)
        longest = max(longest, time.thread_time() - began)
    parsed = await parsing
    assert parsed is not None
    assert parsed.details["vulnerabilities"] == 60_000
    assert longest < 0.1, "processor time of this thread between two turns"


@pytest.mark.parametrize("passed", [True, False, None])
def test_a_result_survives_the_way_between_processes(passed: bool | None) -> None:
    parsed = ParsedEvidence(passed=passed, details={"failed": ["ü\u2028"], "tests": 3}, reason="because")
    assert from_text(to_text(parsed)) == parsed
    assert from_text("") is None
