"""Azure DevOps' events: each payload's meaning, and that no payload does worse than being refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.azure_devops.parse import parse
from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from tests.integrations.mutations import anything, is_cheap, one_place_replaced, survives
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "azure_devops"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
RUN = "https://dev.azure.com/northwind/54d02617-2ebd-42b0-b1e2-257059c4c03d/_build/results?buildId=2710"
RELEASE = "https://dev.azure.com/northwind/Parcels/_release?releaseId=31&_a=release-summary"
REPOSITORY = "Parcels/parcel-tracker"
PIPELINE = "parcel-tracker CI"
SENT = datetime(2026, 3, 3, 10, 4, 17, 886660, tzinfo=UTC)
COMMITTER: dict[str, Any] = {"author": "Ada B.", "author_email": "ada@home.example"}
BUILT = TrailHint(commit=SHA, branch="main", author="Ada Byron", repository=REPOSITORY, build_url=RUN)
OF_PULL_REQUEST = TrailHint(
    commit=SHA,
    branch="depot",
    author="Ada Byron",
    repository="northwind-labs/parcel-tracker",
    build_url=RUN,
    pull_request="215",
)
RAN = TrailHint(commit=SHA, branch="main", build_url=RUN, **COMMITTER)
RAN_ON_GITHUB = TrailHint(
    commit=SHA, branch="main", author="Ada Byron", repository="northwind-labs/parcel-tracker", build_url=RUN
)
PULL: dict[str, Any] = {
    "commit": SHA,
    "branch": "depot",
    "author": "Grace Hopper",
    "repository": REPOSITORY,
    "pull_request": "215",
}
DEPLOYED = TrailHint(commit=SHA, author="Grace Hopper", deployment_actor="Grace Hopper")


IDENTITY = f"\\ | {PIPELINE}"


def build(result: str, status: str, url: str | None = RUN, identity: str = IDENTITY) -> AttestationHint:
    details = f"build {PIPELINE}: {result}"
    return AttestationHint("BUILD", status, PIPELINE, details, url, f"pipeline | {identity}")


def run(result: str, status: str) -> AttestationHint:
    details = f"pipeline {PIPELINE}: {result}"
    return AttestationHint("BUILD", status, PIPELINE, details, RUN, f"pipeline | {IDENTITY}")


def check(what: str, name: str, result: str, status: str, identity: str) -> AttestationHint:
    full_name, identity = f"{PIPELINE}/{name}", f"{what} | {IDENTITY} | {identity}"
    return AttestationHint("CHECK", status, f"check/{full_name}", f"{what} {full_name}: {result}", RUN, identity)


def deployment(state: str, status: str) -> AttestationHint:
    details, identity = f"deployment to production: {state}", "release | parcel-tracker CD | production"
    return AttestationHint("DEPLOYMENT", status, "deployment/production", details, RELEASE, identity)


def parsed(
    event_type: str,
    trail: TrailHint | None = None,
    attestation: AttestationHint | None = None,
    observed_at: datetime | None = SENT,
    actor: str | None = "Ada Byron",
) -> Parsed:
    return Parsed(event_type, actor, trail, (attestation,) if attestation else (), observed_at)


def kept(event_type: str, actor: str | None = "Ada Byron") -> Parsed:
    return Parsed(f"azure_devops.{event_type}", actor)


def pull_request(action: str, reviewer: str | None = None) -> Parsed:
    trail = TrailHint(**PULL, pull_request_reviewer=reviewer)
    return Parsed(f"pull_request.{action}", "Grace Hopper", trail, observed_at=SENT)


RUNS, STAGES, JOBS = (f"ms.vss-pipelines.{what}-state-changed-event" for what in ("run", "stage", "job"))
STARTED, COMPLETED = (f"ms.vss-release.deployment-{what}-event" for what in ("started", "completed"))
EXPECTED = {
    "build.complete__succeeded": parsed("build.succeeded", BUILT, build("succeeded", "PASSED")),
    "build.complete__failed": parsed("build.failed", BUILT, build("failed", "FAILED")),
    "build.complete__partiallySucceeded": parsed("build.failed", BUILT, build("partiallySucceeded", "FAILED")),
    "build.complete__canceled": parsed("build.cancelled", BUILT),
    "build.complete__pull_request_of_github": parsed(
        "build.succeeded", OF_PULL_REQUEST, build("succeeded", "PASSED", identity=f"{IDENTITY} | pull request")
    ),
    "build.complete__version_1": parsed(
        "build.succeeded",
        TrailHint(commit=SHA, branch="main", author="Ada Byron"),
        build("succeeded", "PASSED", None, PIPELINE),
    ),
    "build.complete__version_1_stopped": parsed(
        "build.cancelled", TrailHint(commit=SHA, branch="main", author="Ada Byron")
    ),
    "build.complete__from_tfvc": parsed(
        "build.failed", observed_at=datetime(2026, 11, 29, 10, 0, tzinfo=UTC), actor=None
    ),
    "build.complete__test_button": Parsed("ping"),
    "git.push__branch": parsed(
        "push", TrailHint(commit=SHA, branch="feature/depot", repository=REPOSITORY, **COMMITTER)
    ),
    "git.push__branch_at_known_commit": parsed(
        "push", TrailHint(commit=SHA, branch="release", author="Ada Byron", repository=REPOSITORY)
    ),
    "git.push__tag": kept("git.push"),
    "git.push__deleted": kept("git.push"),
    "git.pullrequest.created__active": pull_request("created"),
    "git.pullrequest.updated__pushed": pull_request("updated"),
    "git.pullrequest.updated__approved": pull_request("updated", "Ada Byron"),
    "git.pullrequest.updated__approved_with_suggestions": pull_request("updated", "Ada Byron"),
    "git.pullrequest.merged__tried": pull_request("merge_attempted"),
    "git.pullrequest.merged__completed": pull_request("merged", "Ada Byron"),
    f"{RUNS}__in_progress": parsed("build.started", RAN),
    f"{RUNS}__canceling": kept(RUNS),
    f"{RUNS}__succeeded": parsed("build.succeeded", RAN, run("succeeded", "PASSED")),
    f"{RUNS}__failed": parsed("build.failed", RAN, run("failed", "FAILED")),
    f"{RUNS}__canceled": parsed("build.cancelled", RAN),
    f"{RUNS}__of_github": parsed("build.succeeded", RAN_ON_GITHUB, run("succeeded", "PASSED")),
    f"{RUNS}__without_commit": parsed("build.failed", actor=None),
    f"{STAGES}__running": kept(STAGES, None),
    f"{STAGES}__succeeded": parsed(
        "check.succeeded", RAN, check("stage", "Build it", "succeeded", "PASSED", "Build"), actor=None
    ),
    f"{STAGES}__skipped": parsed("check.skipped", RAN, actor=None),
    f"{JOBS}__waiting": kept(JOBS, None),
    f"{JOBS}__failed": parsed(
        "check.failed", RAN, check("job", "__default/Job", "failed", "FAILED", "__default | Job"), actor=None
    ),
    f"{JOBS}__succeeded_with_issues": parsed(
        "check.failed",
        RAN,
        check("job", "__default/Job", "succeededWithIssues", "FAILED", "__default | Job"),
        actor=None,
    ),
    f"{STARTED}__queued": parsed("deployment.started", TrailHint(commit=SHA), actor=None),
    f"{COMPLETED}__succeeded": parsed(
        "deployment.succeeded", DEPLOYED, deployment("succeeded", "PASSED"), actor="Grace Hopper"
    ),
    f"{COMPLETED}__partiallySucceeded": parsed(
        "deployment.failed", DEPLOYED, deployment("partiallySucceeded", "FAILED"), actor="Grace Hopper"
    ),
    f"{COMPLETED}__rejected": parsed(
        "deployment.failed", DEPLOYED, deployment("rejected", "FAILED"), actor="Grace Hopper"
    ),
    f"{COMPLETED}__canceled": parsed("deployment.cancelled", DEPLOYED, actor="Grace Hopper"),
    f"{COMPLETED}__without_commit": parsed("deployment.succeeded", actor=None),
    f"{COMPLETED}__from_tfvc": parsed("deployment.succeeded", actor="Grace Hopper"),
    "workitem.created__unknown": kept("workitem.created", None),
}


def payload(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_bytes())
    return document


def parse_json(document: object) -> Parsed:
    return parse(Delivery(None, {}, json.dumps(document).encode()))


def changed(name: str, path: str, value: object) -> dict[str, Any]:
    """`path` without dots in its names."""
    document = payload(name)
    *parents, last = path.split(".")
    part: Any = document
    for key in parents:
        part = part[int(key) if key.isdigit() else key]
    part[last] = value
    return document


def trail_of(document: object) -> TrailHint:
    trail = parse_json(document).trail
    assert trail is not None
    return trail


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_of_each_payload(name: str) -> None:
    assert payload(name)["eventType"] == name.partition("__")[0]
    assert parse(Delivery(None, {}, (FIXTURES / f"{name}.json").read_bytes())) == EXPECTED[name]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("build.complete__succeeded", "resource.result"),
        (f"{RUNS}__succeeded", "resource.run.result"),
        (f"{STAGES}__succeeded", "resource.stage.result"),
        (f"{JOBS}__failed", "resource.job.result"),
        (f"{COMPLETED}__succeeded", "resource.environment.status"),
    ],
)
def test_only_success_passes_and_no_interruption_fails(name: str, path: str) -> None:
    """What was cancelled or skipped has not failed."""
    results = ("succeeded", "failed", "partiallySucceeded", "succeededWithIssues", "rejected", "abandoned")
    statuses = [
        [hint.status for hint in parse_json(changed(name, path, result)).attestations]
        for result in (*results, "canceled", "stopped", "skipped", "splendid")
    ]
    assert statuses == [["PASSED"], *[["FAILED"]] * 5, [], [], [], ["PENDING"]]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (f"{RUNS}__succeeded", "resource.run.result"),
        (f"{STAGES}__succeeded", "resource.stage.result"),
        (f"{JOBS}__failed", "resource.job.result"),
        (f"{COMPLETED}__succeeded", "resource.environment.status"),
    ],
)
@pytest.mark.parametrize("result", [None, "", "a success", 1])
def test_a_completed_event_without_a_result_is_refused(name: str, path: str, result: object) -> None:
    with pytest.raises(BadDelivery, match=path) as refused:
        parse_json(changed(name, path, result))
    assert refused.value.field == path


def test_a_build_that_is_completed_says_how() -> None:
    """Its status is a result in resource version 1.0 only."""
    with pytest.raises(BadDelivery, match=r"resource\.result: "):
        parse_json(changed("build.complete__succeeded", "resource.result", None))


@pytest.mark.parametrize("version", [None, "C943", SHA[:8]])
def test_a_git_build_without_a_commit_is_refused(version: str | None) -> None:
    with pytest.raises(BadDelivery, match=r"resource\.sourceVersion: "):
        parse_json(changed("build.complete__succeeded", "resource.sourceVersion", version))


@pytest.mark.parametrize("repository", ["TfsVersionControl", "Svn"])
@pytest.mark.parametrize("version", ["C943", "80514123", None])
def test_a_build_of_other_version_control_is_kept_without_a_trail(repository: str, version: str | None) -> None:
    document = changed("build.complete__failed", "resource.sourceVersion", version)
    document["resource"]["repository"]["type"] = repository
    assert parse_json(document) == parsed("build.failed")


@pytest.mark.parametrize("source", ["C1804", "LG:refs/heads/main:", f"LG:{SHA}", "", f"LG:refs/heads/main:{SHA}:more"])
def test_an_old_build_of_another_source_than_git_has_no_trail(source: str) -> None:
    result = parse_json(changed("build.complete__version_1", "resource.sourceGetVersion", source))
    assert result == parsed("build.succeeded")


@pytest.mark.parametrize(
    ("ref", "branch"),
    [
        ("refs/heads/release/1.4", "release/1.4"),
        ("refs/tags/v1.4.0", None),
        ("refs/pull/215/merge", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_branch_is_a_branch(ref: str | None, branch: str | None) -> None:
    assert trail_of(changed("build.complete__succeeded", "resource.sourceBranch", ref)).branch == branch
    document = changed(f"{RUNS}__succeeded", "resource.run.resources.repositories.self.refName", ref)
    assert trail_of(document).branch == branch


def test_a_pull_requests_build_speaks_of_its_head_not_of_the_merge_made_up_for_it() -> None:
    document = payload("build.complete__pull_request_of_github")
    assert trail_of(document).commit == SHA != document["resource"]["sourceVersion"]


def test_a_run_speaks_of_its_pipelines_own_repository() -> None:
    document = payload(f"{RUNS}__succeeded")
    assert len(document["resource"]["run"]["resources"]["repositories"]) == 2
    del document["resource"]["run"]["resources"]["repositories"]["self"]
    assert parse_json(document) == parsed("build.succeeded")


def test_one_pipelines_job_does_not_hide_anothers() -> None:
    failed = parse_json(payload(f"{JOBS}__failed")).attestations[0]
    document = changed(f"{JOBS}__failed", "resource.pipeline.name", "another CI")
    assert parse_json(document).attestations[0].name != failed.name


def test_a_release_speaks_of_its_primary_artifact() -> None:
    document = payload(f"{COMPLETED}__succeeded")
    for artifact in document["resource"]["deployment"]["release"]["artifacts"]:
        artifact["isPrimary"] = False
    assert parse_json(document) == parsed("deployment.succeeded", actor="Grace Hopper")


@pytest.mark.parametrize(
    "artifacts", [None, [], [{"isPrimary": True, "definitionReference": {}}], [{"isPrimary": True}]]
)
def test_a_release_of_something_else_than_git_records_nothing(artifacts: object) -> None:
    document = changed(f"{COMPLETED}__succeeded", "resource.deployment.release.artifacts", artifacts)
    assert parse_json(document) == parsed("deployment.succeeded", actor="Grace Hopper")


def test_a_group_that_repeats_its_members_vote_is_no_reviewer() -> None:
    document = payload("git.pullrequest.updated__approved")
    document["resource"]["reviewers"] = document["resource"]["reviewers"][:1]
    assert document["resource"]["reviewers"][0]["vote"] == 10
    assert trail_of(document).pull_request_reviewer is None


@pytest.mark.parametrize("vote", [0, -5, -10])
def test_who_has_not_approved_is_no_reviewer(vote: int) -> None:
    document = changed("git.pullrequest.updated__approved_with_suggestions", "resource.reviewers.0.vote", vote)
    assert trail_of(document).pull_request_reviewer is None


def test_the_first_who_approved_is_the_reviewer() -> None:
    document = payload("git.pullrequest.updated__approved")
    document["resource"]["reviewers"][1]["vote"] = 5
    assert trail_of(document).pull_request_reviewer == "Barbara Liskov"


@pytest.mark.parametrize("name", NAMES)
def test_the_test_button_brings_no_evidence_of_any_event(name: str) -> None:
    document = payload(name) | {"subscriptionId": "00000000-0000-0000-0000-000000000000"}
    assert parse_json(document) == Parsed("ping")


def test_a_tag_pushed_with_a_branch_does_not_hide_it() -> None:
    document = payload("git.push__branch")
    document["resource"]["refUpdates"].insert(0, payload("git.push__tag")["resource"]["refUpdates"][0])
    assert parse_json(document) == EXPECTED["git.push__branch"]


def test_a_runs_author_is_whoever_wrote_the_commit_it_ran_on() -> None:
    document = payload(f"{RUNS}__succeeded")
    document["resource"]["repositories"].pop()
    trail = trail_of(document)
    assert (trail.author, trail.author_email) == ("Ada Byron", None)


def test_a_title_that_differs_from_run_to_run_tells_no_stage_apart() -> None:
    [before] = parse_json(payload(f"{STAGES}__succeeded")).attestations
    [after] = parse_json(changed(f"{STAGES}__succeeded", "resource.stage.displayName", "Build 43")).attestations
    assert (before.name == after.name, before.identity == after.identity) == (False, True)


def test_a_build_and_a_run_of_one_pipeline_are_the_same() -> None:
    [build_of] = EXPECTED["build.complete__failed"].attestations
    [run_of] = EXPECTED[f"{RUNS}__failed"].attestations
    assert build_of.identity == run_of.identity


def test_a_release_definition_may_be_named_with_the_environment() -> None:
    document = changed(f"{COMPLETED}__succeeded", "resource.environment.releaseDefinition", {"name": "other CD"})
    assert parse_json(document).attestations[0].identity == "release | other CD | production"


def test_a_stage_without_a_display_name_is_called_by_its_name() -> None:
    document = changed(f"{STAGES}__succeeded", "resource.stage.displayName", None)
    assert parse_json(document).attestations == (check("stage", "Build", "succeeded", "PASSED", "Build"),)


def test_an_old_build_that_nobody_asked_for_has_no_actor() -> None:
    result = parse_json(changed("build.complete__version_1", "resource.requests", []))
    assert (result.actor, result.event_type) == (None, "build.succeeded")


def test_a_repository_without_a_project_is_called_by_its_own_name() -> None:
    assert trail_of(changed("build.complete__succeeded", "resource.project", None)).repository == "parcel-tracker"
    assert trail_of(changed("build.complete__succeeded", "resource.repository", None)).repository is None


def test_a_deployment_that_has_started_names_its_deployer_where_told() -> None:
    deployer = payload(f"{COMPLETED}__succeeded")["resource"]["deployment"]["requestedFor"]
    result = parse_json(changed(f"{STARTED}__queued", "resource.deployment", {"requestedFor": deployer}))
    assert (result.actor, result.trail) == ("Grace Hopper", DEPLOYED)


@pytest.mark.parametrize("links", [None, {}, {"web": None}, {"web": {"href": ""}}])
def test_a_link_that_is_missing_is_no_evidence(links: object) -> None:
    document = changed(f"{COMPLETED}__succeeded", "resource.environment.release._links", links)
    assert [hint.evidence_url for hint in parse_json(document).attestations] == [None]
    assert trail_of(changed("build.complete__succeeded", "resource._links", links)).build_url is None


def test_who_has_no_display_name_goes_by_the_name_they_sign_in_with() -> None:
    document = changed("git.push__branch", "resource.pushedBy.displayName", "")
    assert parse_json(document).actor == "ada@northwind.example"


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("workitem.created__unknown", "eventType", None),
        ("build.complete__succeeded", "resource", []),
        ("build.complete__succeeded", "resource.definition", None),
        ("build.complete__succeeded", "resource.definition.name", None),
        ("build.complete__succeeded", "resource.sourceVersion", "C1804"),
        ("git.push__branch", "resource.refUpdates", None),
        ("git.push__branch", "resource.refUpdates.0.newObjectId", "z" * 40),
        ("git.push__branch", "resource.refUpdates.0.name", ["refs/heads/main"]),
        ("git.pullrequest.merged__completed", "resource.status", None),
        ("git.pullrequest.created__active", "resource.lastMergeSourceCommit.commitId", SHA[:6]),
        (f"{RUNS}__succeeded", "resource.run.state", None),
        (f"{RUNS}__succeeded", "resource.pipeline.name", None),
        (f"{RUNS}__succeeded", "resource.run.resources.repositories.self.version", "18"),
        (f"{STAGES}__succeeded", "resource.stage.name", None),
        (f"{JOBS}__failed", "resource.job", None),
        (f"{COMPLETED}__succeeded", "resource.environment.name", None),
        (f"{STARTED}__queued", "resource.environment", "production"),
    ],
)
def test_what_breaks_a_promise_is_named_by_its_path(name: str, path: str, value: object) -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json(changed(name, path, value))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: ")


@pytest.mark.parametrize("time_text", ["yesterday", "0001-01-01T00:00:00", None])
def test_a_time_that_cannot_be_read_loses_only_the_time(time_text: str | None) -> None:
    result = parse_json(changed("build.complete__failed", "createdDate", time_text))
    assert result.observed_at is None
    assert result.attestations == EXPECTED["build.complete__failed"].attestations


events = st.sampled_from([*sorted({name.partition("__")[0] for name in NAMES}), "never.heard.of"])


@given(events, anything)
def test_arbitrary_json_is_never_worse_than_refused(event: str, value: object) -> None:
    survives(parse, Delivery(None, {}, json.dumps(value).encode()))
    survives(parse, Delivery(None, {}, json.dumps({"eventType": event, "resource": value}).encode()))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_never_worse_than_refused(body: bytes) -> None:
    survives(parse, Delivery(None, {}, body))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_payload_with_one_place_replaced_is_never_worse_than_refused(name: str, data: st.DataObject) -> None:
    survives(parse, Delivery(None, {}, one_place_replaced(payload(name), READ, data)))


READ = {
    *("eventType", "subscriptionId", "createdDate", "resource", "status", "result", "definition", "name", "project"),
    *("repository", "type", "sourceBranch", "sourceVersion", "sourceGetVersion", "triggerInfo", "pr.sourceSha"),
    *("pr.sourceBranch", "pr.number", "requestedFor", "requests", "_links", "web", "href", "displayName", "uniqueName"),
    *("refUpdates", "newObjectId", "commits", "commitId", "author", "email", "pushedBy", "pullRequestId", "id"),
    *("sourceRefName", "lastMergeSourceCommit", "createdBy", "reviewers", "vote", "isContainer", "run", "pipeline"),
    *("resources", "repositories", "self", "fullName", "refName", "version", "change", "stage", "job", "state"),
    *("environment", "deployment", "release", "artifacts", "isPrimary", "definitionReference"),
}


def test_a_six_kilobyte_payload_is_cheap() -> None:
    document = payload("build.complete__succeeded")
    document["detailedMessage"]["text"] += "." * (6000 - len(json.dumps(document)))
    delivery = Delivery(None, {}, json.dumps(document).encode())
    assert is_cheap(parse, delivery)
