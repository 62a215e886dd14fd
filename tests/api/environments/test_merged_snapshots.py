"""What runs in all environments of a logical one."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from api.environments.handlers import logical_environments as handlers
from storage.environments.queries import compliance
from storage.environments.queries import logical_environments as queries
from storage.services import Services
from tests.api.caller import Caller, make_holder
from tests.api.environments.reporting import A, B, C, line, make_environment, make_logical, report
from tests.api.test_statements import statements

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def merged(api: Caller, logical: str, **parameters: Any) -> Any:
    path = f"/logical-environments/{logical}/snapshots/latest"
    return (await api.get(path, params={name: str(value) for name, value in parameters.items()})).json


async def test_the_latest_snapshots_are_put_together(api: Caller) -> None:
    names = ("apac", "eu", "us")
    apac, europe, america = [await make_environment(api, name=name) for name in names]
    await report(api, america, line("api", B))
    first = await report(api, america, line("web", C), line("api", A, "1", 2))
    second = await report(api, europe, line("api", A, "1", 3))
    logical = await make_logical(api, america, europe, apac, name="world")
    assert await merged(api, logical) == {
        "logicalEnvId": logical,
        "logicalEnvName": "world",
        "complianceStatus": "UNKNOWN",
        "memberSnapshots": [
            member(apac, "apac", None, None, 0),
            member(europe, "eu", 1, second["recordedAt"], 1),
            member(america, "us", 2, first["recordedAt"], 2),
        ],
        "mergedArtifacts": [
            {**line("api", A, "1", 3), "physicalEnvId": europe, "physicalEnvName": "eu"},
            {**line("api", A, "1", 2), "physicalEnvId": america, "physicalEnvName": "us"},
            {**line("web", C), "physicalEnvId": america, "physicalEnvName": "us"},
        ],
        "groupedArtifacts": None,
    }


def member(environment: str, name: str, index: int | None, time: str | None, artifacts: int) -> dict[str, Any]:
    return {
        "physicalEnvId": environment,
        "physicalEnvName": name,
        "snapshotIndex": index,
        "recordedAt": time,
        "artifactCount": artifacts,
        "complianceState": "UNKNOWN",
    }


async def test_the_worst_state_of_a_member_is_that_of_all(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestationTypes=["BUILD"])
    trails = {digest: await api.make_trail(flow["id"]) for digest in (A, B)}
    for digest, trail in trails.items():
        await api.report_artifact(trail["id"], digest)
    await api.attest(trails[A]["id"])
    good, bad, silent = [await make_environment(api) for _ in range(3)]
    await report(api, good, line("api", A))
    await report(api, bad, line("api", B))
    for members, state in (
        ([good], "COMPLIANT"),
        ([good, silent], "UNKNOWN"),
        ([good, silent, bad], "NON_COMPLIANT"),
    ):
        found = await merged(api, await make_logical(api, await make_logical(api, *members)))
        assert found["complianceStatus"] == state
    states = {one["physicalEnvId"]: one["complianceState"] for one in found["memberSnapshots"]}
    assert states == {good: "COMPLIANT", silent: "UNKNOWN", bad: "NON_COMPLIANT"}


async def test_a_state_that_is_not_known_is_not_taken_for_compliant(
    api: Caller, app_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is outside of the scopes of a key, nor what is too much to be judged."""
    flow = await api.make_flow(requiredAttestationTypes=["BUILD"])
    environments = []
    for digest in (A, B):
        trail = await api.make_trail(flow["id"])
        await api.report_artifact(trail["id"], digest)
        await api.attest(trail["id"])
        environments.append(await make_environment(api))
        await report(api, environments[-1], line("api", digest))
    logical = await make_logical(api, *environments)
    assert (await merged(api, logical))["complianceStatus"] == "COMPLIANT"
    scopes = [f"environment:{one}" for one in (logical, environments[0])]
    limited = replace(api, key=(await make_holder(app_services, api.tenant, "admin", scopes=scopes)).key)
    found = await merged(limited, logical)
    assert [one["complianceState"] for one in found["memberSnapshots"]] == ["COMPLIANT"]
    assert found["complianceStatus"] == "UNKNOWN"
    monkeypatch.setattr(compliance, "MAX_JUDGED", 1)
    assert (await merged(api, logical))["complianceStatus"] == "UNKNOWN"


async def test_without_members_nothing_is_known(api: Caller) -> None:
    found = await merged(api, await make_logical(api), grouped=True)
    assert found["complianceStatus"] == "UNKNOWN"
    assert (found["memberSnapshots"], found["mergedArtifacts"], found["groupedArtifacts"]) == ([], [], [])


async def test_artifacts_are_grouped_by_digest(api: Caller) -> None:
    one, two = await make_environment(api), await make_environment(api)
    await report(api, one, line("api", A, "1", 2), line("api", A, "2"), line("web", B, None))
    await report(api, two, line("worker", A, "1", 4))
    found = await merged(api, await make_logical(api, one, two), grouped=True, merged=False)
    assert found["mergedArtifacts"] is None
    assert found["groupedArtifacts"] == [
        {
            "artifactSha256": A,
            "artifactNames": ["api", "worker"],
            "artifactTags": ["1", "2"],
            "instanceCount": 7,
            "environmentCount": 2,
        },
        {
            "artifactSha256": B,
            "artifactNames": ["web"],
            "artifactTags": [],
            "instanceCount": 1,
            "environmentCount": 1,
        },
    ]


async def test_nested_members_count_once(api: Caller) -> None:
    shared, other = await make_environment(api), await make_environment(api)
    for environment in (shared, other):
        await report(api, environment, line("api", A))
    left, right = await make_logical(api, shared), await make_logical(api, shared, other)
    outer = await make_logical(api, await make_logical(api, left, right), shared)
    found = await merged(api, outer)
    assert sorted(one["physicalEnvId"] for one in found["memberSnapshots"]) == sorted([shared, other])
    assert len(found["mergedArtifacts"]) == 2


async def test_deleted_members_do_not_count(api: Caller) -> None:
    gone, stays, inside = [await make_environment(api) for _ in range(3)]
    inner = await make_logical(api, inside)
    outer = await make_logical(api, gone, stays, inner)
    await api.send("DELETE", f"/environments/{gone}")
    await api.send("DELETE", f"/logical-environments/{inner}")
    assert [one["physicalEnvId"] for one in (await merged(api, outer))["memberSnapshots"]] == [stays]


async def test_more_than_one_answer_holds_is_refused(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await make_environment(api), await make_environment(api)
    await report(api, one, line("api", A), line("web", B))
    await report(api, two, line("api", A))
    logical = await make_logical(api, one, two)
    path = f"/logical-environments/{logical}/snapshots/latest"
    monkeypatch.setattr(handlers, "MAX_MERGED", 2)
    refused = await api.get(path, 400)
    assert refused.fields == ["merged"]
    assert "merged=false&grouped=true" in refused.json["message"]
    assert len((await merged(api, logical, merged=False, grouped=True))["groupedArtifacts"]) == 2
    monkeypatch.setattr(handlers, "MAX_MERGED", 1)
    assert (await api.get(f"{path}?merged=false&grouped=true", 400)).fields == ["grouped"]
    monkeypatch.setattr(handlers, "MAX_GROUPED", 2)
    assert (await api.get(f"{path}?merged=false&grouped=true", 400)).fields == ["grouped"]
    monkeypatch.setattr(queries, "MAX_MEMBERS", 1)
    assert "more than 1 physical" in (await api.get(f"{path}?merged=false", 409)).json["message"]


async def test_lists_have_a_limit_on_members(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [await make_environment(api) for _ in range(2)]
    for _ in range(2):
        await make_logical(api, *members)
    monkeypatch.setattr(queries, "MAX_LISTED", 3)
    assert (await api.get("/logical-environments", 400)).fields == ["size"]
    assert len((await api.get("/logical-environments?size=1")).json[0]["members"]) == 2


async def test_the_number_of_statements_does_not_depend_on_that_of_members(api: Caller, app_services: Services) -> None:
    counts = []
    for number in (1, 20):
        members = [await make_environment(api) for _ in range(number)]
        for environment in members:
            await report(api, environment, line("api", A))
        logical = await make_logical(api, await make_logical(api, *members), *members)
        async with statements(app_services) as seen:
            await merged(api, logical, grouped=True)
        counts.append(len([sql for sql in seen if "k.sha256 = ANY" not in sql]))
    assert counts[0] == counts[1] <= 10, seen


async def test_a_key_with_scopes_sees_the_members_that_are_within_them(api: Caller, app_services: Services) -> None:
    own, foreign, inside = [await make_environment(api) for _ in range(3)]
    for environment in (own, foreign, inside):
        await report(api, environment, line("api", A))
    inner = await make_logical(api, inside)
    logical, other = await make_logical(api, own, foreign, inner), await make_logical(api, own)
    scopes = [f"environment:{one}" for one in (logical, own, inside)]
    holder = await make_holder(app_services, api.tenant, "admin", scopes=scopes)
    limited = replace(api, key=holder.key)
    path = f"/logical-environments/{logical}"
    listed = (await limited.get("/logical-environments")).json
    assert listed == [(await limited.get(path)).json]
    assert [one["physicalEnvId"] for one in listed[0]["members"]] == [own]
    found = await merged(limited, logical, grouped=True)
    assert sorted(one["physicalEnvId"] for one in found["memberSnapshots"]) == sorted([own, inside])
    assert len(found["mergedArtifacts"]) == 2
    assert found["groupedArtifacts"][0]["instanceCount"] == 2
    assert found["complianceStatus"] == "UNKNOWN"
    for hidden in (other, inner, str(uuid4())):
        await limited.get(f"/logical-environments/{hidden}", 404)
        await limited.get(f"/logical-environments/{hidden}/snapshots/latest", 404)
    for method, where in (("PUT", path), ("DELETE", path), ("DELETE", f"{path}/members/{own}")):
        body: Any = {"memberIds": []} if method == "PUT" else None
        assert (await limited.send(method, where, json=body)).status == 403
