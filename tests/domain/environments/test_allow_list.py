"""What an allow-list lets through."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environments.allow_list import (
    MAX_ENTRIES,
    MAX_PATTERNS,
    AllowListEntry,
    EntryStatus,
    NewEntry,
    check_entry,
    check_room,
    matching,
)
from domain.environments.artifacts import Running
from domain.errors import Conflict, Invalid
from domain.patterns import compiled_pattern

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def entry(
    number: int = 0,
    *,
    digest: str | None = None,
    name: str | None = None,
    pattern: str | None = None,
    expires_at: datetime | None = None,
    removed_at: datetime | None = None,
) -> AllowListEntry:
    nobody, place = UUID(int=0), UUID(int=number)
    return AllowListEntry(
        place, nobody, nobody, digest, name, pattern, "reason", "ada", NOW, expires_at, removed_at, None
    )


DIGESTS, NAMES = st.sampled_from("abc"), st.sampled_from(["api", "api-1", "my-api", "web", "a.i"])
PATTERNS = st.sampled_from(["api", "^api", "api$", "w.b", "a.i", "[0-9]", "(?i)WEB"])
ENTRIES = st.lists(st.tuples(*(st.none() | some for some in (DIGESTS, NAMES, PATTERNS))), max_size=8).map(
    lambda rows: [
        entry(number, digest=digest, name=name, pattern=pattern) for number, (digest, name, pattern) in enumerate(rows)
    ]
)
ARTIFACTS = st.lists(st.builds(Running, NAMES, DIGESTS, st.none() | st.just("1")), max_size=8)


@given(ENTRIES, ARTIFACTS)
def test_an_artifact_is_allowed_by_digest_before_name_before_pattern(
    entries: list[AllowListEntry], artifacts: list[Running]
) -> None:
    found = matching(entries, artifacts)
    assert found.keys() <= set(artifacts)
    for artifact in artifacts:
        fitting = [
            *(one for one in entries if one.digest == artifact.digest),
            *(one for one in entries if one.name == artifact.name),
            *(one for one in entries if one.pattern and compiled_pattern(one.pattern).search(artifact.name)),
        ]
        assert found.get(artifact) == (fitting[0] if fitting else None)


def test_a_pattern_is_searched_for_and_a_name_is_not_a_pattern() -> None:
    artifacts = [Running("registry/istio-proxy", "d", None), Running("registryXistio", "d", None)]
    assert matching([entry(pattern="istio")], artifacts).keys() == set(artifacts)
    assert matching([entry(pattern="^istio")], artifacts) == {}
    assert matching([entry(name="registry.istio")], artifacts) == {}


def test_an_entry_is_effective_until_it_expires_or_is_removed() -> None:
    assert entry().effective_at(NOW)
    assert entry().status is EntryStatus.ACTIVE
    expiring = entry(expires_at=NOW)
    assert [expiring.effective_at(NOW + moment) for moment in (-SECOND, 0 * SECOND, SECOND)] == [True, False, False]
    assert expiring.status is EntryStatus.ACTIVE
    removed = entry(removed_at=NOW, expires_at=NOW + SECOND)
    assert (removed.status, removed.effective_at(NOW)) == (EntryStatus.REMOVED, False)


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewEntry("r"), "sha256"),
        (NewEntry("r", pattern="("), "namePattern"),
        (NewEntry("r", pattern="(?=x)"), "namePattern"),
        (NewEntry("r", pattern=r"\pL{400}"), "namePattern"),
        (NewEntry("r", digest="d", expires_at=NOW), "expiresAt"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused(new: NewEntry, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_entry(new, NOW)
    assert [one.field for one in refused.value.details] == [field]


def test_an_entry_that_can_be_used_is_accepted() -> None:
    for new in (
        NewEntry("r", digest="d"),
        NewEntry("r", name="("),
        NewEntry("r", pattern="^a", expires_at=NOW + SECOND),
    ):
        check_entry(new, NOW)
        check_room([], new)


@pytest.mark.parametrize(
    ("entries", "new", "told"),
    [
        ([entry(digest="d")] * MAX_ENTRIES, NewEntry("r", digest="e"), "effective entries"),
        ([entry(pattern="a")] * MAX_PATTERNS, NewEntry("r", pattern="b"), "with a pattern"),
        ([entry(pattern=rf"\pL{number}") for number in range(9)], NewEntry("r", pattern="b"), "instructions"),
    ],
)
def test_a_list_has_limits_that_keep_matching_quick(entries: list[AllowListEntry], new: NewEntry, told: str) -> None:
    check_room(entries[:1], new)
    with pytest.raises(Conflict, match=told) as refused:
        check_room(entries, new)
    assert refused.value.limit == "allowlist_entries"


def test_entries_without_patterns_do_not_count_for_the_limits_of_patterns() -> None:
    check_room([entry(pattern="a")] * MAX_PATTERNS, NewEntry("r", digest="d"))


def test_more_names_than_the_patterns_can_be_tried_for_are_not_allowed() -> None:
    allowing = entry(pattern="(?:word){75}|service")
    names = [Running(f"service-{number:06}", "sha256:" + "a" * 64, None) for number in range(10_000)]
    found = matching([allowing], names)
    assert 0 < len(found) < len(names)
    assert sorted(found) == names[: len(found)]
