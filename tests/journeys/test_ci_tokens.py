"""The jobs that docs/access.md shows, run as their platforms run them: they report with the token of the platform."""

import asyncio
import os
import re
import shutil
from typing import Any

import pytest
import yaml

from tests.journeys.client import Client
from tests.journeys.conftest import Running
from tests.paths import DOCS
from tests.vendors.identity_provider import (
    GITHUB_CLAIMS,
    GITLAB_CLAIMS,
    RUNNER_TOKEN,
    IdentityProvider,
    identity_provider,
)

TOOLS = ("bash", "curl", "jq")
pytestmark = pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")


def shown() -> list[Any]:
    """The files of the page, that of GitHub first."""
    found = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "access.md").read_text(), re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text) for text in found]


async def run(script: str, **told: str) -> None:
    """As a runner does: the script ends at the first error."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-eo", "pipefail", "-c", script, env={"PATH": os.environ["PATH"], **told}
    )
    assert await asyncio.wait_for(shell.wait(), 60) == 0


async def admitted(admin: Client, idp: IdentityProvider, provider: str, unique: str) -> str:
    """A flow, after the jobs of the repository were let in."""
    identity = {"name": unique, "provider": provider, "issuer": idp.issuer, "repository": "acme/shop"}
    await admin.post("/workload-identities", identity)
    return str(
        (await admin.post("/flows", {"name": unique, "requiredAttestations": ["BUILD", "oidc-provenance"]}))["id"]
    )


async def check_reported(admin: Client, flow_id: str) -> None:
    [trail] = await admin.get(f"/trails?flowId={flow_id}")
    assert trail["status"] == "COMPLIANT"


async def test_a_job_of_github(running: Running, admin: Client, unique: str) -> None:
    job = shown()[0]["jobs"]["release"]
    async with identity_provider() as idp:
        flow_id = await admitted(admin, idp, "github", unique)
        told = {
            "TRAILGATE": running.address,
            "AUDIENCE": f"{running.address}/default",
            "FLOW": flow_id,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": RUNNER_TOKEN,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{idp.issuer}/actions?api-version=2.0",
            "GITHUB_SHA": str(GITHUB_CLAIMS["sha"]),
            "GITHUB_REF_NAME": "main",
            "GITHUB_ACTOR": "ada",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_RUN_ID": "4242",
        }
        assert told.keys() >= job["env"].keys()
        await run(job["steps"][-1]["run"], **told)
    await check_reported(admin, flow_id)


async def test_a_job_of_gitlab(running: Running, admin: Client, unique: str) -> None:
    job = shown()[1]["release"]
    async with identity_provider() as idp:
        flow_id = await admitted(admin, idp, "gitlab", unique)
        told = {
            "TRAILGATE": running.address,
            "FLOW": flow_id,
            "TRAILGATE_TOKEN": idp.gitlab_token(running.address),
            "CI_COMMIT_SHA": str(GITLAB_CLAIMS["sha"]),
            "CI_COMMIT_REF_NAME": "main",
            "CI_JOB_URL": "https://gitlab.com/acme/shop/-/jobs/1",
            "GITLAB_USER_NAME": "Ada",
            "GITLAB_USER_EMAIL": "ada@example.com",
        }
        assert told.keys() >= job["variables"].keys() | job["id_tokens"].keys()
        await run("\n".join(job["script"]), **told)
    await check_reported(admin, flow_id)
