"""Which artifacts of an environment count."""

import pytest

from domain.environments.artifacts import Running
from domain.environments.environments import MAX_FILTERS, EnvironmentType, Scope, check_scope
from domain.environments.snapshots import within
from domain.errors import Invalid, TooLarge

SCOPE = Scope(
    include_names=["api", "web"],
    include_patterns=["job-.*"],
    exclude_names=["web"],
    exclude_patterns=[".*-test"],
)


@pytest.mark.parametrize(
    ("name", "admitted"),
    [("api", True), ("web", False), ("job-1", True), ("job-test", False), ("my job-1", False), ("other", False)],
)
def test_included_names_count_unless_they_are_excluded(name: str, admitted: bool) -> None:
    assert SCOPE.admits(name) is admitted


def test_without_anything_to_include_all_are_included() -> None:
    assert Scope().admits("anything")
    assert Scope(exclude_patterns=["t.*"]).admits("other")
    assert not Scope(exclude_patterns=["t.*"]).admits("tests")
    assert not Scope()
    assert SCOPE


@pytest.mark.parametrize(
    ("environment_type", "admitted"),
    [
        (EnvironmentType.K8S, {"api", "job-1"}),
        (EnvironmentType.ECS, {"api", "job-1"}),
        (EnvironmentType.LAMBDA, {"api", "job-1"}),
        (EnvironmentType.DOCKER, {"api"}),
        (EnvironmentType.S3, {"api", "web", "job-1", "job-test", "other"}),
        (EnvironmentType.GENERIC, {"api", "web", "job-1", "job-test", "other"}),
    ],
)
def test_the_type_says_how_much_of_the_scope_counts(environment_type: EnvironmentType, admitted: set[str]) -> None:
    scope = SCOPE.of_type(environment_type)
    assert {name for name in ("api", "web", "job-1", "job-test", "other") if scope.admits(name)} == admitted


@pytest.mark.parametrize(
    ("scope", "field"),
    [
        (Scope(include_patterns=["("]), "scope.include.patterns"),
        (Scope(exclude_patterns=["a" * 1001]), "scope.exclude.patterns"),
        (Scope(exclude_patterns=["(?=x)"]), "scope.exclude.patterns"),
        (Scope(include_names=["x"] * (MAX_FILTERS + 1)), "scope.include.names"),
        (Scope(include_patterns=[rf"\pL{number}" for number in range(40)]), "scope"),
    ],
)
def test_a_scope_that_cannot_be_used_is_refused_when_it_is_saved(scope: Scope, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_scope(scope)
    assert [one.field for one in refused.value.details] == [field]


def test_a_pattern_that_backtracks_elsewhere_is_quick() -> None:
    scope = Scope(include_patterns=["(a+)+$"])
    check_scope(scope)
    assert not scope.admits("a" * 10_000 + "!")


def test_more_names_than_the_patterns_can_be_tried_for_are_refused() -> None:
    scope = Scope(include_patterns=["(?:word){100}|w.*"])
    names = {Running(f"word{number}", "sha256:" + "a" * 64, None): 1 for number in range(10_000)}
    with pytest.raises(TooLarge, match="10000 names"):
        within(scope, names)
