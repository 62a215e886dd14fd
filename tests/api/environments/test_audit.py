"""The audit of one environment."""

import pytest

from tests.api.caller import Caller
from tests.api.environments.reporting import A, B, line, make_environment, report

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_all_that_happens_to_an_environment_is_found_by_its_id(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await api.post(f"/environments/{environment}/baselines", {})
    await report(api, environment, line("api", B))
    entry = (await api.post(f"/environments/{environment}/allowlist", {"sha256": B, "reason": "a test"})).json
    assert (await api.send("DELETE", f"/environments/{environment}/allowlist/{entry['id']}")).status == 200
    assert (await api.send("DELETE", f"/environments/{environment}")).status == 204
    other = await make_environment(api)
    found = (await api.get(f"/audit?environmentId={environment}&size=100")).json["events"]
    assert sorted(one["eventType"] for one in found) == sorted(
        [
            "ENVIRONMENT_CREATED",
            "SNAPSHOT_RECORDED",
            "ARTIFACT_DEPLOYED",
            "BASELINE_CREATED",
            "SNAPSHOT_RECORDED",
            "ARTIFACT_UPDATED",
            "DRIFT_DETECTED",
            "ALLOWLIST_ADDED",
            "ALLOWLIST_USED",
            "DRIFT_RESOLVED",
            "ALLOWLIST_REMOVED",
            "DRIFT_DETECTED",
            "ENVIRONMENT_DELETED",
        ]
    )
    assert [one["eventType"] for one in (await api.get(f"/audit?environmentId={other}")).json["events"]] == [
        "ENVIRONMENT_CREATED"
    ]
