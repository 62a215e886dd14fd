"""CircleCI's events: each captured payload's meaning, and that no payload does worse than being refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.circleci.parse import parse
from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from integrations.generic.parse import parse as parse_generic
from tests.integrations.mutations import anything, changed, is_cheap, one_place_replaced, survives
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "circleci"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
OWN_FORMAT = "build.failed__own_format"

SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
RUN = "workflows/5d0c7a1e-2b7f-4e0b-9a55-0c8d1f6e7a42"
GITHUB_RUN = f"https://app.circleci.com/pipelines/github/northwind-labs/parcel-tracker/431/{RUN}"
APP_RUN = f"https://app.circleci.com/pipelines/circleci/9fKq2TtLmB7vXz3RcYwP1d/4HsJ8NnUeGa6QbVoEiDk5r/12/{RUN}"
ADA: dict[str, Any] = {"author": "Ada Byron", "author_email": "ada@northwind.example"}
GITHUB: dict[str, Any] = ADA | {"repository": "northwind-labs/parcel-tracker", "build_url": GITHUB_RUN}
BUILT = TrailHint(commit=SHA, branch="main", **GITHUB)
GITLAB = TrailHint(
    commit=SHA, branch="main", repository="northwind-labs/depot/parcel-tracker", build_url=APP_RUN, **ADA
)
GITHUB_APP = TrailHint(commit=SHA, branch="main", repository="northwind-labs/parcel-tracker", build_url=APP_RUN, **ADA)


def at(minute: int, second: int, microsecond: int) -> datetime:
    return datetime(2026, 3, 3, 10, minute, second, microsecond, tzinfo=UTC)


def build(word: str, status: str, url: str = GITHUB_RUN) -> AttestationHint:
    identity = "workflow | build-test-deploy"
    return AttestationHint("BUILD", status, "build-test-deploy", f"workflow build-test-deploy: {word}", url, identity)


def check(word: str, status: str, url: str = GITHUB_RUN) -> AttestationHint:
    identity = "job | build-test-deploy | unit-tests"
    return AttestationHint("CHECK", status, "check/unit-tests", f"job unit-tests: {word}", url, identity)


def parsed(
    event_type: str,
    trail: TrailHint | None = None,
    attestation: AttestationHint | None = None,
    observed_at: datetime | None = None,
    actor: str | None = None,
) -> Parsed:
    return Parsed(event_type, actor, trail, (attestation,) if attestation else (), observed_at)


ENDED, CHECKED, APP_ENDED = at(4, 17, 317_000), at(3, 40, 279_000), at(4, 17, 379_158)
GITLAB_ENDED = at(4, 17, 954_328)
EXPECTED = {
    "workflow-completed__success": parsed("build.succeeded", BUILT, build("success", "PASSED"), ENDED),
    "workflow-completed__failed": parsed("build.failed", BUILT, build("failed", "FAILED"), ENDED),
    "workflow-completed__error": parsed("build.failed", BUILT, build("error", "FAILED"), ENDED),
    "workflow-completed__canceled": parsed("build.cancelled", BUILT, None, ENDED),
    "workflow-completed__unauthorized": parsed("build.unauthorized", BUILT, build("unauthorized", "PENDING"), ENDED),
    "workflow-completed__tag": parsed(
        "build.succeeded", TrailHint(commit=SHA, **GITHUB), build("success", "PASSED"), ENDED
    ),
    "workflow-completed__fork": parsed(
        "build.succeeded", TrailHint(commit=SHA, branch="pull/215", **GITHUB), build("success", "PASSED"), ENDED
    ),
    "workflow-completed__gitlab": parsed(
        "build.failed", GITLAB, build("failed", "FAILED", APP_RUN), GITLAB_ENDED, "ghopper"
    ),
    "workflow-completed__github_app": parsed(
        "build.succeeded", GITHUB_APP, build("success", "PASSED", APP_RUN), APP_ENDED, "ada-byron"
    ),
    "workflow-completed__without_commit": parsed("build.succeeded", None, None, APP_ENDED),
    "job-completed__success": parsed("check.succeeded", BUILT, check("success", "PASSED"), CHECKED),
    "job-completed__failed": parsed("check.failed", BUILT, check("failed", "FAILED"), CHECKED),
    "job-completed__canceled": parsed("check.cancelled", BUILT, None, CHECKED),
    "job-completed__gitlab": parsed(
        "check.succeeded", GITLAB, check("success", "PASSED", APP_RUN), GITLAB_ENDED, "ghopper"
    ),
    "ping__test": parsed("ping"),
    "deploy-completed__unknown": parsed("circleci.deploy-completed"),
    OWN_FORMAT: parsed(
        "build.failed",
        TrailHint(commit=SHA, branch="main", **ADA),
        AttestationHint("BUILD", "FAILED", "nightly", "2 tests failed", "https://ci.northwind.example/431"),
        at(4, 17, 0),
        "Ada Byron",
    ),
}


def event_of(name: str) -> str | None:
    """What `verify` tells: none for our own format."""
    return None if name == OWN_FORMAT else name.partition("__")[0]


def raw(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def payload(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw(name))
    return document


def parse_json(event: str | None, document: object) -> Parsed:
    return parse(Delivery(event, {}, json.dumps(document).encode()))


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_of_each_captured_payload(name: str) -> None:
    assert parse(Delivery(event_of(name), {}, raw(name))) == EXPECTED[name]


def test_our_own_format_means_the_same_as_of_a_generic_sender() -> None:
    assert parse(Delivery(None, {}, raw(OWN_FORMAT))) == parse_generic(Delivery(None, {}, raw(OWN_FORMAT)))
    with pytest.raises(BadDelivery, match="eventType"):
        parse(Delivery(None, {}, raw("ping__test")))


def test_only_success_passes_and_no_interruption_fails() -> None:
    statuses = {
        status: [
            hint.status
            for hint in parse_json(
                "workflow-completed", changed(payload("workflow-completed__success"), "workflow.status", status)
            ).attestations
        ]
        for status in (
            *("success", "failed", "error", "timedout", "infrastructure_fail", "terminated-unknown"),
            *("unauthorized", "canceled", "not_run", "splendid"),
        )
    }
    assert statuses == {
        "success": ["PASSED"],
        "failed": ["FAILED"],
        "error": ["FAILED"],
        "timedout": ["FAILED"],
        "infrastructure_fail": ["FAILED"],
        "terminated-unknown": ["FAILED"],
        "unauthorized": ["PENDING"],
        "canceled": [],
        "not_run": [],
        "splendid": ["PENDING"],
    }


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("workflow-completed__success", "workflow.status", None),
        ("workflow-completed__success", "workflow.status", "a success"),
        ("workflow-completed__success", "workflow.name", None),
        ("workflow-completed__success", "workflow", []),
        ("workflow-completed__success", "pipeline", None),
        ("workflow-completed__success", "pipeline.vcs.revision", "main"),
        ("workflow-completed__success", "pipeline.vcs.revision", SHA[:6]),
        ("workflow-completed__gitlab", "pipeline.trigger_parameters.git.checkout_sha", "x" * 40),
        ("job-completed__success", "job.status", None),
        ("job-completed__success", "workflow.name", None),
        ("job-completed__success", "job.name", 5),
        ("job-completed__success", "job", None),
    ],
)
def test_what_breaks_a_promise_is_named_by_its_path(name: str, path: str, value: object) -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json(event_of(name), changed(payload(name), path, value))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: ")


def test_a_time_that_cannot_be_read_loses_only_the_time() -> None:
    result = parse_json("workflow-completed", changed(payload("workflow-completed__success"), "happened_at", "soon"))
    assert result.observed_at is None
    assert result.attestations == EXPECTED["workflow-completed__success"].attestations


@pytest.mark.parametrize("absent", ["vcs.commit", "vcs.branch", "vcs.target_repository_url"])
def test_what_circleci_does_not_promise_may_be_missing(absent: str) -> None:
    result = parse_json(
        "workflow-completed", changed(payload("workflow-completed__success"), f"pipeline.{absent}", None)
    )
    assert result.attestations == EXPECTED["workflow-completed__success"].attestations
    assert result.trail is not None
    assert result.trail.commit == SHA


@pytest.mark.parametrize("pipeline", [{}, {"vcs": {}}, {"vcs": {"revision": ""}}, {"trigger_parameters": {}}])
def test_a_pipeline_without_a_commit_belongs_to_no_trail(pipeline: dict[str, Any]) -> None:
    for event, name in [
        ("workflow-completed", "workflow-completed__failed"),
        ("job-completed", "job-completed__failed"),
    ]:
        result = parse_json(event, changed(payload(name), "pipeline", pipeline))
        assert (result.trail, result.attestations) == (None, ())
        assert result.event_type == EXPECTED[name].event_type


def test_the_one_who_pushed_is_the_author_where_the_commit_names_none() -> None:
    path = "pipeline.trigger_parameters.gitlab.commit_author_name"
    trail = parse_json("workflow-completed", changed(payload("workflow-completed__gitlab"), path, "")).trail
    assert trail is not None
    assert trail.author == "ghopper"


def test_a_job_never_speaks_in_the_name_of_its_workflow() -> None:
    job = parse_json("job-completed", changed(payload("job-completed__failed"), "job.name", "build-test-deploy"))
    workflow = EXPECTED["workflow-completed__success"]
    assert job.attestations[0].name != workflow.attestations[0].name


events = st.sampled_from([None, *sorted({event for event in map(event_of, NAMES) if event}), "never-heard-of"])


@given(events, anything)
def test_arbitrary_json_is_never_worse_than_refused(event: str | None, value: object) -> None:
    survives(parse, Delivery(event, {}, json.dumps(value).encode()))


@given(events, st.binary(max_size=60))
def test_arbitrary_bytes_are_never_worse_than_refused(event: str | None, body: bytes) -> None:
    survives(parse, Delivery(event, {}, body))


READ = {
    *("happened_at", "workflow", "name", "url", "status", "pipeline", "vcs", "target_repository_url", "revision"),
    *("branch", "commit", "author", "email", "trigger_parameters", "git", "checkout_url", "checkout_sha", "gitlab"),
    *("github_app", "user_username", "commit_author_name", "commit_author_email", "job", "eventType"),
}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_payload_with_one_place_replaced_is_never_worse_than_refused(name: str, data: st.DataObject) -> None:
    survives(parse, Delivery(event_of(name), {}, one_place_replaced(payload(name), READ, data)))


def test_a_six_kilobyte_payload_is_cheap() -> None:
    document = payload("workflow-completed__github_app")
    message = "." * (6000 - len(json.dumps(document)))
    document = changed(document, "pipeline.trigger_parameters.git.commit_message", message)
    assert is_cheap(parse, Delivery("workflow-completed", {}, json.dumps(document).encode()))
