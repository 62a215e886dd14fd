"""The pages that promise it, every block of them run in one shell against a running API and worker."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.journeys.conftest import Running
from tests.journeys.processes import ADMIN_KEY
from tests.paths import DOCS, ROOT

TOOLS = ("bash", "curl", "openssl", "python3")
NAMES = (
    "guide",
    "ci",
    "vsa",
    "environments",
    "gate",
    "approvals",
    "security-scans",
    "opa",
    "notifications",
    "access",
)
PAGES = (ROOT / "README.md", *(DOCS / f"{name}.md" for name in NAMES))
AUDITORS_PAGE = DOCS / "verify.md"
INSTALLING = "python3 -m venv check && check/bin/pip install cryptography"

AUDITED = """
export RECORD_ID=$ATTESTATION
newest() {
  api "$URL/api/v1/ledger/status" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["checkpoint"][sys.argv[1]])' $1
}
COPY="$CHECKPOINTS/$(newest note | sed -n 's#^trailgate/##p').checkpoints"
published() { grep -qx "$(newest treeSize)" "$COPY"; }
wait_for published
"""
"""What verify.md asks its reader to bring: the id of a record, and a copy of the checkpoints that is not too old."""

pytestmark = pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The root of the repository as far as the pages read it, and the command on the PATH."""
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    for place in (clone, programs):
        place.mkdir()
    for name in ("tests", "docs"):
        (clone / name).symlink_to(ROOT / name)
    command = programs / "trailgate"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m cli "$@"\n')
    command.chmod(0o755)
    return clone


def blocks(page: Path) -> str:
    """What a reader pastes."""
    found = re.findall(r"^( *)```sh\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return "\n".join(dedent(block) for _, block in found)


def audit() -> str:
    """The auditor's page, with this interpreter in place of a new environment: nothing is downloaded."""
    page = blocks(AUDITORS_PAGE)
    assert INSTALLING in page
    there = f"mkdir -p check/bin && ln -sf {sys.executable} check/bin/python"
    return AUDITED + page.replace(INSTALLING, there)


async def pasted(script: str, running: Running, folder: Path, seconds: float = 120) -> list[str]:
    """The lines that it prints; nothing is left in the folder."""
    before = sorted(folder.iterdir())
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        "set -euo pipefail\n" + script,
        cwd=folder,
        env={
            **running.environment,
            "PATH": f"{folder.parent / 'programs'}:{os.environ['PATH']}",
            "URL": running.address,
            "KEY": ADMIN_KEY,
            "CHECKPOINTS": str(running.settings.checkpoints),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, errors = await asyncio.wait_for(shell.communicate(), seconds)
    except TimeoutError:
        shell.kill()
        raise
    assert shell.returncode == 0, said.decode() + errors.decode()
    assert sorted(folder.iterdir()) == before, "the page cleans up after itself"
    return said.decode().splitlines()


async def test_two_minutes_with_curl(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(ROOT / "README.md"), running, folder)
    assert "COMPLIANT" in lines


async def test_from_the_start_to_a_proof(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "guide.md") + audit(), running, folder)
    assert "COMPLIANT" in lines
    assert "verified" in lines
    assert sum(line.startswith("PROVEN: record ") for line in lines) == 2
    assert any(line.startswith("default: sound") for line in lines)


async def test_a_ci_jobs_day(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "ci.md"), running, folder)
    assert "COMPLIANT" in lines
    assert "PROVENANCE_VERIFIED" in lines
    assert "verified" in lines
    assert lines[-1] == lines[-2], "the second attempt got the answer of the first"


async def test_a_verdict_that_travels(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "vsa.md"), running, folder)
    assert "ACCEPTED" in lines
    assert any(line.startswith("NOT ACCEPTED: it is about sha256:") for line in lines)
    assert "Signature Verified Successfully" in lines


async def test_what_runs_in_environments(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "environments.md"), running, folder)
    assert any('"reasons":[{"code":"NOT_REPORTED"' in line and '"debug-shell"' in line for line in lines)


async def test_who_agreed_to_a_release(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "approvals.md"), running, folder)
    assert any('"compliant":true' in line for line in lines)
    assert any('"breakGlass":{"reason":"Incident 4711: payments fail"' in line for line in lines)


async def test_what_scanners_found(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "security-scans.md"), running, folder)
    assert "['critical: 1 found, at most 0 allowed', 'high: 3 found, at most 2 allowed']" in lines
    [summed] = [line for line in lines if line.startswith('{"totalScans":4,')]
    assert '"scansWithCritical":1' in summed


async def test_policies_in_rego(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "opa.md"), running, folder)
    assert "['trivy failed']" in lines
    assert "['data.release.allow is not true in the policy bundle" in lines[-2].rsplit(" release-", 1)[0]
    assert lines[-1] == "2", "decisions that do not allow"


async def test_what_may_be_deployed(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "gate.md"), running, folder)
    assert any("drifted from its baseline, which blocks deployments to it" in line for line in lines)
    assert any('"code": "PROVENANCE_MISSING"' in line for line in lines), "all reasons at once"
    assert any("the allow-list lets it through: incident 4711" in line for line in lines)
    assert {"ALLOWED", "BLOCKED"} <= set(re.findall(r'"decision": ?"(\w+)"', "\n".join(lines)))


async def test_bringing_an_organisation_on_board(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "access.md"), running, folder)
    assert "401" in lines, "the key of a disabled account"
    assert lines.count("[]") == 3, "the key of CI, its successor, and the old key during the overlap"
    [shown] = [line for line in lines if line.startswith("[{") and '"payments"' in line]
    assert '"billing"' not in shown, "the flow of the key with a scope"
    assert "403" in lines, "the audit is not for a key with a scope"


async def test_being_told(running: Running, folder: Path) -> None:
    lines = await pasted(blocks(DOCS / "notifications.md"), running, folder)
    assert any(re.fullmatch(r'\{"webhookUrl": ?"http://127\.0\.0\.1:\d+/…"\}', line) for line in lines), "masked"
    assert any('"unit tests"' in line and '"attestation.failed"' in line for line in lines)
    assert "OK" in lines, "the destination is well"


@pytest.mark.slow
async def test_all_pages_in_one_shell_twice(running: Running, folder: Path) -> None:
    once = "\n".join(map(blocks, PAGES)) + audit()
    await pasted(f"{once}\n{once}", running, folder, seconds=280)
