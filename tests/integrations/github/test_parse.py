"""GitHub's events: each captured payload's meaning, and that no payload does worse than being refused."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from integrations.github.parse import parse
from tests.integrations.mutations import anything, is_cheap, one_place_replaced, survives
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "github"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
FORM = {"content-type": "application/x-www-form-urlencoded"}

SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
WEB = "https://github.com/northwind-labs/parcel-tracker"
RUN = f"{WEB}/actions/runs/13801245567"
REPOSITORY = "northwind-labs/parcel-tracker"
ADA: dict[str, Any] = {"author": "Ada Byron", "author_email": "ada@northwind.example", "repository": REPOSITORY}
BUILT = TrailHint(commit=SHA, branch="main", build_url=RUN, **ADA)
CHECKED = TrailHint(commit=SHA, branch="main", author="ada-byron", repository=REPOSITORY)
SUITE = TrailHint(commit=SHA, branch="main", **ADA)
PULL = TrailHint(commit=SHA, branch="depot", author="ghopper", repository=REPOSITORY, pull_request="215")
DEPLOYED = TrailHint(commit=SHA, author="ada-byron", repository=REPOSITORY, deployment_actor="ghopper")
SUITE_ID = "35511880021"
JOB = f"{WEB}/actions/runs/13801999001/job/38543300111"


def at(hour: int, minute: int, second: int) -> datetime:
    return datetime(2026, 3, 3, hour, minute, second, tzinfo=UTC)


def build(conclusion: str, status: str) -> AttestationHint:
    identity = "workflow | .github/workflows/build.yml | push"
    return AttestationHint("BUILD", status, "build", f"workflow build: {conclusion}", RUN, identity, SUITE_ID)


def check(conclusion: str, status: str) -> AttestationHint:
    name = "unit tests (jdk 21)"
    identity = f"check | github-actions | suite {SUITE_ID} | {name}"
    url = f"{RUN}/job/38541200733"
    return AttestationHint("CHECK", status, f"check/{name}", f"check {name}: {conclusion}", url, identity, SUITE_ID)


def deployment(state: str, status: str) -> AttestationHint:
    identity = "deployment | production | deploy | .github/workflows/build.yml"
    details = f"deployment to production: {state}"
    return AttestationHint("DEPLOYMENT", status, "deployment/production", details, JOB, identity)


def parsed(
    event_type: str,
    trail: TrailHint | None = None,
    attestation: AttestationHint | None = None,
    observed_at: datetime | None = None,
    actor: str | None = "ada-byron",
) -> Parsed:
    return Parsed(event_type, actor, trail, (attestation,) if attestation else (), observed_at)


RAN = at(10, 4, 17)
EXPECTED = {
    "workflow_run__requested": parsed("build.started", BUILT, None, RAN),
    "workflow_run__in_progress": parsed("build.started", BUILT, None, RAN),
    "workflow_run__success": parsed("build.succeeded", BUILT, build("success", "PASSED"), RAN),
    "workflow_run__failure": parsed("build.failed", BUILT, build("failure", "FAILED"), RAN),
    "workflow_run__timed_out": parsed("build.failed", BUILT, build("timed_out", "FAILED"), RAN),
    "workflow_run__startup_failure": parsed("build.failed", BUILT, build("startup_failure", "FAILED"), RAN),
    "workflow_run__action_required": parsed("build.action_required", BUILT, build("action_required", "PENDING"), RAN),
    "workflow_run__cancelled": parsed("build.cancelled", BUILT, None, RAN),
    "workflow_run__skipped": parsed("build.skipped", BUILT, None, RAN),
    "check_suite__success": parsed(
        "check_suite.succeeded",
        SUITE,
        AttestationHint(
            "CHECK_SUITE",
            "PASSED",
            "github-actions",
            "check suite github-actions: success",
            identity=f"check suite | github-actions | {SUITE_ID}",
            run=SUITE_ID,
        ),
        at(10, 4, 18),
    ),
    "check_suite__stale": parsed("check_suite.stale", SUITE, None, at(10, 4, 18)),
    "check_suite__requested": parsed("github.check_suite"),
    "check_run__success": parsed("check.succeeded", CHECKED, check("success", "PASSED"), at(10, 3, 40)),
    "check_run__failure": parsed("check.failed", CHECKED, check("failure", "FAILED"), at(10, 3, 40)),
    "check_run__neutral": parsed("check.neutral", CHECKED, None, at(10, 3, 40)),
    "check_run__created": parsed("github.check_run"),
    "pull_request__opened": parsed("pull_request.opened", PULL, None, at(9, 41, 9), "ghopper"),
    "pull_request__review_requested": parsed("pull_request.review_requested", PULL, None, at(9, 41, 9), "ghopper"),
    "pull_request__merged": parsed("pull_request.closed", PULL, None, at(9, 58, 40)),
    "push__branch": parsed("push", TrailHint(commit=SHA, branch="feature/depot", **ADA)),
    "push__deleted": parsed("github.push"),
    "push__tag": parsed("github.push"),
    "deployment_status__success": parsed(
        "deployment.succeeded", DEPLOYED, deployment("success", "PASSED"), at(10, 20, 1)
    ),
    "deployment_status__failure": parsed("deployment.failed", DEPLOYED, deployment("failure", "FAILED"), at(10, 20, 1)),
    "deployment_status__error": parsed("deployment.failed", DEPLOYED, deployment("error", "FAILED"), at(10, 20, 1)),
    "deployment_status__in_progress": parsed("deployment.in_progress", DEPLOYED, None, at(10, 20, 1)),
    "release__published": parsed("release.published", None, None, at(10, 30, 0)),
    "release__published_at_commit": parsed(
        "release.published",
        TrailHint(commit=SHA, author="ghopper", repository=REPOSITORY),
        None,
        at(10, 30, 0),
    ),
    "release__edited": parsed("github.release"),
    "star__created": parsed("github.star", actor=None),
    "ping__hook": parsed("ping", actor=None),
}


def event_of(name: str) -> str:
    return name.partition("__")[0]


def payload(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_bytes())
    return document


def parse_json(event: str | None, document: object) -> Parsed:
    return parse(Delivery(event, {}, json.dumps(document).encode()))


def changed(name: str, path: str, value: object) -> dict[str, Any]:
    document = payload(name)
    *parents, last = path.split(".")
    part = document
    for key in parents:
        part = part[key]
    part[last] = value
    return document


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_of_each_captured_payload(name: str) -> None:
    assert parse(Delivery(event_of(name), {}, (FIXTURES / f"{name}.json").read_bytes())) == EXPECTED[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_form_encoded_variant_means_the_same(name: str) -> None:
    body = urlencode({"payload": (FIXTURES / f"{name}.json").read_text()}).encode()
    assert parse(Delivery(event_of(name), FORM, body)) == EXPECTED[name]


def test_form_and_json_are_told_apart_by_the_header_alone() -> None:
    body = urlencode({"payload": json.dumps(payload("push__branch"))}).encode()
    charset = {"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}
    assert parse(Delivery("push", charset, body)) == EXPECTED["push__branch"]
    with pytest.raises(BadDelivery, match="JSON"):
        parse(Delivery("push", {"content-type": "application/json"}, body))


@pytest.mark.parametrize("body", [b"", b"other=1", b"payload=", b"payload=%ff", b"\xff", b"a=1&" * 20, b"payload=%7B"])
def test_broken_forms_are_refused(body: bytes) -> None:
    with pytest.raises(BadDelivery):
        parse(Delivery("push", FORM, body))


def test_only_success_passes_and_no_interruption_fails() -> None:
    """Cancelled, skipped and neutral are not failures."""
    statuses = {
        conclusion: [
            hint.status
            for hint in parse_json(
                "workflow_run", changed("workflow_run__success", "workflow_run.conclusion", conclusion)
            ).attestations
        ]
        for conclusion in (
            *("success", "failure", "timed_out", "startup_failure", "action_required"),
            *("cancelled", "skipped", "neutral", "stale", "splendid"),
        )
    }
    assert statuses == {
        "success": ["PASSED"],
        "failure": ["FAILED"],
        "timed_out": ["FAILED"],
        "startup_failure": ["FAILED"],
        "action_required": ["PENDING"],
        "cancelled": [],
        "skipped": [],
        "neutral": [],
        "stale": [],
        "splendid": ["PENDING"],
    }


@pytest.mark.parametrize("event", ["workflow_run", "check_suite", "check_run"])
@pytest.mark.parametrize("conclusion", [None, "", "splendid\n", 1])
def test_a_completed_event_without_a_conclusion_is_refused(event: str, conclusion: object) -> None:
    path = f"{event}.conclusion"
    with pytest.raises(BadDelivery, match=path) as refused:
        parse_json(event, changed(f"{event}__success", path, conclusion))
    assert refused.value.field == path


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("workflow_run__success", "workflow_run.head_sha", "main"),
        ("workflow_run__success", "workflow_run.head_sha", None),
        ("workflow_run__success", "workflow_run", []),
        ("workflow_run__success", "action", None),
        ("check_run__failure", "check_run.name", None),
        ("check_run__failure", "check_run.head_sha", SHA[:6]),
        ("pull_request__opened", "pull_request.head.sha", "x" * 40),
        ("pull_request__opened", "action", None),
        ("pull_request__opened", "action", "Open\n"),
        ("push__branch", "after", "z" * 40),
        ("push__branch", "ref", ["refs/heads/main"]),
        ("deployment_status__success", "deployment.sha", ""),
        ("deployment_status__success", "deployment_status.state", "a success"),
        ("release__published", "release.target_commitish", 5),
    ],
)
def test_what_breaks_a_promise_is_named_by_its_path(name: str, path: str, value: object) -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json(event_of(name), changed(name, path, value))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: ")


def test_a_time_that_cannot_be_read_loses_only_the_time() -> None:
    result = parse_json("workflow_run", changed("workflow_run__success", "workflow_run.updated_at", "yesterday"))
    assert result.observed_at is None
    assert result.attestations == EXPECTED["workflow_run__success"].attestations


def test_the_least_that_senders_of_this_format_send() -> None:
    """The original read these four fields and no header."""
    body = {"action": "completed", "workflow_run": {"head_sha": "ABCDEF1", "conclusion": "failure"}}
    result = parse_json(None, body | {"sender": {"login": "ada"}})
    assert result.event_type == "build.failed"
    assert result.trail == TrailHint(commit="abcdef1", author="ada")
    assert [(hint.type, hint.status, hint.name) for hint in result.attestations] == [("BUILD", "FAILED", None)]


def test_the_run_names_the_actor_when_there_is_no_sender() -> None:
    document = payload("workflow_run__success")
    del document["sender"]
    document["workflow_run"]["actor"] = {"login": "someone"}
    assert parse_json("workflow_run", document).actor == "someone"


def test_a_run_for_a_fork_does_not_stand_for_one_of_the_repository() -> None:
    [ours] = EXPECTED["workflow_run__failure"].attestations
    document = changed("workflow_run__failure", "workflow_run.head_repository", {"full_name": "eve/parcel-tracker"})
    [fork] = parse_json("workflow_run", document).attestations
    assert fork.identity == f"{ours.identity} | fork eve/parcel-tracker"


def test_a_run_without_a_path_is_named_by_its_workflow() -> None:
    document = payload("workflow_run__failure")
    del document["workflow"]["path"], document["workflow_run"]["path"]
    [hint] = parse_json("workflow_run", document).attestations
    assert hint.identity == "workflow | build | push"


def test_jobs_that_deploy_to_one_environment_do_not_hide_each_other() -> None:
    names = ["deploy the API", "deploy the pages"]
    identities = {
        parse_json("deployment_status", payload("deployment_status__failure") | {"check_run": {"name": name}})
        .attestations[0]
        .identity
        for name in names
    }
    assert len(identities) == 2


def test_other_actions_of_a_run_are_kept_only() -> None:
    assert parse_json("workflow_run", changed("workflow_run__success", "action", "queued")) == parsed(
        "github.workflow_run"
    )


def test_a_deleted_branch_is_recognised_by_its_zeros_too() -> None:
    document = changed("push__deleted", "deleted", value=False)
    assert parse_json("push", document) == parsed("github.push")


def test_a_branch_that_looks_like_a_short_commit_is_no_commit() -> None:
    assert parse_json("release", changed("release__published", "release.target_commitish", "deadbeef")).trail is None


def test_people_asked_for_a_review_have_not_given_one() -> None:
    for name in ("pull_request__opened", "pull_request__review_requested"):
        trail = parse_json("pull_request", payload(name)).trail
        assert trail is not None
        assert trail.pull_request_reviewer is None


events = st.sampled_from([None, *sorted({event_of(name) for name in NAMES}), "never_heard_of"])


@given(events, anything, st.sampled_from([{}, FORM]))
def test_arbitrary_json_is_never_worse_than_refused(event: str | None, value: object, headers: dict[str, str]) -> None:
    survives(parse, Delivery(event, headers, json.dumps(value).encode()))
    survives(parse, Delivery(event, FORM, urlencode({"payload": json.dumps(value)}).encode()))


@given(events, st.binary(max_size=60), st.sampled_from([{}, FORM]))
def test_arbitrary_bytes_are_never_worse_than_refused(event: str | None, body: bytes, headers: dict[str, str]) -> None:
    survives(parse, Delivery(event, headers, body))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_payload_with_one_place_replaced_is_never_worse_than_refused(name: str, data: st.DataObject) -> None:
    survives(parse, Delivery(event_of(name), {}, one_place_replaced(payload(name), READ, data)))


READ = {
    *("action", "sender", "login", "repository", "full_name", "workflow_run", "check_suite", "check_run", "head_sha"),
    *("head_branch", "conclusion", "html_url", "updated_at", "completed_at", "published_at", "actor", "head_commit"),
    *("author", "name", "email", "app", "slug", "pull_request", "number", "head", "sha", "ref", "user", "after"),
    *("deleted", "deployment", "deployment_status", "state", "environment", "log_url", "target_url", "creator"),
    *("release", "target_commitish"),
}


def test_a_six_kilobyte_payload_is_cheap() -> None:
    document = payload("workflow_run__success")
    document["workflow_run"]["display_title"] += "." * (6000 - len(json.dumps(document)))
    delivery = Delivery("workflow_run", {}, json.dumps(document).encode())

    assert is_cheap(parse, delivery)
