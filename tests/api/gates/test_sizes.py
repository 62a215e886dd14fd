"""The gate takes as many statements for much as for little, and answers for sizes that nobody meant."""

from typing import Any
from uuid import UUID

import pytest

from domain.gates.policies import MAX_POLICIES
from storage.services import Services
from tests.api.caller import Caller
from tests.api.environments.reporting import make_environment
from tests.api.gates.asking import a_digest, ask, attached, codes, deployment_policy, released
from tests.api.test_statements import statements

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOWS = 30
EVERYTHING: dict[str, Any] = {
    "requiredAttestationTypes": ["junit"],
    "enforceProvenance": True,
    "enforceApprovals": True,
    "enforceTrailCompliance": True,
    "requireSignature": True,
    "blockOnFailedScan": True,
}
MOST = 16
"""To begin and commit; the environment, reports, policies, four kinds of facts and the allow-list; and what is written:
verdicts, audit events, counts and notices."""

BESIDE = ("k.sha256 = ANY", "set_config('jit'")
"""Who asks is looked up by time, and asyncpg looks each type up once."""


async def asked(services: Services, api: Caller, digest: str, environment: str) -> tuple[Any, list[str]]:
    """The answer, and the statements that it took."""
    async with statements(services) as seen:
        answer = await ask(api, digest, environmentId=environment)
    return answer, [sql for sql in seen if not any(part in sql for part in BESIDE)]


async def test_flows_and_policies_take_no_further_statements(api: Caller, app_services: Services) -> None:
    environment, digest = await make_environment(api), a_digest()
    await attached(api, environment, **EVERYTHING)
    await released(api, digest=digest)
    small, few = await asked(app_services, api, digest, environment)
    for n in range(1, MAX_POLICIES):
        await attached(api, environment, requiredAttestationTypes=[f"type {n}"])
    for _ in range(1, FLOWS):
        artifact = await released(api, digest=digest)
        await deployment_policy(api, artifact["flow"], **EVERYTHING)
    large, many = await asked(app_services, api, digest, environment)
    assert (small["policiesEvaluated"], large["policiesEvaluated"]) == (1, MAX_POLICIES + FLOWS - 1)
    assert len(many) == len(few) <= MOST, set(few) ^ set(many)


def copying(table: str, found_by: str, **changes: str) -> str:
    """SQL that copies a row of a table for each number up to $2, with the changed columns."""
    changed = ", ".join(f"'{name}', {value}" for name, value in changes.items())
    return f"""
    INSERT INTO {table} SELECT (jsonb_populate_record(r, jsonb_build_object({changed}))).*
    FROM {table} r CROSS JOIN generate_series(1, $2::int) n WHERE r.{found_by} = $1
    """


FLOW, TRAIL = (f"md5('{what}' || n || r.org_id)::uuid" for what in ("flow", "trail"))
NAME = f"{FLOW}::text"


async def reported_elsewhere(services: Services, artifact: Any, flows: int) -> None:
    """Report an artifact in so many further flows."""
    async with services.database.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")  # a trail comes before its reports otherwise
        flow, trail = UUID(artifact["flow"]), UUID(artifact["trail"])
        await tx.execute(copying("flow_versions", "flow_id", flow_id=FLOW, name=NAME), flow, flows)
        await tx.execute(copying("trails", "id", id=TRAIL, flow_id=FLOW), trail, flows)
        reports = copying("artifact_reports", "trail_id", id="uuidv7()", trail_id=TRAIL, flow_id=FLOW)
        await tx.execute(reports, trail, flows)


async def test_an_artifact_of_a_thousand_flows_is_decided(api: Caller, app_services: Services) -> None:
    environment, artifact = await make_environment(api), await released(api)
    await attached(api, environment, requiredAttestationTypes=["junit"])
    await reported_elsewhere(app_services, artifact, 999)
    answer, few = await asked(app_services, api, artifact["digest"], environment)
    assert (codes(answer), len(few) <= MOST) == (["ATTESTATION_MISSING"], True)
    verdict = (await api.get(f"/verdicts/{answer['id']}")).json
    assert len(verdict["inputs"]["reports"]) == 1_000
    await api.attest(artifact["trail"], "junit")
    assert (await ask(api, artifact["digest"], environmentId=environment))["allowed"]
    await api.attest(artifact["trail"], "junit", "FAILED")
    assert codes(await ask(api, artifact["digest"], environmentId=environment)) == ["ATTESTATION_FAILED"]


async def test_a_trail_of_five_thousand_results_is_decided(api: Caller, app_services: Services) -> None:
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"], enforceTrailCompliance=True)
    await api.attest(artifact["trail"], "junit")
    async with app_services.database.transaction() as tx:
        results = copying("latest_results", "trail_id", identity="'result ' || n", type="'type ' || n")
        await tx.execute(results, UUID(artifact["trail"]), 4_999)
    answer = await ask(api, artifact["digest"])
    assert (answer["allowed"], answer["policies"][0]["outcome"]) == (True, "PASSED")
    assert len((await api.get(f"/verdicts/{answer['id']}")).json["inputs"]["reports"][0]["results"]) == 5_000
    await api.attest(artifact["trail"], "type 4711", "FAILED")
    assert codes(await ask(api, artifact["digest"])) == ["TRAIL_NON_COMPLIANT"]
