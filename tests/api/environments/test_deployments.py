"""Deployments on the wire: since when, and until when, an artifact runs in an environment."""

import json

import pytest

from tests.api.caller import Caller
from tests.api.environments.reporting import A, B, C, events, line, make_environment, report

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("ARTIFACT_DEPLOYED", "ARTIFACT_UPDATED", "ARTIFACT_REMOVED")


async def test_a_deployment_begins_and_ends_with_snapshots(api: Caller) -> None:
    environment = await make_environment(api)
    first = await report(api, environment, line("api", A), line("web", C))
    second = await report(api, environment, line("api", B, "2"), line("web", C, "2", 5))
    third = await report(api, environment, line("web", C, "2"))
    where = f"/environments/{environment}/deployments"
    found = {one["artifactSha256"]: one for one in (await api.get(where)).json}
    assert {name: value for name, value in found[A].items() if name != "id"} == {
        "environmentId": environment,
        "artifactSha256": A,
        "artifactName": "api",
        "artifactTag": "1",
        "replacedSha256": None,
        "snapshotIndex": 1,
        "deployedAt": first["recordedAt"],
        "removedSnapshotIndex": 2,
        "removedAt": second["recordedAt"],
    }
    assert (found[B]["replacedSha256"], found[B]["deployedAt"]) == (A, second["recordedAt"])
    assert (found[B]["removedSnapshotIndex"], found[B]["removedAt"]) == (3, third["recordedAt"])
    assert (found[C]["snapshotIndex"], found[C]["removedAt"]) == (1, None)
    assert [one["artifactSha256"] for one in (await api.get(f"{where}?running=true")).json] == [C]
    assert [one["artifactSha256"] for one in (await api.get(f"{where}?running=false")).json] == [A, B]


async def test_a_later_deployment_of_the_same_artifact_is_another_one(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await report(api, environment)
    await report(api, environment, line("api", A))
    found = (await api.get(f"/environments/{environment}/deployments")).json
    assert [(one["snapshotIndex"], one["removedSnapshotIndex"]) for one in found] == [(1, 2), (3, None)]
    assert len({one["id"] for one in found}) == 2


async def test_the_deployments_of_an_artifact_are_found_by_its_digest(api: Caller) -> None:
    environments = [await make_environment(api) for _ in range(2)]
    for environment in environments:
        await report(api, environment, line("api", B))
    for spelling in (B, "b" * 64, B.upper()):
        found = await api.get(f"/artifacts/{spelling}/deployments")
        assert [one["environmentId"] for one in found.json] == environments
    assert (await api.get(f"/artifacts/{C}/deployments")).json == []
    assert (await api.get("/artifacts/abc/deployments", 400)).fields == ["digest"]


async def test_nothing_runs_in_an_archived_environment(api: Caller) -> None:
    gone, kept = [await make_environment(api) for _ in range(2)]
    for environment in (gone, kept):
        await report(api, environment, line("api", C))
    await api.send("DELETE", f"/environments/{gone}")
    where = f"/artifacts/{C}/deployments"
    for query, found in (("", [gone, kept]), ("?running=true", [kept]), ("?running=false", [gone])):
        answer = await api.get(f"{where}{query}")
        assert [one["environmentId"] for one in answer.json] == found
        assert answer.headers["X-Total-Count"] == str(len(found))


async def test_every_difference_is_an_audit_event(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A), line("web", C))
    await report(api, environment, line("api", B, "2"), line("web", C, "1", 9), line("job", A))
    await report(api, environment, line("api", B, "2"), line("web", C, "1", 9))
    found = [(one["eventType"], json.loads(one["payload"])) for one in await events(api, *NAMES)]
    assert sorted((name, payload["artifactName"], payload["snapshotIndex"]) for name, payload in found) == [
        ("ARTIFACT_DEPLOYED", "api", 1),
        ("ARTIFACT_DEPLOYED", "job", 2),
        ("ARTIFACT_DEPLOYED", "web", 1),
        ("ARTIFACT_REMOVED", "job", 3),
        ("ARTIFACT_UPDATED", "api", 2),
    ]
    [update] = [payload for name, payload in found if name == "ARTIFACT_UPDATED"]
    assert update == {
        "environmentId": environment,
        "snapshotIndex": 2,
        "artifactName": "api",
        "artifactTag": "2",
        "sha256From": A,
        "sha256To": B,
    }
