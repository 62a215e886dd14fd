"""What runs, counted and compared."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.environments.artifacts import Running, content_hash, counted, diff

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def api(digest: str, tag: str | None = "1") -> Running:
    return Running("api", digest, tag)


def test_lines_of_one_artifact_add_up() -> None:
    assert counted([(api(A), 2), (api(A), 1), (api(A, "2"), 1)]) == {api(A): 3, api(A, "2"): 1}


def test_a_new_digest_is_an_update_and_other_names_are_added_or_removed() -> None:
    found = diff({api(A): 1, Running("old", B, None): 1}, {api(B, "2"): 2, Running("new", C, None): 1})
    assert [(one.before, one.after, one.count_before, one.count_after) for one in found.updated] == [
        (api(A), api(B, "2"), 1, 2)
    ]
    assert [one.name for one in found.added] == ["new"]
    assert [one.name for one in found.removed] == ["old"]
    assert found.unchanged == []
    assert not found.is_empty


def test_tags_and_counts_alone_are_no_change_but_are_told() -> None:
    found = diff({api(A): 1}, {api(A, "2"): 3})
    assert found.is_empty
    [same] = found.unchanged
    assert (same.before, same.after, same.count_before, same.count_after) == (api(A), api(A, "2"), 1, 3)


def test_several_versions_of_one_name_are_told_apart() -> None:
    found = diff({api(A): 1, api(B): 1}, {api(B): 1, api(C): 1})
    assert [one.before for one in found.unchanged] == [api(B)]
    assert [(one.before, one.after) for one in found.updated] == [(api(A), api(C))]
    grown = diff({api(A): 1}, {api(A): 1, api(B): 1})
    assert [one.after for one in grown.added] == [api(B)]
    assert [one.before for one in diff({api(A): 1, api(B): 1}, {api(A): 1}).removed] == [api(B)]


def test_two_tags_of_one_digest_are_one_artifact_in_a_comparison() -> None:
    found = diff({api(A, None): 1, api(A, "1"): 2}, {api(A, "1"): 1})
    [same] = found.unchanged
    assert (same.before, same.count_before, same.count_after) == (api(A, None), 3, 1)


TEXTS = st.text("ab", max_size=2)
INSTANCES = st.dictionaries(st.builds(Running, TEXTS, st.sampled_from([A, B, C]), st.none() | TEXTS), st.integers(1, 9))


@given(INSTANCES, INSTANCES)
def test_every_instance_is_in_exactly_one_place(before: dict[Running, int], after: dict[Running, int]) -> None:
    found = diff(before, after)
    everything = [*found.added, *found.removed, *found.updated, *found.unchanged]
    assert sum(one.count_before for one in everything) == sum(before.values())
    assert sum(one.count_after for one in everything) == sum(after.values())
    assert all(one.before and one.after and one.before.digest == one.after.digest for one in found.unchanged)
    assert all(one.before and one.after and one.before.digest != one.after.digest for one in found.updated)
    assert diff(before, before).is_empty


@given(INSTANCES)
def test_the_hash_does_not_depend_on_the_order(instances: dict[Running, int]) -> None:
    shuffled = list(instances.items())
    random.shuffle(shuffled)
    assert content_hash(dict(shuffled)) == content_hash(instances)


@pytest.mark.parametrize(
    "other", [{api(A): 2}, {api(A, None): 1}, {api(A, ""): 1}, {api(B): 1}, {Running("web", A, "1"): 1}, {}]
)
def test_the_hash_tells_everything_apart(other: dict[Running, int]) -> None:
    assert content_hash(other) != content_hash({api(A): 1})
    assert content_hash({api(A, ""): 1}) != content_hash({api(A, None): 1})
