"""GitLab's events: each payload's meaning, and that no payload does worse than being refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from integrations.generic.parse import parse as parse_generic
from integrations.gitlab.parse import parse
from tests.integrations.mutations import anything, is_cheap, one_place_replaced, survives
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "gitlab"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

SHA = "4d7a90b1c2e3f405162738495a6b7c8d9e0f1a2b"
OTHER_SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
WEB = "https://git.alpenfracht.example/logistik/routenplaner"
RUN = f"{WEB}/-/pipelines/90214"
JOB = f"{WEB}/-/jobs/551201"
REPOSITORY = "logistik/routenplaner"
ADDRESS = "mira.stocker@alpenfracht.example"
WRITTEN: dict[str, Any] = {"author": "Mira Stocker", "author_email": ADDRESS, "repository": REPOSITORY}
BUILT = TrailHint(commit=SHA, branch="main", build_url=RUN, **WRITTEN)
CHECKED = TrailHint(commit=SHA, branch="main", **WRITTEN)
REQUEST = TrailHint(commit=SHA, branch="passes", pull_request="88", **WRITTEN)
REVIEWED = TrailHint(commit=SHA, branch="passes", pull_request="88", pull_request_reviewer="jabegg", **WRITTEN)
DEPLOYED = TrailHint(commit=SHA, author="jabegg", repository=REPOSITORY, deployment_actor="jabegg")
BY_API = TrailHint(commit=SHA[:8], repository=REPOSITORY)
NEW_BRANCH = TrailHint(commit=SHA, branch="feature/passes", author="mstocker", repository=REPOSITORY)
PUSHED = TrailHint(commit=SHA, branch="feature/passes", **WRITTEN)


def at(hour: int, minute: int, second: int, microsecond: int = 0) -> datetime:
    return datetime(2026, 3, 3, hour, minute, second, microsecond, tzinfo=UTC)


def build(
    gitlab_status: str, status: str, name: str | None = "push", *, url: str = RUN, source: str | None = " | push"
) -> AttestationHint:
    details, run = f"pipeline {name or '(no name)'}: {gitlab_status}", url.rpartition("/")[2]
    return AttestationHint("BUILD", status, name, details, url, f"pipeline{source or ''}", run)


def check(gitlab_status: str, status: str, name: str = "unit tests") -> AttestationHint:
    identity = f"job | pipeline 90214 | {name}"
    return AttestationHint("CHECK", status, f"check/{name}", f"job {name}: {gitlab_status}", JOB, identity, "90214")


def deployment(gitlab_status: str, status: str, url: str | None = f"{WEB}/-/jobs/551310") -> AttestationHint:
    details = f"deployment to production: {gitlab_status}"
    return AttestationHint("DEPLOYMENT", status, "deployment/production", details, url, "deployment | production")


def parsed(
    event_type: str,
    trail: TrailHint | None = None,
    attestation: AttestationHint | None = None,
    observed_at: datetime | None = None,
    actor: str | None = "mstocker",
) -> Parsed:
    return Parsed(event_type, actor, trail, (attestation,) if attestation else (), observed_at)


CREATED, FINISHED = at(9, 42, 1), at(9, 47, 30)
JOB_CREATED, JOB_FINISHED = at(9, 42, 1, 120_000), at(9, 47, 29, 500_000)
UPDATED, CHANGED, RELEASED = at(9, 50, 12), at(10, 5, 0), at(10, 30, 0)
OLD_RUN = f"{WEB}/-/pipelines/90190"
EXPECTED = {
    "pipeline__running": parsed("build.started", BUILT, None, CREATED),
    "pipeline__success": parsed("build.succeeded", BUILT, build("success", "PASSED"), FINISHED),
    "pipeline__failed": parsed("build.failed", BUILT, build("failed", "FAILED"), FINISHED),
    "pipeline__manual": parsed("build.action_required", BUILT, build("manual", "PENDING"), CREATED),
    "pipeline__canceled": parsed("build.cancelled", BUILT, None, FINISHED),
    "pipeline__skipped": parsed("build.skipped", BUILT, None, FINISHED),
    "pipeline__pending": parsed("gitlab.pipeline"),
    "pipeline__of_tag": parsed(
        "build.succeeded",
        TrailHint(commit=SHA, build_url=RUN, **WRITTEN),
        build("success", "PASSED", source=" | push | tag"),
        FINISHED,
    ),
    "pipeline__of_merge_request": parsed(
        "build.succeeded",
        TrailHint(commit=SHA, branch="passes", build_url=RUN, pull_request="88", **WRITTEN),
        build("success", "PASSED", "Merge request: passes", source=" | merge_request_event"),
        FINISHED,
    ),
    "pipeline__of_old_gitlab": parsed(
        "build.succeeded",
        TrailHint(commit=SHA, branch="main", author="Mira Stocker", repository=REPOSITORY, build_url=OLD_RUN),
        build("success", "PASSED", None, url=OLD_RUN, source=None),
        FINISHED,
    ),
    "build__success": parsed("check.succeeded", CHECKED, check("success", "PASSED"), JOB_FINISHED),
    "build__failed": parsed("check.failed", CHECKED, check("failed", "FAILED"), JOB_FINISHED),
    "build__canceled": parsed("check.cancelled", CHECKED, None, JOB_FINISHED),
    "build__skipped": parsed("check.skipped", CHECKED, None, JOB_CREATED),
    "build__running": parsed("gitlab.build"),
    "build__manual": parsed(
        "check.action_required", CHECKED, check("manual", "PENDING", "release to shops"), JOB_CREATED
    ),
    "build__manual_optional": parsed("check.action_required", CHECKED, None, JOB_CREATED),
    "build__of_merge_request": parsed(
        "check.succeeded", TrailHint(commit=SHA, **WRITTEN), check("success", "PASSED"), JOB_FINISHED
    ),
    "merge_request__open": parsed("pull_request.open", REQUEST, None, UPDATED),
    "merge_request__approval": parsed("pull_request.approval", REVIEWED, None, UPDATED, "jabegg"),
    "merge_request__approved": parsed("pull_request.approved", REVIEWED, None, UPDATED, "jabegg"),
    "merge_request__unapproved": parsed("pull_request.unapproved", REQUEST, None, UPDATED),
    "merge_request__merge": parsed("pull_request.merge", REQUEST, None, UPDATED, "jabegg"),
    "merge_request__without_commits": parsed("pull_request.open", None, None, UPDATED),
    "merge_request__test_button": parsed("gitlab.merge_request"),
    "push__branch": parsed("push", PUSHED),
    "push__system_hook": parsed("push", PUSHED),
    "push__new_branch": parsed("push", NEW_BRANCH),
    "push__deleted": parsed("gitlab.push"),
    "tag_push__created": parsed("gitlab.tag_push", actor=None),
    "deployment__success": parsed("deployment.succeeded", DEPLOYED, deployment("success", "PASSED"), CHANGED, "jabegg"),
    "deployment__failed": parsed("deployment.failed", DEPLOYED, deployment("failed", "FAILED"), CHANGED, "jabegg"),
    "deployment__blocked": parsed(
        "deployment.action_required", DEPLOYED, deployment("blocked", "PENDING"), CHANGED, "jabegg"
    ),
    "deployment__rejected": parsed(
        "deployment.rejected",
        TrailHint(commit=OTHER_SHA, author="ada", repository="acme/shop", deployment_actor="ada"),
        deployment("rejected", "FAILED", None),
        datetime(2026, 11, 29, 10, 1, tzinfo=UTC),
        "ada",
    ),
    "deployment__running": parsed("deployment.running", DEPLOYED, None, CHANGED, "jabegg"),
    "deployment__canceled": parsed("deployment.cancelled", DEPLOYED, None, CHANGED, "jabegg"),
    "deployment__by_api": parsed(
        "deployment.succeeded", BY_API, deployment("success", "PASSED", None), CHANGED, actor=None
    ),
    "release__create": parsed("release.published", TrailHint(commit=SHA, **WRITTEN), None, RELEASED, None),
    "release__without_commit": parsed("release.published", None, None, RELEASED, None),
    "release__update": parsed("gitlab.release", actor=None),
    "release__delete": parsed("gitlab.release", actor=None),
    "note__merge_request": parsed("gitlab.note", actor=None),
    "user_add_to_group__member": parsed("gitlab.user_add_to_group", actor=None),
}


def payload(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_bytes())
    return document


def parse_json(document: object, event: str | None = None) -> Parsed:
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
def test_a_fixture_is_named_after_its_event(name: str) -> None:
    document = payload(name)
    assert name.partition("__")[0] == (document.get("object_kind") or document["event_name"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("event", [None, "Pipeline Hook", "System Hook"])
def test_the_meaning_of_each_payload_whatever_its_header_says(name: str, event: str | None) -> None:
    assert parse(Delivery(event, {}, (FIXTURES / f"{name}.json").read_bytes())) == EXPECTED[name]


STATUSES = [("pipeline__success", "object_attributes.status"), ("build__success", "build_status")]


@pytest.mark.parametrize(("name", "path"), STATUSES)
def test_only_success_passes_and_no_interruption_fails(name: str, path: str) -> None:
    """Cancelled and skipped are not failures. The statuses are those of GitLab's CI."""
    recorded = {
        status: [hint.status for hint in parse_json(changed(name, path, status)).attestations]
        for status in (
            *("created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running"),
            *("success", "failed", "canceling", "canceled", "skipped", "manual", "scheduled", "unheard_of"),
        )
    }
    attested = {status: found for status, found in recorded.items() if found}
    assert attested == {
        "success": ["PASSED"],
        "failed": ["FAILED"],
        "manual": ["PENDING"],
        "unheard_of": ["PENDING"],
    }


@pytest.mark.parametrize("status", ["created", "running", "approved"])
def test_a_deployment_that_has_not_ended_attests_nothing(status: str) -> None:
    result = parse_json(changed("deployment__success", "status", status))
    assert (result.event_type, result.trail, result.attestations) == (f"deployment.{status}", DEPLOYED, ())


def test_a_child_pipeline_is_named_by_its_trigger_job_and_superseded_with_its_parent() -> None:
    document = changed("pipeline__failed", "object_attributes.source", "parent_pipeline")
    document |= {"source_pipeline": {"job_id": 551230, "pipeline_id": 90200}}
    [child] = parse_json(document).attestations
    document["source_pipeline"]["job_id"] = 551231
    [sibling] = parse_json(document).attestations
    assert (child.identity, child.run) == ("pipeline | parent_pipeline | job 551230", "90200")
    assert (sibling.identity, sibling.run) == ("pipeline | parent_pipeline | job 551231", "90200")


def test_a_pipeline_that_another_project_starts_is_named_by_that_project() -> None:
    """The number of its job there is a new one every time, so that a later success would not replace the failure."""
    document = changed("pipeline__failed", "object_attributes.source", "pipeline")
    upstream = {"path_with_namespace": "logistik/karten"}
    document |= {"source_pipeline": {"project": upstream, "job_id": 7, "pipeline_id": 8}}
    [hint] = parse_json(document).attestations
    assert (hint.identity, hint.run) == ("pipeline | pipeline | logistik/karten", "90214")


@pytest.mark.parametrize(("project", "run"), [(REPOSITORY, "90200"), ("logistik/karten", "90214"), (None, "90214")])
def test_a_job_of_a_child_pipeline_is_superseded_with_the_parent(project: str | None, run: str) -> None:
    source = {"project": {"path_with_namespace": project}, "job_id": 551230, "pipeline_id": 90200}
    [hint] = parse_json(payload("build__failed") | {"source_pipeline": source}).attestations
    assert (hint.identity, hint.run) == ("job | pipeline 90214 | unit tests", run)


def test_a_job_without_a_pipeline_is_named_by_its_stage() -> None:
    [hint] = parse_json(changed("build__failed", "pipeline_id", None)).attestations
    assert (hint.identity, hint.run) == ("job | test | unit tests", None)


@pytest.mark.parametrize("commit", [{}, None, {"id": "main", "author": []}, "main"])
def test_a_pipeline_without_a_readable_commit_loses_only_its_author(commit: object) -> None:
    result = parse_json(changed("pipeline__failed", "commit", commit))
    assert result.attestations == EXPECTED["pipeline__failed"].attestations
    assert result.trail
    assert (result.trail.commit, result.trail.author) == (SHA, "mstocker")


def test_a_merge_request_with_an_empty_commit_is_kept() -> None:
    result = parse_json(changed("merge_request__open", "object_attributes.last_commit", {}))
    assert (result.event_type, result.trail) == ("pull_request.open", None)


def test_a_job_never_has_its_pipelines_name() -> None:
    job, pipeline = payload("build__failed"), payload("pipeline__success")
    job["build_name"] = pipeline["object_attributes"]["name"] = "main"
    assert parse_json(job).attestations[0].name != parse_json(pipeline).attestations[0].name


def test_pipelines_of_one_commit_do_not_hide_each_other() -> None:
    names = {
        parse_json(changed("pipeline__failed", "object_attributes.source", source)).attestations[0].identity
        for source in ("push", "merge_request_event", "schedule", "parent_pipeline")
    }
    assert len(names) == 4


def test_a_job_that_is_allowed_to_fail_blocks_nothing() -> None:
    parsed = parse_json(changed("build__failed", "build_allow_failure", value=True))
    assert (parsed.event_type, parsed.attestations) == ("check.failed", ())
    passed = parse_json(changed("build__success", "build_allow_failure", value=True))
    assert [hint.status for hint in passed.attestations] == ["PASSED"]


@pytest.mark.parametrize(
    "link",
    [f"{WEB}/-/commit/{SHA[:8]}", f"{WEB}/-/commit/{'0' * 40}", f"{WEB}/-/commit/{SHA}/pipelines", f"{WEB}/{SHA}0", ""],
)
def test_a_link_to_something_else_names_no_commit(link: str) -> None:
    trail = parse_json(changed("deployment__success", "commit_url", link)).trail
    assert trail
    assert trail.commit == SHA[:8]


def test_a_release_of_an_abbreviated_commit_has_no_trail() -> None:
    assert parse_json(changed("release__create", "commit.id", SHA[:8])).trail is None


@pytest.mark.parametrize("address", ["[REDACTED]", "", None])
def test_an_address_that_is_not_shown_is_none(address: str | None) -> None:
    trail = parse_json(changed("pipeline__success", "commit.author.email", address)).trail
    assert trail
    assert (trail.author, trail.author_email) == ("Mira Stocker", None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-03-03 10:00:00 UTC", at(10, 0, 0)),
        ("2026-03-03 11:00:00 +0100", at(10, 0, 0)),
        ("2026-03-03 04:30:00 -0530", at(10, 0, 0)),
        ("2026-03-03T10:00:00.250Z", at(10, 0, 0, 250_000)),
        ("2026-03-03T11:00:00+01:00", at(10, 0, 0)),
        ("2026-03-03 10:00:00", CREATED),
        ("yesterday", CREATED),
        ("", CREATED),
        (1772532000, CREATED),
        (None, CREATED),
    ],
)
def test_every_form_of_a_time(written: object, expected: datetime) -> None:
    result = parse_json(changed("pipeline__success", "object_attributes.finished_at", written))
    assert result.observed_at == expected
    assert result.attestations == EXPECTED["pipeline__success"].attestations


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("pipeline__success", "object_kind", 5),
        ("pipeline__success", "object_kind", "Pipeline"),
        ("pipeline__success", "object_attributes", None),
        ("pipeline__success", "object_attributes.id", 0),
        ("pipeline__success", "object_attributes.id", 2**63),
        ("pipeline__success", "object_attributes.id", "90214"),
        ("pipeline__success", "object_attributes.sha", "main"),
        ("pipeline__success", "object_attributes.sha", None),
        ("pipeline__success", "object_attributes.status", None),
        ("pipeline__success", "object_attributes.status", "a success"),
        ("build__success", "sha", SHA[:6]),
        ("build__success", "build_name", None),
        ("build__success", "build_status", 3),
        ("merge_request__open", "object_attributes.action", "open\n"),
        ("merge_request__open", "object_attributes.last_commit.id", "x" * 40),
        ("push__branch", "after", "z" * 40),
        ("push__branch", "ref", ["refs/heads/main"]),
        ("deployment__success", "status", None),
        ("deployment__success", "environment", None),
        ("deployment__success", "short_sha", None),
        ("release__create", "action", None),
        ("release__create", "commit.id", 5),
    ],
)
def test_what_breaks_a_promise_is_named_by_its_path(name: str, path: str, value: object) -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json(changed(name, path, value))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: ")


def test_the_older_body_of_this_api_is_read_as_it_was() -> None:
    body = {"eventType": "build.failed", "gitCommitSha": SHA, "gitBranch": "main", "gitAuthor": "Mira"}
    delivery = Delivery("Pipeline Hook", {}, json.dumps(body).encode())
    assert parse(delivery) == parse_generic(delivery)
    assert parse(delivery).event_type == "build.failed"


def test_gitlabs_own_kind_goes_before_the_older_body() -> None:
    document = payload("pipeline__failed") | {"eventType": "build.succeeded", "gitCommitSha": SHA}
    assert parse_json(document) == EXPECTED["pipeline__failed"]


def test_a_body_of_neither_format_is_refused() -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json({"status": "success"}, "Pipeline Hook")
    assert refused.value.field == "eventType"


kinds = st.sampled_from([*sorted({name.partition("__")[0] for name in NAMES}), "never_heard_of"])


@given(kinds, anything)
def test_arbitrary_json_is_never_worse_than_refused(kind: str, value: object) -> None:
    survives(parse, Delivery(None, {}, json.dumps(value).encode()))
    document = {"object_kind": kind, "object_attributes": value, "commit": value}
    survives(parse, Delivery(None, {}, json.dumps(document).encode()))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_never_worse_than_refused(body: bytes) -> None:
    survives(parse, Delivery(None, {}, body))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_payload_with_one_place_replaced_is_never_worse_than_refused(name: str, data: st.DataObject) -> None:
    survives(parse, Delivery(None, {}, one_place_replaced(payload(name), READ, data)))


READ = {
    *("object_kind", "event_name", "object_attributes", "project", "path_with_namespace", "web_url", "user"),
    *("username", "user_username", "id", "iid", "name", "email", "source", "ref", "tag", "sha", "status", "url"),
    *("created_at", "finished_at", "updated_at", "status_changed_at", "merge_request", "source_branch", "commit"),
    *("author", "author_name", "author_email", "build_id", "build_name", "build_status", "build_allow_failure"),
    *("build_created_at", "build_finished_at", "action", "last_commit", "after", "commits", "deployable_url"),
    *("environment", "short_sha", "commit_url"),
}


def test_a_six_kilobyte_payload_is_cheap() -> None:
    document = payload("pipeline__success")
    document["commit"]["message"] += "." * (6000 - len(json.dumps(document)))
    delivery = Delivery("Pipeline Hook", {}, json.dumps(document).encode())

    assert is_cheap(parse, delivery)
