"""Templates on the wire: stored as sent, evaluated as compiled, refused where unreadable."""

from time import process_time
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from aiohttp.test_utils import make_mocked_request

from api.http.accept import prefers
from storage.services import Services
from tests.api.caller import Answer, Caller, trail_body, unique
from tests.api.refusals import assert_refused

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMED = """\
# what every build carries
version: 1
trail:
  attestations:
    - {name: unit-tests, type: junit}
    - {name: scan, type: snyk, if: 'flow.tags.tier == "gold"'}
"""
ON = {"X-Dry-Run": "true"}


async def read(api: Caller, flow: Any, accept: str | None = None) -> Answer:
    headers = {} if accept is None else {"Accept": accept}
    return await api.get(f"/flows/{flow['id']}/template", headers=headers)


async def test_a_template_is_stored_as_it_was_sent(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=NAMED, requiredAttestations=["BUILD"])
    assert flow["templateYaml"] == NAMED
    assert flow["requiredAttestations"] == ["BUILD"]
    assert (await api.get(f"/flows/{flow['id']}")).json == flow
    answer = await read(api, flow)
    assert answer.text == NAMED
    assert answer.headers["Content-Type"].partition(";")[0] == "application/yaml"
    assert answer.headers["Vary"] == "Accept"


async def test_a_flow_without_a_template_has_one_written_for_it(api: Caller) -> None:
    """With name, description, requiredAttestations, tags."""
    fields = {"description": "Z\u00fcrich: ships", "requiredAttestations": ["BUILD", "yes"], "tags": {"team": "a"}}
    flow = await api.make_flow(**fields)
    answer = await read(api, flow)
    assert yaml.safe_load(answer.text) == {"name": flow["name"], **fields}
    await api.make_flow(templateYaml=answer.text)


async def test_json_is_an_envelope(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=NAMED)
    answer = await read(api, flow, "application/json")
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert answer.json == {"flowId": flow["id"], "templateYaml": NAMED, "effectiveTemplate": yaml.safe_load(NAMED)}
    bare = await api.make_flow()
    envelope = {"flowId": bare["id"], "templateYaml": None, "effectiveTemplate": None}
    assert (await read(api, bare, "application/json")).json == envelope


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("", False),
        ("*/*", False),
        ("application/yaml", False),
        ("text/html", False),
        ("application/*", False),
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("application/json, text/plain, */*", True),
        ("application/yaml, application/json", False),
        ("application/yaml;q=0.5, application/json", True),
        ("application/json;q=0.5, application/yaml", False),
        ("application/json;q=0.5", True),
        ("application/json;q=0", False),
        ("application/json;q=nan", True),
        ("application/jsonx", False),
        (",;,", False),
    ],
)
async def test_what_a_client_prefers(accept: str, json: bool) -> None:
    """RFC 9110, 12.5.1."""
    request = make_mocked_request("GET", "/", headers={"Accept": accept})
    assert prefers(request, "application/json", to="application/yaml") is json


async def test_an_unknown_flow_has_no_template(api: Caller, admin: Caller) -> None:
    await api.get(f"/flows/{uuid4()}/template", status=404)
    flow = await api.make_flow(templateYaml=NAMED)
    await admin.get(f"/flows/{flow['id']}/template", status=404)


async def test_a_blank_template_is_none(api: Caller) -> None:
    flow = await api.make_flow(templateYaml="  \n", requiredAttestations=["BUILD"])
    assert flow["templateYaml"] is None
    trail = await api.make_trail(flow["id"], templateYaml="")
    assert trail["templateYaml"] is None
    await api.attest(trail["id"])
    assert await api.status_of(trail["id"]) == "COMPLIANT"


def laughs(levels: int = 9) -> str:
    """An alias bomb: ten to the power of `levels` words."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join([*lines, "trail: {attestations: [{name: a}]}"])


def conditional(condition: str) -> str:
    return yaml.safe_dump({"trail": {"attestations": [{"name": "a", "if": condition}]}})


TWO = "trail: {attestations: [{name: a}, {name: b}]}"
BAD: dict[str, tuple[str, str]] = {
    "no YAML": ("trail: [", "line"),
    "a list": ("- a", "the document must be a map"),
    "a text": ("hello", "the document must be a map"),
    "nothing known": ("trial: {}", "none of the keys"),
    "wrong structure": ("trail: {attestations: {a: b}}", "trail.attestations must be a list"),
    "no name": ("trail: {attestations: [{type: junit}]}", "trail.attestations[0].name"),
    "duplicate names": ("trail: {attestations: [{name: a}, {name: a}]}", "trail.attestations[1].name"),
    "duplicate keys": ("trail: {}\ntrail: {}", "twice"),
    "an alias bomb": (laughs(), "anchors and aliases"),
    "a tag": ("!!python/object/apply:os.system ['true']", "tags"),
    "a deep one": ("[" * 30_000, "nests more than"),
    "a long one": ("# " + "x" * 65_536, "65536 bytes"),
    "a NUL in disguise": ('trail: {attestations: [{name: "a\\0"}]}', "contains a NUL character"),
    "a bad condition": (conditional("flow.name = 1"), "trail.attestations[0].if cannot be read"),
    "a dear pattern": (conditional(r'matches(flow.name, "\\pL{400}")'), "trail.attestations[0].if has a pattern"),
    "too many attestations": (f"requiredAttestations: {[f't{n}' for n in range(499)]}\n{TWO}", "500 attestations"),
    "a pattern RE2 does not take": (conditional('matches(flow.name, "(?=a)b")'), "RE2"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_cannot_be_read_is_refused_everywhere(api: Caller, case: str) -> None:
    text, told = BAD[case]
    flow = await api.make_flow()
    before = process_time()
    for method, path, body in (
        ("POST", "/flows", {"name": unique("flow")}),
        ("PUT", f"/flows/{flow['id']}", {}),
        ("POST", "/trails", trail_body(flow["id"])),
    ):
        for headers in ({}, ON):
            answer = await api.send(method, path, json={**body, "templateYaml": text}, headers=headers)
            assert_refused(answer, 400, "templateYaml")
            assert told in answer.json["message"]
    assert process_time() - before < 2
    assert (await api.get("/flows")).json == [flow]
    assert (await api.get("/trails")).json == []


async def test_a_pattern_that_backtracks_elsewhere_is_taken_and_quick(api: Caller) -> None:
    text = conditional('matches(flow.name, "(a+)+$")')
    flow = await api.make_flow(name="a" * 200 + "!", templateYaml=text)
    trail = await api.make_trail(flow["id"])
    before = process_time()
    await api.attest(trail["id"], name="other")
    assert await api.status_of(trail["id"]) == "COMPLIANT"  # the condition is false: nothing applies
    assert process_time() - before < 1


async def test_the_longest_conditions_hold_nobody_up(api: Caller) -> None:
    chain = " or ".join(["flow.name == 'x'"] * 49)
    entries = [{"name": f"n{n}", "if": f"{chain} or '{n}' == 'x'"} for n in range(60)]
    text = yaml.safe_dump({"trail": {"attestations": entries}}, width=1000)
    assert 55_000 < len(text) < 65_536
    before = process_time()
    flow = await api.make_flow(templateYaml=text)
    assert process_time() - before < 5
    trail = await api.make_trail(flow["id"])
    await api.attest(trail["id"])
    assert await api.status_of(trail["id"]) == "COMPLIANT"


async def test_a_trail_is_judged_by_the_names_of_the_flows_template(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=NAMED, requiredAttestations=["BUILD"], tags={"tier": "gold"})
    trail = await api.make_trail(flow["id"])
    assert trail["templateYaml"] is None
    await api.attest(trail["id"], "junit", name="unit-tests")
    assert await api.status_of(trail["id"]) == "PENDING"
    await api.attest(trail["id"], "trivy", name="scan")  # of another type
    assert await api.status_of(trail["id"]) == "PENDING"
    await api.attest(trail["id"], "snyk", name="scan")
    assert await api.status_of(trail["id"]) == "COMPLIANT"


async def test_a_condition_that_is_false_waives(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=NAMED, tags={"tier": "silver"})
    trail = await api.make_trail(flow["id"])
    await api.attest(trail["id"], "junit", name="unit-tests")
    assert await api.status_of(trail["id"]) == "COMPLIANT"


async def test_a_trails_own_template_overrides_the_flows(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=NAMED)
    own = "trail: {attestations: [{name: smoke}]}"
    trail = await api.make_trail(flow["id"], templateYaml=own)
    assert trail["templateYaml"] == own
    assert (await api.get(f"/trails/{trail['id']}")).json == trail
    assert (await api.get(f"/flows/{flow['id']}/trails")).json["items"] == [trail]
    await api.attest(trail["id"], "junit", name="unit-tests")
    assert await api.status_of(trail["id"]) == "PENDING"
    await api.attest(trail["id"], "anything", name="smoke")
    assert await api.status_of(trail["id"]) == "COMPLIANT"


async def test_a_template_that_is_taken_away_leaves_the_types(api: Caller) -> None:
    flow = await api.make_flow(templateYaml=NAMED, requiredAttestations=["BUILD"])
    await api.send("PUT", f"/flows/{flow['id']}", json={"templateYaml": None})
    trail = await api.make_trail(flow["id"])
    await api.attest(trail["id"], "BUILD")
    assert await api.status_of(trail["id"]) == "COMPLIANT"


async def test_required_types_in_a_template_count(api: Caller) -> None:
    """The user guide's dialect."""
    flow = await api.make_flow(templateYaml="name: payments\nrequiredAttestations: [BUILD]\ntags: {a: b}")
    trail = await api.make_trail(flow["id"])
    await api.attest(trail["id"], "TEST")
    assert await api.status_of(trail["id"]) == "PENDING"
    await api.attest(trail["id"], "BUILD")
    assert await api.status_of(trail["id"]) == "COMPLIANT"


async def test_what_is_evaluated_is_kept_beside_the_text(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow(templateYaml=NAMED)
    async with app_services.database.read() as reader:
        stored = await reader.value("SELECT template FROM flow_versions WHERE flow_id = $1", UUID(flow["id"]))
    assert stored == {
        "trail": [
            {"name": "unit-tests", "type": "junit", "if": None},
            {"name": "scan", "type": "snyk", "if": 'flow.tags.tier == "gold"'},
        ],
        "artifacts": [],
    }
