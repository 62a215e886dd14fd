"""Jenkins' notifications: each captured payload's meaning, and that no payload does worse than being refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from integrations.generic.parse import parse as parse_generic
from integrations.jenkins.parse import parse
from tests.integrations.mutations import anything, changed, is_cheap, one_place_replaced, survives
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "jenkins"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
OWN_FORMAT = "build.failed__own_format"
SUCCESS = "finalized__success"

SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
WEB = "https://jenkins.northwind.example"
RUN = f"{WEB}/job/parcels/job/parcel-tracker/431/"
BRANCH_RUN = f"{WEB}/job/North%20Depot/job/parcel-tracker/job/feature%252Fdepot/7/"
BRANCH_NAME = "North Depot/parcel-tracker/feature%2Fdepot"
BUILT = TrailHint(commit=SHA, branch="main", repository="northwind-labs/parcel-tracker", build_url=RUN)
STARTED = datetime(2026, 3, 3, 9, 58, 44, 250_000, tzinfo=UTC)
ENDED = datetime(2026, 3, 3, 10, 4, 17, 35_000, tzinfo=UTC)


def build(word: str, status: str) -> AttestationHint:
    name = "parcels/parcel-tracker"
    identity = f"job | {WEB}/job/parcels/job/parcel-tracker/"
    return AttestationHint("BUILD", status, name, f"build {name} #431: {word}", RUN, identity)


def parsed(
    event_type: str,
    trail: TrailHint | None = None,
    attestation: AttestationHint | None = None,
    observed_at: datetime | None = ENDED,
) -> Parsed:
    return Parsed(event_type, None, trail, (attestation,) if attestation else (), observed_at)


EXPECTED = {
    "queued__plain": parsed("jenkins.queued", observed_at=None),
    "started__freestyle": parsed("build.started", BUILT, observed_at=STARTED),
    "started__before_checkout": parsed("build.started", observed_at=STARTED),
    "completed__success": parsed("jenkins.completed", observed_at=None),
    "finalized__success": parsed("build.succeeded", BUILT, build("SUCCESS", "PASSED")),
    "finalized__failure": parsed("build.failed", BUILT, build("FAILURE", "FAILED")),
    "finalized__unstable": parsed("build.failed", BUILT, build("UNSTABLE", "FAILED")),
    "finalized__aborted": parsed("build.cancelled", BUILT),
    "finalized__not_built": parsed("build.skipped", BUILT),
    "finalized__multibranch": parsed(
        "build.succeeded",
        replace(BUILT, branch="feature/depot", build_url=BRANCH_RUN),
        AttestationHint(
            "BUILD",
            "PASSED",
            BRANCH_NAME,
            f"build {BRANCH_NAME} #7: SUCCESS",
            BRANCH_RUN,
            f"job | {BRANCH_RUN.removesuffix('7/')}",
        ),
    ),
    "finalized__without_root_url": parsed(
        "build.failed",
        TrailHint(commit=SHA),
        AttestationHint("BUILD", "FAILED", "asgard", "build asgard #18: FAILURE", None, "job | job/asgard/"),
    ),
    "finalized__no_git": parsed("build.failed"),
    "none__step": parsed("jenkins.none", observed_at=None),
    OWN_FORMAT: Parsed(
        "build.failed",
        "Ada Byron",
        TrailHint(commit=SHA, branch="main", author="Ada Byron", author_email="ada@northwind.example"),
        (AttestationHint("BUILD", "FAILED", "nightly", "2 tests failed", "https://ci.northwind.example/431"),),
        datetime(2026, 3, 3, 10, 4, 17, tzinfo=UTC),
    ),
}


def raw(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def payload(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw(name))
    return document


def parse_json(document: object) -> Parsed:
    return parse(Delivery(None, {}, json.dumps(document).encode()))


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_of_each_captured_payload(name: str) -> None:
    assert parse(Delivery(None, {}, raw(name))) == EXPECTED[name]


def test_one_build_is_recorded_once_whichever_of_its_phases_arrive() -> None:
    """COMPLETED and FINALIZED tell of the same end."""
    phases = ["queued__plain", "started__freestyle", "completed__success", "finalized__success"]
    assert [len(parse_json(payload(name)).attestations) for name in phases] == [0, 0, 0, 1]


def test_our_own_format_means_the_same_as_of_a_generic_sender() -> None:
    assert parse(Delivery(None, {}, raw(OWN_FORMAT))) == parse_generic(Delivery(None, {}, raw(OWN_FORMAT)))
    with pytest.raises(BadDelivery, match="eventType"):
        parse_json({"name": "asgard"})


def test_a_build_marks_the_body_as_the_plugins_whatever_else_is_in_it() -> None:
    document = payload(SUCCESS) | {"eventType": "build.failed"}
    assert parse_json(document) == EXPECTED[SUCCESS]


def test_fields_of_the_plugin_do_not_disturb_our_own_format() -> None:
    body = {"eventType": "build.started", "name": 5, "url": [], "build": None}
    assert parse_json(body).event_type == "build.started"


def test_only_success_passes_and_no_interruption_fails() -> None:
    statuses = {
        result: [hint.status for hint in parse_json(changed(payload(SUCCESS), "build.status", result)).attestations]
        for result in ("SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT", "SPLENDID")
    }
    assert statuses == {
        "SUCCESS": ["PASSED"],
        "FAILURE": ["FAILED"],
        "UNSTABLE": ["FAILED"],
        "ABORTED": [],
        "NOT_BUILT": [],
        "SPLENDID": ["PENDING"],
    }


@pytest.mark.parametrize("status", [None, "", "a success", 1])
def test_a_finalized_build_without_a_status_is_refused(status: object) -> None:
    with pytest.raises(BadDelivery, match=r"build\.status") as refused:
        parse_json(changed(payload(SUCCESS), "build.status", status))
    assert refused.value.field == "build.status"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("build", []),
        ("build.phase", "Finalized"),
        ("build.phase", "F" * 65),
        ("build.scm", "git"),
        ("build.scm.commit", "main"),
        ("build.scm.commit", SHA[:6]),
    ],
)
def test_what_breaks_a_promise_is_named_by_its_path(path: str, value: object) -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json(changed(payload(SUCCESS), path, value))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize("value", [None, "2026-03-03", True, 1.5, 10**17, -(10**17)])
def test_a_time_that_cannot_be_read_loses_only_the_time(value: object) -> None:
    result = parse_json(changed(payload(SUCCESS), "build.timestamp", value))
    assert result.observed_at is None
    assert result.attestations == EXPECTED[SUCCESS].attestations


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("job/asgard/", "asgard"),
        ("job/job/job/job/", "job/job"),
        ("job/matrix/label=linux/", "matrix/label=linux"),
        ("job/a%20b/job/%C3%BC/", "a b/ü"),
        ("job/a%00b/", "a\N{REPLACEMENT CHARACTER}b"),
        ("job/" + "x" * 300, "x" * 254 + "…"),
        ("", "parcel-tracker"),
        ("/", "parcel-tracker"),
    ],
)
def test_the_name_is_the_path_of_the_job(url: str, name: str) -> None:
    assert parse_json(changed(payload(SUCCESS), "url", url)).attestations[0].name == name


def test_jobs_of_one_name_in_two_jenkins_do_not_hide_each_other() -> None:
    other = RUN.replace("jenkins.", "other-jenkins.")
    [hint] = parse_json(changed(payload(SUCCESS), "build.full_url", other)).attestations
    assert hint.identity != EXPECTED[SUCCESS].attestations[0].identity


@pytest.mark.parametrize("full_url", [None, "https://jenkins.northwind.example/redirect", "ftp://jenkins"])
def test_without_a_web_address_a_job_is_named_by_its_path(full_url: str | None) -> None:
    [hint] = parse_json(changed(payload(SUCCESS), "build.full_url", full_url)).attestations
    assert hint.identity == "job | job/parcels/job/parcel-tracker/"


def test_a_build_of_a_job_without_any_name_is_refused() -> None:
    document = payload(SUCCESS) | {"name": None, "url": ""}
    with pytest.raises(BadDelivery) as refused:
        parse_json(document)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("origin/main", "main"),
        ("refs/remotes/origin/main", "main"),
        ("refs/heads/main", "main"),
        ("feature/origin/x", "feature/origin/x"),
        ("upstream/main", "upstream/main"),
        ("detached", None),
        ("", None),
        (None, None),
    ],
)
def test_the_branch_goes_without_its_remote(branch: str | None, expected: str | None) -> None:
    trail = parse_json(changed(payload(SUCCESS), "build.scm.branch", branch)).trail
    assert trail is not None
    assert trail.branch == expected


def test_whoever_changed_something_lately_is_not_the_author() -> None:
    trail = parse_json(payload(SUCCESS)).trail
    assert trail is not None
    assert (trail.author, trail.author_email, trail.pull_request_reviewer) == (None, None, None)


@given(anything)
def test_arbitrary_json_is_never_worse_than_refused(value: object) -> None:
    survives(parse, Delivery(None, {}, json.dumps(value).encode()))
    survives(parse, Delivery(None, {}, json.dumps({"build": value}).encode()))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_never_worse_than_refused(body: bytes) -> None:
    survives(parse, Delivery(None, {}, body))


READ = {
    *("name", "url", "build", "full_url", "number", "queue_id", "timestamp", "phase", "status"),
    *("scm", "branch", "commit", "eventType"),
}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_payload_with_one_place_replaced_is_never_worse_than_refused(name: str, data: st.DataObject) -> None:
    survives(parse, Delivery(None, {}, one_place_replaced(payload(name), READ, data)))


def test_a_six_kilobyte_payload_is_cheap() -> None:
    document = payload(SUCCESS)
    document = changed(document, "build.log", "." * (6000 - len(json.dumps(document))))
    assert is_cheap(parse, Delivery(None, {}, json.dumps(document).encode()))
