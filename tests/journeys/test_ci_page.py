"""Every block of docs/ci.md, run in one shell against a running API and worker, as a reader pastes them."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.journeys.conftest import Running
from tests.journeys.processes import ADMIN_KEY

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
TOOLS = ("bash", "curl", "openssl", "python3")


def script() -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    return "set -euo pipefail\n" + "\n".join(blocks)


@pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")
async def test_the_page_can_be_pasted_from_top_to_bottom(running: Running, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "URL": running.address, "KEY": ADMIN_KEY}
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script(),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(shell.communicate(), 120)
    assert shell.returncode == 0, said.decode() + errors.decode()
    lines = said.decode().splitlines()
    assert "COMPLIANT" in lines, said.decode()
    assert "PROVENANCE_VERIFIED" in lines
    assert "verified" in lines
    assert lines[-1] == lines[-2], "the second attempt got the answer of the first"
    assert [path.name for path in tmp_path.iterdir()] == [], "the page cleans up after itself"
