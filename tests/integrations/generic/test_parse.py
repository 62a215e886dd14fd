"""The generic format: each event's meaning, its limits, and that no body does worse than being refused."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from integrations.generic.parse import GenericEvent, parse
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "generic"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
ADA: dict[str, Any] = {"author": "Ada Byron", "author_email": "ada@northwind.example"}
TRAIL = TrailHint(commit=SHA, branch="main", **ADA)

EXPECTED = {
    "build.started__plain": Parsed("build.started", "Ada Byron", TRAIL),
    "build.succeeded__plain": Parsed(
        "build.succeeded", "Ada Byron", TRAIL, (AttestationHint("BUILD", "PASSED", None, "Build 431 in 5 min 33 s"),)
    ),
    "build.failed__by_trail": Parsed(
        "build.failed",
        None,
        TrailHint(trail_id=UUID("0f8fad5b-d9cb-469f-a165-70867728950e")),
        (AttestationHint("BUILD", "FAILED", None, "Compiler error in Depot.kt"),),
    ),
    "test.passed__nulls": Parsed("test.passed", None, TrailHint(commit=SHA), (AttestationHint("TEST", "PASSED"),)),
    "test.failed__plain": Parsed("test.failed", "Ada Byron", TRAIL, (AttestationHint("TEST", "FAILED"),)),
    "scan.passed__plain": Parsed("scan.passed", "Ada Byron", TRAIL, (AttestationHint("SECURITY_SCAN", "PASSED"),)),
    "scan.failed__explicit": Parsed(
        "scan.failed",
        "Ada Byron",
        TRAIL,
        (AttestationHint("LICENCE_SCAN", "PENDING", "licences", None, "https://ci.northwind.example/scans/77"),),
        datetime(2026, 3, 3, 10, 4, 17, 500_000, tzinfo=UTC),
    ),
    "deployment.triggered__plain": Parsed(
        "deployment.triggered",
        "Ada Byron",
        TrailHint(commit=SHA, branch="main", deployment_actor="Ada Byron", **ADA),
    ),
    "approval.granted__plain": Parsed(
        "approval.granted",
        "Ada Byron",
        TrailHint(commit=SHA, branch="main", pull_request_reviewer="Ada Byron", **ADA),
    ),
    "coffee.brewed__unknown": Parsed("generic.coffee.brewed", "Ada Byron"),
}


def parse_json(**body: object) -> Parsed:
    return parse(Delivery(None, {}, json.dumps({"eventType": "build.started"} | body).encode()))


def refused_field(**body: object) -> str:
    with pytest.raises(BadDelivery) as refused:
        parse_json(**body)
    assert refused.value.message == f"{refused.value.field}: {refused.value.reason}"
    assert refused.value.field not in refused.value.reason
    return refused.value.field


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_of_each_event(name: str) -> None:
    assert parse(Delivery(None, {}, (FIXTURES / f"{name}.json").read_bytes())) == EXPECTED[name]


@pytest.mark.parametrize("status", ["PASSED", "failed", "Pending"])
def test_an_explicit_attestation_stands_in_for_the_default(status: str) -> None:
    (hint,) = parse_json(eventType="build.failed", attestationType="LINT", attestationStatus=status).attestations
    assert (hint.type, hint.status) == ("LINT", status.upper())


@pytest.mark.parametrize("event", ["build.started", "deployment.triggered", "approval.granted"])
def test_an_explicit_attestation_counts_where_there_is_no_default(event: str) -> None:
    (hint,) = parse_json(eventType=event, attestationType="SIGN", attestationStatus="PASSED").attestations
    assert (hint.type, hint.status) == ("SIGN", "PASSED")


@pytest.mark.parametrize("half", [{"attestationType": "LINT"}, {"attestationStatus": "PASSED"}])
def test_half_an_explicit_attestation_leaves_the_default(half: dict[str, str]) -> None:
    (hint,) = parse_json(eventType="test.failed", **half).attestations
    assert (hint.type, hint.status) == ("TEST", "FAILED")
    assert parse_json(eventType="build.started", **half).attestations == ()


@pytest.mark.parametrize(("sent", "kept"), [("ABCDEF1", "abcdef1"), ("abc", "abc"), ("Release 7", "Release 7")])
def test_a_commit_is_free_text_but_hex_is_lower_case(sent: str, kept: str) -> None:
    trail = parse_json(gitCommitSha=sent).trail
    assert trail is not None
    assert trail.commit == kept


def test_event_types_are_case_sensitive() -> None:
    assert parse_json(eventType="Build.Succeeded") == Parsed("generic.Build.Succeeded")


LINES = [
    "eventType",
    "gitCommitSha",
    "gitBranch",
    "gitAuthor",
    "gitAuthorEmail",
    "attestationType",
    "attestationName",
]


@pytest.mark.parametrize("field", LINES)
@pytest.mark.parametrize("bad", ["", " \t", "x" * 256, "nul \0", 5, True, ["x"], {"a": 1}])
def test_blank_overlong_and_mistyped_text_is_named(field: str, bad: object) -> None:
    assert refused_field(**{field: bad}) == field


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("eventType", None),
        ("trailId", "not-a-uuid"),
        ("trailId", ""),
        ("trailId", 5),
        ("attestationStatus", "OK"),
        ("attestationStatus", ""),
        ("attestationStatus", True),
        ("attestationName", "type:BUILD"),
        ("details", "x" * (16 * 1024 + 1)),
        ("details", "\0"),
        ("details", {}),
        ("evidenceUrl", "file:///etc/passwd"),
        ("evidenceUrl", "https://" + "x" * 2048),
        ("observedAt", "yesterday"),
        ("observedAt", "2026-03-03T10:00:00"),
        ("observedAt", 1772532000),
    ],
)
def test_other_fields_that_cannot_be_read_are_named(field: str, bad: object) -> None:
    assert refused_field(**{field: bad}) == field


def test_the_limits_themselves_are_fine() -> None:
    result = parse_json(eventType="x" * 255, details="x" * 16 * 1024, gitBranch="b" * 255)
    assert result.event_type == "generic." + "x" * 255


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"build.started"', b"{}", b"\xff"])
def test_a_body_without_an_event_type_is_refused(body: bytes) -> None:
    with pytest.raises(BadDelivery):
        parse(Delivery(None, {}, body))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([str(field.alias or name) for name, field in GenericEvent.model_fields.items()])


@given(st.dictionaries(fields, anything), st.sampled_from(sorted(EXPECTED)))
@example({"observedAt": "0001-01-01T00:00:00+10:00"}, "build.started__plain")
def test_mutated_events_are_never_worse_than_refused(changes: dict[str, Any], name: str) -> None:
    document = json.loads((FIXTURES / f"{name}.json").read_bytes()) | changes
    culprit, result = None, None
    try:
        result = parse(Delivery(None, {}, json.dumps(document).encode()))
    except BadDelivery as refused:
        culprit = refused.field
    assert (culprit is None) == (result is not None)
    assert culprit is None or culprit in changes


@given(anything)
def test_arbitrary_json_is_never_worse_than_refused(value: object) -> None:
    with pytest.raises(BadDelivery):
        parse(Delivery(None, {}, json.dumps(value).encode()))
