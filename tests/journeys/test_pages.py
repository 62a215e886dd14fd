"""The pages that promise it, every block of them run in one shell against a running API and worker."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.journeys.conftest import Running
from tests.journeys.processes import ADMIN_KEY
from tests.paths import DOCS

TOOLS = ("bash", "curl", "openssl", "python3")

pytestmark = pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")


async def pasted(page: str, running: Running, folder: Path) -> list[str]:
    """The lines that the page's blocks print, from top to bottom; nothing is left in the folder."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        "set -euo pipefail\n" + "\n".join(blocks),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "URL": running.address, "KEY": ADMIN_KEY},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, errors = await asyncio.wait_for(shell.communicate(), 120)
    except TimeoutError:
        shell.kill()
        raise
    assert shell.returncode == 0, said.decode() + errors.decode()
    assert [path.name for path in folder.iterdir()] == [], "the page cleans up after itself"
    return said.decode().splitlines()


async def test_a_ci_jobs_day(running: Running, tmp_path: Path) -> None:
    lines = await pasted("ci.md", running, tmp_path)
    assert "COMPLIANT" in lines
    assert "PROVENANCE_VERIFIED" in lines
    assert "verified" in lines
    assert lines[-1] == lines[-2], "the second attempt got the answer of the first"


async def test_being_told(running: Running, tmp_path: Path) -> None:
    lines = await pasted("notifications.md", running, tmp_path)
    assert any(re.fullmatch(r'\{"webhookUrl": ?"http://127\.0\.0\.1:\d+/…"\}', line) for line in lines), "masked"
    assert any('"unit tests"' in line and '"attestation.failed"' in line for line in lines)
    assert "OK" in lines, "the destination is well"
