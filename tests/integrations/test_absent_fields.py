"""Every field of every recorded payload taken away: the event means the same, or the refusal names the field."""

import copy
import json
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

import pytest

from integrations import SENDERS
from integrations.contract import BadDelivery, Delivery, Parsed
from tests.paths import FIXTURES

Path = tuple[str | int, ...]

OWN_FORMAT = ("trailId", "gitCommitSha", "attestationType", "attestationStatus")
MEANINGFUL: Mapping[str, Collection[str]] = {
    "GENERIC": OWN_FORMAT,
    "GITLAB": (
        *("object_kind", "event_name"),  # the body is in our own format
        "object_attributes.action",  # somebody tests the hook
        *("object_attributes.last_commit*", "commit", "commit.id"),  # a request or a release without commits
        "commit_url",  # the commit is abbreviated
        "build_allow_failure",  # the job must pass
    ),
    "BITBUCKET": (
        "pullrequest.source.commit",  # the branch or its repository is deleted
        "push.changes.*.new",  # the push deleted the branch
    ),
    "CIRCLECI": (
        *OWN_FORMAT,
        *("pipeline.vcs", "pipeline.vcs.revision", "pipeline.trigger_parameters*"),  # a pipeline without a commit
    ),
    "JENKINS": (
        *OWN_FORMAT,
        "build",  # the body is in our own format
        *("build.scm", "build.scm.commit"),  # not checked out, or not from git
    ),
    "AZURE_DEVOPS": (
        "resource.lastMergeSourceCommit",  # a request whose branch is deleted
        *("resource.deployment", "resource*.release", "resource*.artifacts*"),  # a release of something else than git
        "resource.run.resources*",  # a run without a repository
        "resource.sourceGetVersion",  # an old build of something else than git
        *("resource.triggerInfo", "resource.triggerInfo.pr.sourceSha"),  # not for a pull request
        "subscriptionId",  # a real event, not the button "Test"
    ),
}
"""The fields whose absence means something by their sender's documentation, as patterns."""

CASES = [
    pytest.param(source, path.stem, id=f"{source.lower()}-{path.stem}")
    for source in SENDERS
    for path in sorted((FIXTURES / source.lower()).glob("*.json"))
]


def event_of(source: str, name: str) -> str | None:
    event = name.partition("__")[0]
    if name.endswith("__own_format"):
        return None
    return event.replace(".", ":") if source == "BITBUCKET" else event


def outcome(parsed: Parsed) -> object:
    trail = parsed.trail
    attested = [(hint.type, hint.status) for hint in parsed.attestations]
    return parsed.event_type, attested, (trail.trail_id, trail.commit) if trail else None


def places(part: object, path: Path = ()) -> Iterator[Path]:
    """Every field of every object in a document."""
    fields = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in fields:
        if isinstance(part, dict):
            yield (*path, key)
        yield from places(value, (*path, key))


def without(document: Any, path: Path) -> Iterator[Any]:
    """The document with the field deleted, and with null in its place."""
    for delete in (True, False):
        whole = copy.deepcopy(document)
        part = whole
        for key in path[:-1]:
            part = part[key]
        if delete:
            del part[path[-1]]
        else:
            part[path[-1]] = None
        yield whole


@pytest.mark.parametrize(("source", "name"), CASES)
def test_a_field_that_is_missing_or_null_costs_nothing_or_is_named(source: str, name: str) -> None:
    parse, event = SENDERS[source].parse, event_of(source, name)
    document = json.loads((FIXTURES / source.lower() / f"{name}.json").read_bytes())
    expected = outcome(parse(Delivery(event, {}, json.dumps(document).encode())))
    wrong: list[tuple[str, object]] = []
    for path in places(document):
        dotted = ".".join(map(str, path))
        for changed in without(document, path):
            found: object
            try:
                found = outcome(parse(Delivery(event, {}, json.dumps(changed).encode())))
            except BadDelivery as refused:
                found = expected if refused.field == dotted else f"refused: {refused.message}"
            if found != expected and not any(fnmatch(dotted, known) for known in MEANINGFUL.get(source, ())):
                wrong.append((dotted, found))
    assert not wrong
