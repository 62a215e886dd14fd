"""Bitbucket's events: each payload's meaning, and that no payload does worse than being refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.bitbucket.parse import parse
from integrations.contract import AttestationHint, BadDelivery, Delivery, Parsed, TrailHint
from tests.integrations.mutations import anything, is_cheap, one_place_replaced, survives
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "bitbucket"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))

SHA = "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3"
REPOSITORY = "northwind-labs/parcel-tracker"
RUN = f"https://bitbucket.org/{REPOSITORY}/pipelines/results/7"
CI = "https://ci.northwind.example/builds/777"
PIPELINES = "Bitbucket Pipelines"
ADA: dict[str, Any] = {"author": "Ada Byron", "author_email": "ada@northwind.example", "repository": REPOSITORY}
BUILT = TrailHint(commit=SHA, branch="main", build_url=RUN, **ADA)
PULL = TrailHint(commit=SHA[:12], branch="depot", author="ghopper", repository=REPOSITORY, pull_request="215")
APPROVED = TrailHint(
    commit=SHA[:12],
    branch="depot",
    author="ghopper",
    repository=REPOSITORY,
    pull_request="215",
    pull_request_reviewer="ada-byron",
)
DATA_CENTER_PULL = TrailHint(
    commit=SHA, branch="depot", author="ghopper", repository="PT/parcel-tracker", pull_request="215"
)
DATA_CENTER_APPROVED = TrailHint(
    commit=SHA,
    branch="depot",
    author="ghopper",
    repository="PT/parcel-tracker",
    pull_request="215",
    pull_request_reviewer="abyron",
)


def at(hour: int, minute: int, second: int, microsecond: int = 0) -> datetime:
    return datetime(2026, 3, 3, hour, minute, second, microsecond, tzinfo=UTC)


def build(state: str, status: str) -> AttestationHint:
    identity = "status | 3343801"
    return AttestationHint("BUILD", status, "3343801", f"build Pipeline #7 for main: {state}", RUN, identity)


def parsed(
    event_type: str,
    trail: TrailHint | None = None,
    attestation: AttestationHint | None = None,
    observed_at: datetime | None = None,
    actor: str | None = "ada-byron",
) -> Parsed:
    return Parsed(event_type, actor, trail, (attestation,) if attestation else (), observed_at)


RAN = at(10, 4, 17, 838984)
CHANGED = at(9, 41, 9, 532546)
VOTED = at(9, 50, 0, 100000)
THEN = at(9, 41, 9)
EXPECTED = {
    "repo.push__branch": parsed("push", TrailHint(commit=SHA, branch="feature/depot", **ADA)),
    "repo.push__tag": parsed("bitbucket.repo:push"),
    "repo.push__deleted": parsed("bitbucket.repo:push"),
    "repo.push__tag_and_branches": parsed("push", TrailHint(commit=SHA, branch="main", **ADA)),
    "repo.commit_status_created__in_progress": parsed("build.started", BUILT, None, RAN, PIPELINES),
    "repo.commit_status_created__other_ci": parsed(
        "build.failed",
        TrailHint(commit=SHA, author="ada-byron", repository=REPOSITORY, build_url=CI),
        AttestationHint(
            "BUILD", "FAILED", "unit-tests", "build Unit tests (Python): FAILED", CI, "status | unit-tests"
        ),
        RAN,
    ),
    "repo.commit_status_updated__successful": parsed(
        "build.succeeded", BUILT, build("SUCCESSFUL", "PASSED"), RAN, PIPELINES
    ),
    "repo.commit_status_updated__failed": parsed("build.failed", BUILT, build("FAILED", "FAILED"), RAN, PIPELINES),
    "repo.commit_status_updated__stopped": parsed("build.cancelled", BUILT, None, RAN, PIPELINES),
    "repo.fork__unknown": parsed("bitbucket.repo:fork", actor=None),
    "pullrequest.created__open": parsed("pull_request.created", PULL, None, CHANGED, "ghopper"),
    "pullrequest.updated__pushed": parsed("pull_request.updated", PULL, None, CHANGED, "ghopper"),
    "pullrequest.approved__reviewer": parsed("pull_request.approved", APPROVED, None, VOTED),
    "pullrequest.unapproved__reviewer": parsed("pull_request.unapproved", PULL, None, CHANGED),
    "pullrequest.fulfilled__merged": parsed("pull_request.fulfilled", PULL, None, CHANGED),
    "pullrequest.rejected__declined": parsed("pull_request.rejected", PULL, None, CHANGED),
    "pullrequest.rejected__source_deleted": parsed("pull_request.rejected", actor="ada"),
    "repo.refs_changed__branch": parsed(
        "push",
        TrailHint(commit=SHA, branch="feature/depot", author="abyron", repository="PT/parcel-tracker"),
        None,
        at(9, 57, 58),
        "abyron",
    ),
    "repo.refs_changed__tag_and_deleted": parsed("bitbucket.repo:refs_changed", actor="abyron"),
    "pr.opened__open": parsed("pull_request.opened", DATA_CENTER_PULL, None, THEN, "ghopper"),
    "pr.from_ref_updated__pushed": parsed("pull_request.from_ref_updated", DATA_CENTER_PULL, None, THEN, "ghopper"),
    "pr.reviewer.approved__reviewer": parsed("pull_request.approved", DATA_CENTER_APPROVED, None, THEN, "abyron"),
    "pr.reviewer.unapproved__reviewer": parsed("pull_request.unapproved", DATA_CENTER_PULL, None, THEN, "abyron"),
    "pr.merged__merged": parsed("pull_request.merged", DATA_CENTER_PULL, None, THEN, "abyron"),
    "pr.declined__declined": parsed("pull_request.declined", DATA_CENTER_PULL, None, THEN, "abyron"),
    "diagnostics.ping__test": parsed("ping", actor=None),
}


PROPOSED = [name for name, event in EXPECTED.items() if event.trail and "__reviewer" not in name]


def event_of(name: str) -> str:
    """A file's name has no colon."""
    return name.partition("__")[0].replace(".", ":")


def payload(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_bytes())
    return document


def parse_json(event: str | None, document: object) -> Parsed:
    return parse(Delivery(event, {}, json.dumps(document).encode()))


def changed(name: str, path: str, value: object) -> dict[str, Any]:
    document = payload(name)
    *parents, last = path.split(".")
    part: Any = document
    for key in parents:
        part = part[int(key) if key.isdigit() else key]
    part[last] = value
    return document


def trail_of(name: str, path: str, value: object) -> TrailHint:
    trail = parse_json(event_of(name), changed(name, path, value)).trail
    assert trail is not None
    return trail


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_of_each_payload(name: str) -> None:
    assert parse(Delivery(event_of(name), {}, (FIXTURES / f"{name}.json").read_bytes())) == EXPECTED[name]


def test_only_success_passes_and_no_interruption_fails() -> None:
    """What was stopped has not failed."""
    name = "repo.commit_status_updated__successful"
    statuses = {
        state: [
            hint.status for hint in parse_json(event_of(name), changed(name, "commit_status.state", state)).attestations
        ]
        for state in ("SUCCESSFUL", "FAILED", "STOPPED", "INPROGRESS", "SPLENDID")
    }
    assert statuses == {
        "SUCCESSFUL": ["PASSED"],
        "FAILED": ["FAILED"],
        "STOPPED": [],
        "INPROGRESS": [],
        "SPLENDID": ["PENDING"],
    }


def test_a_reruns_success_stands_under_the_name_of_the_failure_before() -> None:
    failed, rerun = "repo.commit_status_updated__failed", "repo.commit_status_updated__successful"
    before = parse_json(event_of(failed), payload(failed)).attestations[0]
    after = parse_json(event_of(rerun), changed(rerun, "commit_status.name", "Pipeline #8 for main")).attestations[0]
    assert (before.name, before.identity) == (after.name, after.identity)
    assert after.details == "build Pipeline #8 for main: SUCCESSFUL"


def test_a_status_without_a_name_is_called_by_its_key() -> None:
    name = "repo.commit_status_created__other_ci"
    [attestation] = parse_json(event_of(name), changed(name, "commit_status.name", None)).attestations
    assert attestation.details == "build unit-tests: FAILED"


@pytest.mark.parametrize(
    ("raw", "author", "email"),
    [
        ("Ada Byron <ada@northwind.example>", "Ada Byron", "ada@northwind.example"),
        ("Ada Byron", "Ada Byron", None),
        ("<ada@northwind.example>", "ada-byron", "ada@northwind.example"),
        ("Ada <>", "Ada", None),
        ("", "ada-byron", None),
        (None, "ada-byron", None),
    ],
)
def test_who_wrote_a_commit_is_read_from_what_git_says(raw: str | None, author: str, email: str | None) -> None:
    trail = trail_of("repo.push__branch", "push.changes.0.new.target.author.raw", raw)
    assert (trail.author, trail.author_email) == (author, email)


def test_apps_and_workspaces_act_under_their_display_name() -> None:
    document = changed("repo.push__branch", "actor", {"type": "team", "display_name": "Northwind Labs"})
    assert parse_json("repo:push", document).actor == "Northwind Labs"
    assert parse_json("repo:push", changed("repo.push__branch", "actor", None)).actor is None


def test_people_asked_for_a_review_have_not_given_one() -> None:
    for name in (name for name in NAMES if name.startswith(("pullrequest.", "pr.")) and name in PROPOSED):
        trail = parse_json(event_of(name), payload(name)).trail
        assert trail is not None
        assert trail.pull_request_reviewer is None


@pytest.mark.parametrize("changes", [[], [{"new": None}]])
def test_a_push_that_moved_no_branch_is_kept_only(changes: list[object]) -> None:
    assert parse_json("repo:push", changed("repo.push__branch", "push.changes", changes)) == parsed(
        "bitbucket.repo:push"
    )


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("repo.push__branch", "push", None),
        ("repo.push__branch", "push.changes", {}),
        ("repo.push__branch", "push.changes.0.new.target.hash", "main"),
        ("repo.push__branch", "push.changes.0.new.target", None),
        ("repo.push__branch", "push.changes.0.new.type", None),
        ("repo.commit_status_updated__failed", "commit_status.state", "it failed"),
        ("repo.commit_status_updated__failed", "commit_status.state", None),
        ("repo.commit_status_updated__failed", "commit_status.key", None),
        ("repo.commit_status_updated__failed", "commit_status.links.commit.href", "https://api.bitbucket.org/2.0"),
        ("repo.commit_status_updated__failed", "commit_status.links.commit", None),
        ("pullrequest.created__open", "pullrequest.source.commit.hash", SHA[:6]),
        ("repo.refs_changed__branch", "changes.0.toHash", "z" * 40),
        ("repo.refs_changed__branch", "changes.0.ref.type", None),
        ("pr.opened__open", "pullRequest.fromRef.latestCommit", ""),
    ],
)
def test_what_breaks_a_promise_is_named_by_its_path(name: str, path: str, value: object) -> None:
    with pytest.raises(BadDelivery) as refused:
        parse_json(event_of(name), changed(name, path, value))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: ")


def test_a_time_that_cannot_be_read_loses_only_the_time() -> None:
    name = "repo.commit_status_updated__failed"
    result = parse_json(event_of(name), changed(name, "commit_status.updated_on", "yesterday"))
    assert result.observed_at is None
    assert result.attestations == EXPECTED[name].attestations


def test_a_delivery_without_an_event_is_kept() -> None:
    assert parse_json(None, {}) == parsed("bitbucket.event", actor=None)


events = st.sampled_from([None, *sorted({event_of(name) for name in NAMES}), "never:heard_of"])


@given(events, anything)
def test_arbitrary_json_is_never_worse_than_refused(event: str | None, value: object) -> None:
    survives(parse, Delivery(event, {}, json.dumps(value).encode()))


@given(events, st.binary(max_size=60))
def test_arbitrary_bytes_are_never_worse_than_refused(event: str | None, body: bytes) -> None:
    survives(parse, Delivery(event, {}, body))


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_payload_with_one_place_replaced_is_never_worse_than_refused(name: str, data: st.DataObject) -> None:
    survives(parse, Delivery(event_of(name), {}, one_place_replaced(payload(name), READ, data)))


READ = {
    *("actor", "repository", "full_name", "nickname", "display_name", "push", "changes", "new", "type", "name"),
    *("target", "hash", "author", "raw", "commit_status", "key", "state", "links", "commit", "href", "refname", "url"),
    *("updated_on", "pullrequest", "id", "source", "branch", "approval", "user", "date", "ref", "toHash", "displayId"),
    *("slug", "project", "pullRequest", "fromRef", "toRef", "latestCommit", "participant"),
}


def test_an_eight_kilobyte_payload_is_cheap() -> None:
    document = payload("repo.commit_status_updated__successful")
    document["commit_status"]["description"] = "." * (8000 - len(json.dumps(document)))
    delivery = Delivery("repo:commit_status_updated", {}, json.dumps(document).encode())
    assert is_cheap(parse, delivery)
