"""Deliveries of what ran apart: no success hides another's failure, and a new run heals its own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.services import Services
from tests.api.caller import SECRET, Caller
from tests.api.webhooks.sending import Sender, github_headers, gitlab_headers, let_in
from tests.api.webhooks.test_vendors import azure_devops, circleci
from tests.paths import FIXTURES
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")

GITHUB_EVENTS = {
    "github__same_job_of_two_workflows": "check_run",
    "github__name_of_each_run": "workflow_run",
    "github__push_and_pull_request": "workflow_run",
    "github__two_deployments_to_one_environment": "deployment_status",
}
NAMES = sorted(path.stem for path in (FIXTURES / "identities").iterdir())
HEALED = {"github__name_of_each_run", "gitlab__name_of_each_pipeline"}


def documents(name: str) -> list[Any]:
    """The recorded deliveries, as of yesterday: times of long ago would all be limited to the same day."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    text = (FIXTURES / "identities" / f"{name}.json").read_text()
    found: list[Any] = json.loads(text.replace("2026-11-29", yesterday))
    return found


def headers(name: str, body: bytes) -> dict[str, str]:
    if name in GITHUB_EVENTS:
        return github_headers(body, GITHUB_EVENTS[name])
    if name.startswith("gitlab"):
        return gitlab_headers() | {"X-Gitlab-Token": SECRET}
    event = "job-completed"
    return circleci(event, body, "") if name.startswith("circleci") else azure_devops(event, body, "")


async def status_after(owner: Caller, services: Services, sender: Sender, name: str, bodies: list[Any]) -> str:
    accepted = None
    for document in bodies:
        body = json.dumps(document).encode()
        accepted = await sender.deliver(body, headers(name, body))
        await drain(services)
    assert accepted
    trail = (await sender.receipt(accepted))["trailId"]
    status: str = (await owner.get(f"/trails/{trail}")).json["status"]
    return status


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", NAMES)
async def test_a_failure_stands_until_the_same_succeeds(
    api: Caller, app_services: Services, name: str, reverse: bool
) -> None:
    """In whatever order the deliveries arrive."""
    sender = await let_in(api, name.partition("__")[0].upper())
    bodies = documents(name)[::-1] if reverse else documents(name)
    expected = "COMPLIANT" if name in HEALED else "NON_COMPLIANT"
    assert await status_after(api, app_services, sender, name, bodies) == expected


async def test_the_checks_of_a_replaced_run_count_no_more(api: Caller, app_services: Services) -> None:
    """The failed check of the first run has no successor of its name: only the run says that it is superseded."""
    sender, check = await let_in(api), "github__same_job_of_two_workflows"
    failed = documents(check)[0]
    assert await status_after(api, app_services, sender, check, [failed]) == "NON_COMPLIANT"
    first, second = documents("github__name_of_each_run")
    first["workflow_run"]["check_suite_id"], second["workflow_run"]["check_suite_id"] = 1, 2
    assert await status_after(api, app_services, sender, "github__name_of_each_run", [first, second]) == "COMPLIANT"
