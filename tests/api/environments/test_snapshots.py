"""Snapshots on the wire: reported, numbered, filtered, read back and compared."""

import asyncio
import io
import json
from typing import Any
from uuid import uuid4

import pytest

from domain.environments.snapshots import MAX_ARTIFACTS
from storage.environments.queries import snapshots as queries
from tests.api.caller import Caller
from tests.api.environments.reporting import A, B, C, events, line, make_environment, report, without_states
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_snapshots_are_numbered_and_read_as_they_were_reported(api: Caller) -> None:
    environment = await make_environment(api)
    first = await report(api, environment, line("web", B, None), line("api", A, "1", 2), recordedBy="agent")
    assert_times(first, "recordedAt")
    assert {name: value for name, value in first.items() if name not in {"id", "recordedAt"}} == {
        "environmentId": environment,
        "snapshotIndex": 1,
        "recordedBy": "agent",
        "scopeLabel": None,
        "changes": 2,
        "artifacts": [line("api", A, "1", 2), line("web", B, None)],
    }
    second = await report(api, environment, line("api", A, "2", 2))
    third = await report(api, environment)
    assert [second["snapshotIndex"], third["snapshotIndex"], third["artifacts"]] == [2, 3, []]
    where = f"/environments/{environment}/snapshots"
    assert without_states((await api.get(f"{where}/1")).json) == first
    assert without_states((await api.get(f"{where}/2")).json) == second
    assert (await api.get(f"{where}/latest")).json == third
    listed = await api.get(where)
    assert listed.json == [first, second, third]
    assert listed.headers["X-Total-Count"] == "3"
    known = (await api.get(f"/environments/{environment}")).json
    assert (known["lastSnapshotIndex"], known["lastReportedAt"]) == (3, third["recordedAt"])


async def test_the_snapshot_of_a_time_is_the_latest_one_before_it(api: Caller) -> None:
    environment = await make_environment(api)
    made = [await report(api, environment, line("api", digest)) for digest in (A, B)]
    where = f"/environments/{environment}/snapshots/latest"
    for at, found in ((made[0]["recordedAt"], made[0]), ("2999-01-01T00:00:00Z", made[1])):
        assert without_states((await api.get(where, params={"at": at})).json) == found
    await api.get(where, 404, params={"at": "2001-01-01T00:00:00Z"})
    assert (await api.get(where, 400, params={"at": "yesterday"})).fields == ["at"]


async def test_what_is_missing_is_named(api: Caller) -> None:
    environment = await make_environment(api)
    for path in ("latest", "1", "99999999999"):
        await api.get(f"/environments/{environment}/snapshots/{path}", 404)
    nowhere = uuid4()
    await report(api, str(nowhere), status=404)
    for path in ("snapshots", "snapshots/latest", "snapshots/1", "deployments", "diff?from=1&to=1"):
        assert str(nowhere) in (await api.get(f"/environments/{nowhere}/{path}", 404)).json["message"]


async def test_other_names_of_the_fields_are_accepted(api: Caller) -> None:
    environment = await make_environment(api)
    lines = [{"sha256": "a" * 64, "name": "api", "tag": "1"}, {"sha256Digest": B.upper(), "name": "web"}]
    made = await report(api, environment, *lines, scope="team-a")
    assert made["artifacts"] == [line("api", A, "1"), line("web", B, None)]
    assert made["scopeLabel"] == "team-a"


async def test_the_reporter_is_the_caller_unless_the_body_names_one(api: Caller) -> None:
    environment = await make_environment(api)
    made = await report(api, environment, line("api", A))
    assert made["recordedBy"] == (await events(api, "ENVIRONMENT_CREATED"))[0]["actor"]


async def test_lines_of_one_artifact_add_up(api: Caller) -> None:
    environment = await make_environment(api)
    made = await report(api, environment, line("api", A, "1", 2), line("api", A), line("api", A, "2"))
    assert made["artifacts"] == [line("api", A, "1", 3), line("api", A, "2")]


async def test_an_unchanged_report_is_a_snapshot_without_an_audit_event(api: Caller) -> None:
    environment = await make_environment(api)
    first = await report(api, environment, line("api", A))
    second = await report(api, environment, line("api", A))
    assert (second["snapshotIndex"], second["changes"], second["artifacts"]) == (2, 0, first["artifacts"])
    assert len(await events(api, "SNAPSHOT_RECORDED")) == 1
    known = (await api.get(f"/environments/{environment}")).json
    assert (known["lastReportedAt"], known["lastChangedAt"]) == (second["recordedAt"], first["recordedAt"])


async def test_only_changes_make_snapshots_if_that_is_asked_for(api: Caller) -> None:
    environment = await make_environment(api)
    where, body = f"/environments/{environment}/snapshots?onlyChanges=true", {"artifacts": [line("api", A)]}
    first = (await api.post(where, body)).json
    assert (await api.post(where, body, 200)).json == first
    known = (await api.get(f"/environments/{environment}")).json
    assert known["lastSnapshotIndex"] == 1
    assert known["lastReportedAt"] > first["recordedAt"] == known["lastChangedAt"]
    assert (await api.post(where, {"artifacts": []})).json["snapshotIndex"] == 2


async def test_simultaneous_reports_get_distinct_consecutive_indices(api: Caller) -> None:
    environment = await make_environment(api)
    made = await asyncio.gather(*(report(api, environment, line("api", A, str(number))) for number in range(20)))
    assert sorted(one["snapshotIndex"] for one in made) == list(range(1, 21))
    listed = (await api.get(f"/environments/{environment}/snapshots")).json
    assert sorted(one["artifacts"][0]["artifactTag"] for one in listed) == sorted(str(number) for number in range(20))
    times = [one["recordedAt"] for one in listed]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("kind", "scope", "kept"),
    [
        ("K8S", {"include": {"patterns": ["api-.*"]}}, ["api-1"]),
        ("ECS", {"include": {"names": ["web"], "patterns": ["api-.*"]}, "exclude": {"patterns": [".*1"]}}, ["web"]),
        ("LAMBDA", {"exclude": {"names": ["web"]}}, ["api-1"]),
        ("DOCKER", {"include": {"names": ["web"], "patterns": ["api-.*"]}}, ["web"]),
        ("S3", {"include": {"names": ["web"]}}, ["api-1", "web"]),
        ("GENERIC", {"include": {"names": ["web"]}}, ["api-1", "web"]),
    ],
)
async def test_what_is_out_of_scope_does_not_count(
    api: Caller, kind: str, scope: dict[str, Any], kept: list[str]
) -> None:
    environment = await make_environment(api, type=kind, scope=scope)
    made = await report(api, environment, line("web", A), line("api-1", B))
    assert [one["artifactName"] for one in made["artifacts"]] == kept


async def test_the_next_snapshot_has_the_scope_of_then(api: Caller) -> None:
    environment = await make_environment(api, type="K8S")
    await report(api, environment, line("api", A), line("istio", B))
    change = {"scope": {"exclude": {"patterns": ["istio.*"]}}}
    assert (await api.send("PUT", f"/environments/{environment}", json=change)).status == 200
    made = await report(api, environment, line("api", A), line("istio", B))
    assert (made["changes"], len(made["artifacts"])) == (1, 1)


BAD_LINES = [
    ({"artifactSha256": "sha256:xyz"}, "artifacts.0.artifactSha256"),
    ({"artifactSha256": None}, "artifacts.0.artifactSha256"),
    ({"instanceCount": -1}, "artifacts.0.instanceCount"),
    ({"instanceCount": 0}, "artifacts.0.instanceCount"),
    ({"artifactName": " "}, "artifacts.0.artifactName"),
    ({"artifactTag": "x" * 256}, "artifacts.0.artifactTag"),
]


@pytest.mark.parametrize(("fields", "named"), BAD_LINES)
async def test_a_bad_line_is_named_and_changes_nothing(api: Caller, fields: dict[str, Any], named: str) -> None:
    environment = await make_environment(api)
    body = {"artifacts": [{**line("api", A), **fields}]}
    assert (await api.post(f"/environments/{environment}/snapshots", body, 400)).fields == [named]
    await api.get(f"/environments/{environment}/snapshots/latest", 404)


async def test_a_misspelt_report_does_not_say_that_nothing_runs(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    where = f"/environments/{environment}/snapshots"
    refused = await api.post(where, {"artifact": [line("api", B)]}, 400)
    assert "artifacts" in refused.json["message"]
    assert (await api.post(where, {"artifacts": [line("api", A)], "cluster": "eu"})).json["changes"] == 0
    assert (await api.post(where, {"recordedBy": "agent"})).json["artifacts"] == []


async def test_a_report_takes_as_many_artifacts_as_is_said(api: Caller) -> None:
    environment = await make_environment(api)
    where = f"/environments/{environment}"
    many = [line(f"service-{number}", A, None) for number in range(MAX_ARTIFACTS + 1)]

    async def send(lines: list[dict[str, Any]], status: int) -> Any:
        body = io.BytesIO(json.dumps({"artifacts": lines}).encode())
        headers = {"Content-Type": "application/json"}
        return (await api.post(f"{where}/snapshots", None, status, data=body, headers=headers)).json

    assert str(MAX_ARTIFACTS) in (await send(many, 413))["message"]
    await send(many * 10, 413)
    await api.get(f"{where}/snapshots/latest", 404)
    for _ in range(3):
        made = await send([*many[1:], *many[1:]], 201)
    assert (len(made["artifacts"]), made["artifacts"][0]["instanceCount"]) == (MAX_ARTIFACTS, 2)
    assert (await api.get(f"{where}/deployments?size=1")).headers["X-Total-Count"] == "10000"
    assert len((await api.get(f"{where}/snapshots?size=1")).json[0]["artifacts"]) == MAX_ARTIFACTS


async def test_a_list_of_snapshots_ends_early_rather_than_to_take_too_much_memory(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_LISTED", 5)
    environment = await make_environment(api)
    for number in range(1, 7):
        await report(api, environment, *(line(f"api-{one}", A) for one in range(6 if number == 4 else 2)))
    where = f"/environments/{environment}/snapshots"
    found, following = [], where
    while following:
        answer = await api.get(following)
        assert answer.headers["X-Total-Count"] == "6"
        found.append([one["snapshotIndex"] for one in answer.json])
        following = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert found == [[1, 2], [3], [4], [5, 6]]
    assert (await api.get(f"{where}?size=3", 400)).fields == ["size"]  # page 1 would begin with the fourth
    assert len((await api.get(f"{where}?size=2")).json) == 2


async def test_instances_of_one_artifact_add_up_to_what_can_be_stored(api: Caller) -> None:
    environment = await make_environment(api)
    many = [line("api", A, count=1_000_000)] * 2147
    most = [*many, line("api", A, count=483_647)]
    assert (await report(api, environment, *most))["artifacts"][0]["instanceCount"] == 2**31 - 1
    refused = await api.post(f"/environments/{environment}/snapshots", {"artifacts": [*most, line("api", A)]}, 400)
    assert refused.fields == ["artifacts"]


@pytest.mark.parametrize("pattern", ["(", "(?=x)", "a" * 1001, r"\pL{900}"])
async def test_a_pattern_that_cannot_be_used_is_refused_when_it_is_saved(api: Caller, pattern: str) -> None:
    scope = {"include": {"patterns": [pattern]}}
    refused = await api.post("/environments", {"name": "production", "type": "K8S", "scope": scope}, 400)
    assert refused.json["details"]


async def test_a_pattern_that_backtracks_elsewhere_costs_nothing(api: Caller) -> None:
    environment = await make_environment(api, type="K8S", scope={"include": {"patterns": ["(a+)+$"]}})
    made = await report(api, environment, line("a" * 254 + "!", A), line("a" * 255, B))
    assert [one["artifactSha256"] for one in made["artifacts"]] == [B]


async def test_a_dry_run_records_nothing(api: Caller) -> None:
    environment = await make_environment(api)
    body = {"artifacts": [line("api", A)]}
    preview = await api.post(f"/environments/{environment}/snapshots?dryRun=true", body, 200)
    assert preview.json["wouldCreate"]["snapshotIndex"] == 1
    await api.get(f"/environments/{environment}/snapshots/latest", 404)


async def test_a_difference_tells_what_changed_between_two_snapshots(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A, "1", 2), line("old", B), line("web", C, "1"))
    await report(api, environment, line("api", B, "2", 1), line("new", A), line("web", C, "2", 4))
    found = (await api.get(f"/environments/{environment}/diff?from=1&to=2")).json
    assert (found["environmentId"], found["fromSnapshotIndex"], found["toSnapshotIndex"]) == (environment, 1, 2)
    assert found["updated"] == [
        {
            "artifactName": "api",
            "artifactTag": "2",
            "sha256From": A,
            "sha256To": B,
            "tagFrom": "1",
            "tagTo": "2",
            "instanceCountFrom": 2,
            "instanceCountTo": 1,
        }
    ]
    assert [(one["artifactName"], one["sha256From"], one["sha256To"]) for one in found["added"]] == [("new", None, A)]
    assert [(one["artifactName"], one["sha256From"], one["sha256To"]) for one in found["removed"]] == [("old", B, None)]
    [same] = found["unchanged"]
    assert (same["tagFrom"], same["tagTo"], same["instanceCountTo"]) == ("1", "2", 4)
    assert (await api.get(f"/environments/{environment}/diff?snapshotA=1&snapshotB=2")).json == found


async def test_several_versions_of_one_name_are_told_apart(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A), line("api", B))
    await report(api, environment, line("api", B), line("api", C))
    found = (await api.get(f"/environments/{environment}/diff?from=1&to=2")).json
    assert [(one["sha256From"], one["sha256To"]) for one in found["updated"]] == [(A, C)]
    assert [one["sha256From"] for one in found["unchanged"]] == [B]


async def test_snapshots_of_two_environments_are_compared(api: Caller) -> None:
    staging, production = await make_environment(api), await make_environment(api)
    await report(api, staging, line("api", B))
    await report(api, production, line("api", A))
    found = (await api.get(f"/environments/{production}/diff?from=1&to=1&toEnvironmentId={staging}")).json
    assert [(one["sha256From"], one["sha256To"]) for one in found["updated"]] == [(A, B)]
    assert (found["environmentId"], found["toEnvironmentId"]) == (production, staging)


async def test_a_difference_needs_snapshots_that_are_there(api: Caller) -> None:
    environment = await make_environment(api)
    await report(api, environment, line("api", A))
    where = f"/environments/{environment}/diff"
    assert "snapshot 2" in (await api.get(f"{where}?from=1&to=2", 404)).json["message"]
    assert (await api.get(f"{where}?from=1", 400)).fields == ["to"]
    assert (await api.get(f"{where}?from=0&to=x", 400)).fields == ["from", "to"]
    await api.get(f"{where}?from=1&to=99999999999", 400)
    await api.get(f"{where}?from=1&to=1&toEnvironmentId={uuid4()}", 404)
