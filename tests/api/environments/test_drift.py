"""Baselines and drift on the wire: approved, compared, told once, and once more when it is over."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from storage.environments.queries import drift as queries
from tests.api.caller import Caller
from tests.api.environments.reporting import A, B, C, events, line, make_environment, report
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("DRIFT_DETECTED", "DRIFT_CHANGED", "DRIFT_RESOLVED", "DRIFT_CHECKED")


async def approve(api: Caller, environment: str, status: int = 201, **fields: Any) -> Any:
    return (await api.post(f"/environments/{environment}/baselines", fields, status)).json


async def drift(api: Caller, environment: str, status: int = 200) -> Any:
    return (await api.get(f"/environments/{environment}/drift", status)).json


async def history(api: Caller, environment: str) -> Any:
    return (await api.get(f"/environments/{environment}/drift/history")).json


async def names(api: Caller) -> list[str]:
    return [one["eventType"] for one in await events(api, *NAMES)]


async def test_a_second_baseline_replaces_the_first(api: Caller) -> None:
    environment = await make_environment(api)
    first = await report(api, environment, line("api", A))
    one = await approve(api, environment, approvedBy="ada", description="1.0")
    assert_times(one, "approvedAt")
    assert {name: value for name, value in one.items() if name not in {"id", "approvedAt"}} == {
        "environmentId": environment,
        "snapshotId": first["id"],
        "snapshotIndex": 1,
        "approvedBy": "ada",
        "description": "1.0",
        "isActive": True,
        "replacedAt": None,
    }
    await report(api, environment, line("api", B))
    other = await approve(api, environment, snapshotId=first["id"])
    where = f"/environments/{environment}/baselines"
    assert (await api.get(f"{where}/current")).json == other
    listed = (await api.get(where)).json
    assert [(found["id"], found["isActive"]) for found in listed] == [(other["id"], True), (one["id"], False)]
    assert listed[1]["replacedAt"] == other["approvedAt"]
    assert len(await events(api, "BASELINE_CREATED", "BASELINE_REPLACED")) == 3


async def test_a_baseline_is_a_snapshot_of_its_environment(api: Caller) -> None:
    environment, other = await make_environment(api), await make_environment(api)
    foreign = await report(api, other, line("api", A))
    await report(api, environment, line("api", A))
    refused = await approve(api, environment, 404, snapshotId=foreign["id"])
    assert foreign["id"] in refused["message"]
    await approve(api, environment, 404, snapshotId=str(uuid4()))
    await api.get(f"/environments/{environment}/baselines/current", 404)
    await approve(api, str(uuid4()), 404)


async def test_of_two_baselines_at_once_one_is_active(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await asyncio.gather(*(approve(api, environment) for _ in range(8)))
    listed = (await api.get(f"/environments/{environment}/baselines")).json
    assert [one["isActive"] for one in listed] == [True, *[False] * 7]


async def test_what_is_missing_for_a_comparison_is_named(api: Caller) -> None:
    environment = await make_environment(api)
    assert "no active baseline" in (await drift(api, environment, 404))["message"]
    empty = await approve(api, environment)
    assert (empty["snapshotId"], empty["isActive"]) == (None, True)
    assert "has no snapshot" in (await drift(api, environment, 404))["message"]
    await report(api, environment, line("api", A))
    assert "has no snapshot" in (await drift(api, environment, 404))["message"]
    await drift(api, str(uuid4()), 404)


async def test_what_runs_is_compared_with_the_baseline(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A), line("web", C))
    baseline = await approve(api, environment)
    same = await report(api, environment, line("api", A), line("web", C))
    found = await drift(api, environment)
    assert (found["hasDrift"], found["status"], found["driftPolicy"]) == (False, "IN_SYNC", "WARN")
    assert (found["snapshotId"], found["baselineId"]) == (same["id"], baseline["id"])
    changed = await report(api, environment, line("api", B, "2"), line("job", C))
    found = await drift(api, environment)
    assert_times(found, "generatedAt")
    assert (found["hasDrift"], found["status"], found["snapshotId"]) == (True, "DRIFTED", changed["id"])
    assert [(one["sha256From"], one["sha256To"], one["tagTo"]) for one in found["updated"]] == [(A, B, "2")]
    assert [one["artifactName"] for one in found["added"]] == ["job"]
    assert [one["artifactName"] for one in found["removed"]] == ["web"]
    assert found["driftedSince"] == changed["recordedAt"] or found["driftedSince"] == found["generatedAt"]
    listed = await history(api, environment)
    assert [one["hasDrift"] for one in listed] == [True, False]
    assert {name: found[name] for name in listed[0]} == listed[0], "nothing is lost"


async def test_a_report_names_the_snapshot_that_was_compared_and_the_answer_the_latest_one(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await approve(api, environment)
    compared = await report(api, environment, line("api", B))
    latest = await report(api, environment, line("api", B))

    def named(found: Any) -> tuple[str, int]:
        return found["snapshotId"], found["snapshotIndex"]

    assert named(await drift(api, environment)) == (latest["id"], latest["snapshotIndex"])
    assert named((await history(api, environment))[0]) == (compared["id"], compared["snapshotIndex"])


async def test_asking_again_stores_nothing(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await approve(api, environment)
    first = await drift(api, environment)
    await report(api, environment, line("api", A))
    assert (await drift(api, environment))["id"] == first["id"]
    await asyncio.gather(*(drift(api, environment) for _ in range(5)))
    assert len(await history(api, environment)) == 1
    assert await names(api) == ["DRIFT_CHECKED"]


async def test_drift_is_one_event_when_it_begins_and_one_when_it_ends(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await approve(api, environment)
    for _ in range(3):
        await report(api, environment, line("api", B))
    began = (await api.get(f"/environments/{environment}")).json
    assert began["driftStatus"] == "DRIFTED"
    await report(api, environment, line("api", B, "1", 7))
    await report(api, environment, line("api", C))
    assert (await drift(api, environment))["driftedSince"] == began["driftedSince"]
    await report(api, environment, line("api", A))
    ended = (await api.get(f"/environments/{environment}")).json
    assert (ended["driftStatus"], ended["driftedSince"]) == ("IN_SYNC", None)
    assert (await drift(api, environment))["driftedSince"] == began["driftedSince"]
    assert await names(api) == ["DRIFT_DETECTED", "DRIFT_CHANGED", "DRIFT_RESOLVED"]
    detected = json.loads((await events(api, "DRIFT_DETECTED"))[0]["payload"])
    assert (detected["environmentId"], detected["updated"], detected["status"]) == (environment, 1, "DRIFTED")


async def test_a_new_baseline_ends_the_drift(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await approve(api, environment)
    await report(api, environment, line("api", B))
    await approve(api, environment)
    assert await names(api) == ["DRIFT_DETECTED", "DRIFT_RESOLVED"]
    assert (await drift(api, environment))["status"] == "IN_SYNC"


async def test_an_older_snapshot_as_baseline_is_drift_at_once(api: Caller) -> None:
    environment = await make_environment(api)
    first = await report(api, environment, line("api", A))
    await report(api, environment, line("api", B))
    await approve(api, environment, snapshotId=first["id"])
    assert (await api.get(f"/environments/{environment}")).json["driftStatus"] == "DRIFTED"
    assert await names(api) == ["DRIFT_DETECTED"]
    assert len(await history(api, environment)) == 1


async def messages(api: Caller, rule: Any) -> list[Any]:
    listed = (await api.get(f"/notification-rules/{rule['id']}/deliveries")).json
    return listed if isinstance(listed, list) else listed["items"]


@pytest.mark.parametrize(("policy", "severities"), [("WARN", ["WARNING"]), ("BLOCK", ["CRITICAL"]), ("IGNORE", [])])
async def test_the_policy_says_who_is_told(api: Caller, policy: str, severities: list[str]) -> None:
    environment = await make_environment(api, driftPolicy=policy)
    rule = await api.make_rule(triggerEvent="DRIFT_DETECTED", filterEnvironmentId=environment)
    await report(api, environment, line("api", A))
    await approve(api, environment)
    for _ in range(2):
        await report(api, environment, line("api", B))
    assert len(await messages(api, rule)) == len(severities)
    known = (await api.get(f"/environments/{environment}")).json
    assert known["deploymentsBlocked"] is (policy == "BLOCK")
    await report(api, environment, line("api", A))
    assert len(await messages(api, rule)) == 2 * len(severities)


async def test_drift_that_was_ignored_is_told_when_it_is_not_ignored_any_more(api: Caller) -> None:
    environment = await make_environment(api, driftPolicy="IGNORE")
    where = f"/environments/{environment}"
    rule = await api.make_rule(triggerEvent="DRIFT_DETECTED")
    await report(api, environment, line("api", A))
    await approve(api, environment)
    await report(api, environment, line("api", B))
    for policy, told in (("IGNORE", 0), ("BLOCK", 1), ("WARN", 1)):
        await api.send("PUT", where, json={"driftPolicy": policy})
        assert len(await messages(api, rule)) == told
    await report(api, environment, line("api", A))
    assert len(await messages(api, rule)) == 2
    for policy in ("IGNORE", "WARN"):
        await api.send("PUT", where, json={"driftPolicy": policy})
    assert len(await messages(api, rule)) == 2, "nothing is to be told without drift"


async def test_a_history_ends_early_rather_than_to_take_too_much_memory(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_LISTED", 8)
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    await approve(api, environment)
    for digest in (B, C, B, C):
        await report(api, environment, *(line(f"api-{one}", digest) for one in range(3)))
    where = f"/environments/{environment}/drift/history"
    first = await api.get(where)
    assert [one["snapshotIndex"] for one in first.json] == [5, 4]
    assert first.headers["X-Total-Count"] == "4"
    second = await api.get(first.headers["Link"].partition(">")[0].removeprefix("<"))
    assert [one["snapshotIndex"] for one in second.json] == [3, 2]
    assert "Link" not in second.headers
    assert (await api.get(f"{where}?size=4", 400)).fields == ["size"]
