"""Verdicts: kept with what they were found from, found again, and provable."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from storage.facts.queries import verdicts
from storage.services import Services
from tests.api.caller import Caller, found_organisation
from tests.api.facts.test_assertions import DIGEST, TEMPLATE, ask, built
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def decided(api: Caller, **flow: Any) -> tuple[dict[str, Any], str]:
    """An assertion's answer, and the trail it judged."""
    made = await api.make_flow(**flow)
    trail = await built(api, made)
    await api.attest(trail, "junit", name="unit")
    return await ask(api, made), trail


async def test_a_verdict_names_everything_it_was_found_from(api: Caller) -> None:
    answer, trail = await decided(api, templateYaml=TEMPLATE)
    verdict = (await api.get(f"/verdicts/{answer['verdictId']}")).json
    assert (verdict["kind"], verdict["outcome"], verdict["sha256Digest"]) == ("assert", "NON_COMPLIANT", DIGEST)
    inputs = verdict["inputs"]
    assert (inputs["flowId"], inputs["flowVersion"], inputs["basis"]) == (answer["flowId"], 1, "flow template")
    assert (inputs["trailId"], inputs["artifactName"]) == (trail, "app")
    [latest] = inputs["results"]
    assert (latest["identity"], latest["name"], latest["type"]) == ("unit", "unit", "junit")
    assert (latest["status"], latest["result"]) == ("PASSED", 1)
    assert verdict["result"]["missingNames"] == answer["missingAttestationNames"]
    assert verdict["result"]["required"] == [latest["attestationId"]]


@pytest.mark.parametrize(
    "flow", [{"requiredAttestations": ["junit"]}, {"templateYaml": TEMPLATE}, {}], ids=["types", "template", "nothing"]
)
async def test_a_verdict_is_found_again_whatever_was_reported_since(api: Caller, flow: dict[str, Any]) -> None:
    answer, trail = await decided(api, **flow)
    await api.attest(trail, "junit", "FAILED", name="unit")
    await api.send("PUT", f"/flows/{answer['flowId']}", json={"requiredAttestations": ["MORE"], "templateYaml": None})
    found = (await api.get(f"/verdicts/{answer['verdictId']}/recompute")).json
    assert (found["confirmed"], found["differences"]) == (True, [])
    assert found["outcome"] == found["recomputedOutcome"] == answer["status"]


async def test_a_verdict_on_an_unknown_artifact_is_found_again(api: Caller) -> None:
    answer = await ask(api, await api.make_flow(requiredAttestations=["A"]), "no-such-thing")
    found = (await api.get(f"/verdicts/{answer['verdictId']}/recompute")).json
    assert (found["confirmed"], found["recomputedOutcome"]) == (True, "NON_COMPLIANT")


_EARLIER_FORM = """
UPDATE verdicts SET inputs = inputs - 'results' || jsonb_build_object('heads', (
  SELECT jsonb_agg(one - 'identity' - 'name' || jsonb_build_object('key', one -> 'identity'))
  FROM jsonb_array_elements(inputs -> 'results') AS one
))
WHERE id = $1
"""


async def test_a_verdict_of_an_earlier_version_is_found_again(api: Caller, app_services: Services) -> None:
    answer, _ = await decided(api, templateYaml=TEMPLATE)
    async with app_services.database.transaction() as tx:
        await tx.execute("SET LOCAL trailgate.retention = 'on'")
        assert await tx.execute(_EARLIER_FORM, UUID(answer["verdictId"])) == 1
    found = (await api.get(f"/verdicts/{answer['verdictId']}/recompute")).json
    assert (found["confirmed"], found["differences"]) == (True, [])


TAMPERINGS = {
    "a result": ("UPDATE attestation_results SET status = 'FAILED' WHERE attestation_id = $1", "differs in status"),
    "an attestation": ("UPDATE attestations SET type = 'other' WHERE id = $1", "differs in type"),
    "an attestation gone": ("DELETE FROM attestation_results WHERE attestation_id = $1", "is gone"),
    "an artifact": ("UPDATE artifact_reports SET name = 'web' WHERE trail_id = $2", "differs from what was judged"),
    "a flow": (
        "UPDATE flow_versions v SET required_types = '[\"x\"]' FROM trails t WHERE v.flow_id = t.flow_id AND t.id = $2",
        "missingTypes was []",
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
async def test_whoever_changes_an_input_is_named(api: Caller, app_services: Services, what: str) -> None:
    answer, trail = await decided(api, requiredAttestations=["junit"])
    assert answer["compliant"]
    sql, expected = TAMPERINGS[what]
    for number, value in ((1, answer["attestations"][0]["id"]), (2, trail)):
        sql = sql.replace(f"${number}", f"'{value}'")
    async with app_services.database.transaction() as tx:
        await tx.execute("SET LOCAL trailgate.retention = 'on'")
        await tx.execute(sql)
    found = (await api.get(f"/verdicts/{answer['verdictId']}/recompute")).json
    assert not found["confirmed"]
    assert any(expected in difference for difference in found["differences"]), found


async def test_verdicts_are_listed_by_flow_and_artifact(api: Caller) -> None:
    first, _ = await decided(api)
    other = await ask(api, await api.make_flow(), "ab" * 32)
    listed = await api.get("/verdicts")
    assert [one["id"] for one in listed.json] == [first["verdictId"], other["verdictId"]]
    assert listed.headers["X-Total-Count"] == "2"
    by_flow = (await api.get(f"/verdicts?flowId={first['flowId']}")).json
    by_digest = (await api.get(f"/verdicts?sha256Digest={'AB' * 32}")).json
    assert [one["id"] for one in by_flow] == [first["verdictId"]]
    assert [one["id"] for one in by_digest] == [other["verdictId"]]


async def test_verdicts_are_listed_by_kind_and_outcome(api: Caller) -> None:
    negative, _ = await decided(api, templateYaml=TEMPLATE)
    positive, _ = await decided(api)
    for query, wanted in (
        ("kind=assert", [negative, positive]),
        ("kind=GATE", []),
        ("outcome=non-compliant", [negative]),
        ("kind=assert&outcome=COMPLIANT", [positive]),
        (f"outcome=COMPLIANT&flowId={negative['flowId']}", []),
    ):
        assert [one["id"] for one in (await api.get(f"/verdicts?{query}")).json] == [one["verdictId"] for one in wanted]
    await api.get("/verdicts?kind=guess", status=400)
    await api.get("/verdicts?outcome=maybe", status=400)
    await api.get("/verdicts?kind=gate&outcome=COMPLIANT", status=400)


async def test_a_verdict_is_proven_by_the_ledger(api: Caller, app_services: Services) -> None:
    answer, _ = await decided(api)
    await Sealer()(app_services)
    proof = (await api.post(f"/ledger/verify/{answer['verdictId']}", status=200)).json
    assert proof["verified"] is True


async def test_a_strangers_verdict_is_not_there(api: Caller, http: Any, app_services: Services) -> None:
    answer, _ = await decided(api)
    stranger = await found_organisation(http, app_services)
    for path in (f"/verdicts/{answer['verdictId']}", f"/verdicts/{answer['verdictId']}/recompute"):
        await stranger.get(path, 404)
        await api.get(path.replace(answer["verdictId"], str(uuid4())), 404)


async def test_verdicts_that_looked_at_much_come_a_few_at_a_time(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = await api.make_flow()
    for _ in range(3):
        await api.post("/assert", {"flowId": flow["id"], "sha256Digest": "ab" * 32}, 200)
    monkeypatch.setattr(verdicts, "MAX_LISTED", 1)
    first = await api.get(f"/verdicts?flowId={flow['id']}")
    assert (len(first.json), first.headers["X-Total-Count"]) == (1, "3")
    assert "after=" in first.headers["Link"]
    assert (await api.get(f"/verdicts?flowId={flow['id']}&page=0&size=3", 400)).fields == ["size"]
    assert len((await api.get(f"/verdicts?flowId={flow['id']}&page=0&size=1")).json) == 1
