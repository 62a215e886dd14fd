"""What decided approvals do: to the status of their trail, to assertions and their verdicts, and to what runs."""

import asyncio
from typing import Any

import pytest

from tests.api.caller import DIGEST, Caller
from tests.api.environments.reporting import line, make_environment, report
from tests.api.gates.people import Somebody, requested, shown, somebody, trail_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = "sha256:" + "ef" * 32


async def flow_of(api: Caller, trail: str) -> str:
    return str((await api.get(f"/trails/{trail}")).json["flowId"])


async def asserted(api: Caller, trail: str, digest: str = DIGEST) -> Any:
    body = {"flowId": await flow_of(api, trail), "sha256Digest": digest}
    return (await api.post("/assert", body, 200)).json


async def built(api: Caller, *digests: str, **flow: Any) -> str:
    """A trail that reported artifacts, and on which everything passed."""
    trail = await trail_of(api, **flow)
    for digest in digests or (DIGEST,):
        await api.report_artifact(trail, digest)
    return trail


async def decided(api: Caller, trail: str, how: str, **fields: Any) -> str:
    approval, ada = await requested(api, trail, **fields), await somebody(api)
    await getattr(ada, how)(approval)
    return approval


async def test_a_trail_becomes_compliant_through_its_approval(api: Caller) -> None:
    trail = await built(api)
    assert (await api.status_of(trail), (await asserted(api, trail))["compliant"]) == ("PENDING", False)
    await decided(api, trail, "approve")
    assert (await api.status_of(trail), (await asserted(api, trail))["compliant"]) == ("COMPLIANT", True)
    await api.attest(trail, status="FAILED")
    assert await api.status_of(trail) == "NON_COMPLIANT"
    await api.attest(trail)
    assert await api.status_of(trail) == "COMPLIANT", "whatever is reported later, the approval counts"


async def test_an_approval_before_the_evidence_counts_as_well(api: Caller) -> None:
    flow = await api.make_flow(requiresApproval=True, requiredAttestations=["BUILD"])
    trail = (await api.make_trail(flow["id"]))["id"]
    await decided(api, trail, "approve")
    assert await api.status_of(trail) == "PENDING"
    await api.attest(trail)
    assert await api.status_of(trail) == "COMPLIANT"


async def test_a_rejection_counts_until_a_later_approval(api: Caller) -> None:
    trail = await built(api)
    approval = await decided(api, trail, "reject")
    answer = await asserted(api, trail)
    assert (await api.status_of(trail), answer["compliant"]) == ("NON_COMPLIANT", False)
    assert answer["details"] == f"the approval {approval} was rejected"
    await decided(api, trail, "approve")
    assert (await api.status_of(trail), (await asserted(api, trail))["compliant"]) == ("COMPLIANT", True)


async def test_a_flow_without_approvals_does_not_mind_them(api: Caller) -> None:
    trail = await built(api, requiresApproval=False)
    await decided(api, trail, "reject")
    assert (await api.status_of(trail), (await asserted(api, trail))["compliant"]) == ("COMPLIANT", True)


async def test_an_approval_of_an_artifact_counts_for_it_alone(api: Caller) -> None:
    trail = await built(api, DIGEST, OTHER)
    await decided(api, trail, "approve", artifactSha256=DIGEST)
    assert [(await asserted(api, trail, one))["compliant"] for one in (DIGEST, OTHER)] == [True, False]
    assert await api.status_of(trail) == "PENDING"
    await decided(api, trail, "approve", artifactSha256=OTHER)
    assert await api.status_of(trail) == "COMPLIANT"
    await decided(api, trail, "reject", artifactSha256=DIGEST)
    assert [(await asserted(api, trail, one))["compliant"] for one in (DIGEST, OTHER)] == [False, True]
    assert await api.status_of(trail) == "NON_COMPLIANT"


async def test_an_approval_for_an_environment_counts_there_alone(api: Caller) -> None:
    trail, environment = await built(api), await make_environment(api)
    await decided(api, trail, "approve", environmentId=environment)
    assert (await api.status_of(trail), (await asserted(api, trail))["compliant"]) == ("PENDING", False)


async def test_the_roles_of_the_flow_have_to_have_approved(api: Caller) -> None:
    trail = await built(api)
    approval = await decided(api, trail, "approve")
    flow = await flow_of(api, trail)
    await api.send("PUT", f"/flows/{flow}", json={"requiredApproverRoles": ["ADMIN"]})
    answer = await asserted(api, trail)
    assert answer["details"] == f"the approval {approval} lacks somebody with the role ADMIN"
    assert await api.status_of(trail) == "COMPLIANT", "the trail keeps the version of its flow"
    await (await somebody(api, "admin")).approve(await requested(api, trail))
    assert (await asserted(api, trail))["compliant"]


@pytest.mark.parametrize("how", ["approve", "reject", None])
async def test_a_verdict_cites_the_approval_and_can_be_recomputed(api: Caller, how: str | None) -> None:
    trail = await built(api)
    approval = await decided(api, trail, how) if how else None
    verdict = (await asserted(api, trail))["verdictId"]
    await decided(api, trail, "reject" if how == "approve" else "approve")
    found = (await api.get(f"/verdicts/{verdict}")).json
    assert found["inputs"]["approvals"] == ([approval] if approval else [])
    assert (await api.get(f"/verdicts/{verdict}/recompute")).json["confirmed"]


async def test_what_runs_is_judged_by_its_approval(api: Caller) -> None:
    trail, environment = await built(api), await make_environment(api)
    await report(api, environment, line("app", DIGEST))

    async def reasons() -> tuple[str, list[str]]:
        [found] = (await api.get(f"/environments/{environment}/compliance")).json["artifacts"]
        return found["complianceState"], [one["code"] for one in found["reasons"]]

    assert await reasons() == ("NON_COMPLIANT", ["APPROVAL_MISSING"])
    await decided(api, trail, "reject")
    assert await reasons() == ("NON_COMPLIANT", ["APPROVAL_REJECTED"])
    await decided(api, trail, "approve")
    assert await reasons() == ("COMPLIANT", [])


async def test_of_two_decisions_at_once_one_counts(api: Caller) -> None:
    """As often as it takes for both orders."""
    ada, bob = await somebody(api), await somebody(api)
    for _ in range(6):
        trail = await trail_of(api)
        approval = await requested(api, trail)
        answers = await asyncio.gather(_try(ada, approval, "approve"), _try(bob, approval, "reject"))
        assert sorted(answers) == [200, 409]
        status = (await shown(api, approval))["status"]
        assert status == ("APPROVED" if answers[0] == 200 else "REJECTED")
        assert await api.status_of(trail) == ("COMPLIANT" if status == "APPROVED" else "NON_COMPLIANT")


async def test_two_approvals_at_once_are_both_counted(api: Caller) -> None:
    people = [await somebody(api) for _ in range(4)]
    for _ in range(3):
        trail = await trail_of(api)
        approval = await requested(api, trail, minimumApprovals=4)
        # each of them twice, while something is reported on the trail
        tries = [_try(one, approval, "approve") for one in people * 2]
        answers = await asyncio.gather(*tries, api.attest(trail), api.attest(trail, "TEST"))
        assert sorted(answer for answer in answers if isinstance(answer, int)) == [200] * 4 + [409] * 4
        assert (await shown(api, approval))["status"] == "APPROVED"
        assert await api.status_of(trail) == "COMPLIANT"


async def test_two_requests_at_once_are_two_approvals(api: Caller) -> None:
    trail, ada = await trail_of(api), await somebody(api)
    one, other = await asyncio.gather(requested(api, trail), requested(api, trail))
    assert one != other
    await ada.approve(one)
    await ada.reject(other)
    assert await api.status_of(trail) == "NON_COMPLIANT", "the newest decision counts"


async def _try(who: Somebody, approval: str, how: str) -> int:
    return (await who.caller.send("POST", f"/approvals/{approval}/{how}", json={})).status
