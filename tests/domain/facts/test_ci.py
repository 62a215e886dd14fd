"""The table of variables, field by field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.ci import MAX_URL, MAX_VALUE, CiContext, ci_context

GITHUB = {
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/payments",
    "GITHUB_RUN_ID": "42",
    "GITHUB_ACTOR": "ada",
}
GITLAB = {
    "CI_COMMIT_SHA": "b" * 40,
    "CI_COMMIT_REF_NAME": "feature/x",
    "CI_JOB_URL": "https://gitlab.example.com/jobs/7",
    "CI_PROJECT_PATH": "acme/payments",
    "GITLAB_USER_NAME": "Ada Lovelace",
    "GITLAB_USER_LOGIN": "ada",
    "GITLAB_USER_EMAIL": "ada@example.com",
}
JENKINS = {
    "GIT_COMMIT": "c" * 40,
    "GIT_BRANCH": "origin/main",
    "BUILD_URL": "https://jenkins.example.com/job/7/",
    "CHANGE_AUTHOR": "ada",
    "CHANGE_AUTHOR_EMAIL": "ada@example.com",
}
CIRCLE = {
    "CIRCLE_SHA1": "d" * 40,
    "CIRCLE_BRANCH": "main",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/acme/payments/7",
    "CIRCLE_USERNAME": "ada",
}
AZURE = {
    "BUILD_SOURCEVERSION": "e" * 40,
    "BUILD_SOURCEBRANCH": "refs/heads/release/1.0",
    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://dev.azure.com/acme/",
    "SYSTEM_TEAMPROJECT": "payments",
    "BUILD_BUILDID": "7",
    "BUILD_REQUESTEDFOR": "Ada Lovelace",
    "BUILD_REQUESTEDFOREMAIL": "ada@example.com",
}
EMAIL = "ada@example.com"
TABLE: list[tuple[tuple[str, ...], dict[str, str], CiContext]] = [
    (
        ("github-actions", "github_actions"),
        GITHUB,
        CiContext("a" * 40, "main", "ada", None, "https://github.com/acme/payments/actions/runs/42", "acme/payments"),
    ),
    (
        ("gitlab-ci", "gitlab_ci"),
        GITLAB,
        CiContext("b" * 40, "feature/x", "Ada Lovelace", EMAIL, "https://gitlab.example.com/jobs/7", "acme/payments"),
    ),
    (("jenkins",), JENKINS, CiContext("c" * 40, "main", "ada", EMAIL, "https://jenkins.example.com/job/7/")),
    (("circleci", "circle-ci"), CIRCLE, CiContext("d" * 40, "main", "ada", None, "https://circleci.com/gh/acme/payments/7")),
    (
        ("azure-devops", "azure_devops"),
        AZURE,
        CiContext("e" * 40, "release/1.0", "Ada Lovelace", EMAIL, "https://dev.azure.com/acme/payments/_build/results?buildId=7"),
    ),
]  # fmt: skip
CASES = [(spelling, variables, expected) for spellings, variables, expected in TABLE for spelling in spellings]


@pytest.mark.parametrize(("provider", "variables", "expected"), CASES)
def test_the_table(provider: str, variables: dict[str, str], expected: CiContext) -> None:
    noise = {"PATH": "/bin", "HOME": "/root", "EMPTY": ""}
    assert ci_context(provider, {**noise, **variables}) == expected
    assert ci_context(f"  {provider.upper()} ", variables) == expected


@pytest.mark.parametrize("provider", ["", " ", "github", "travis-ci", "githubactions", "jenkins-x", "gitlab ci"])
def test_an_unknown_system_is_no_context(provider: str) -> None:
    assert ci_context(provider, {**GITHUB, **GITLAB}) is None


@pytest.mark.parametrize(("provider", "variables", "expected"), CASES)
def test_a_system_without_its_variables_tells_nothing(provider: str, variables: Any, expected: Any) -> None:
    nothing = CiContext(None, None, None, None, None)
    assert ci_context(provider, {}) == nothing
    assert ci_context(provider, dict.fromkeys(variables, " ")) == nothing
    others = {name: value for _, known, _ in TABLE for name, value in known.items() if name not in variables}
    assert ci_context(provider, others) == nothing


@pytest.mark.parametrize("missing", ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID"])
def test_a_composed_url_needs_all_of_its_parts(missing: str) -> None:
    found = ci_context("github-actions", {**GITHUB, missing: ""})
    assert found is not None
    assert found.build_url is None
    assert found.git_commit_sha == "a" * 40


def test_a_composed_url_is_not_a_pattern_twice() -> None:
    found = ci_context("github-actions", {**GITHUB, "GITHUB_REPOSITORY": "{GITHUB_SHA}"})
    assert found is not None
    assert found.build_url == "https://github.com/{GITHUB_SHA}/actions/runs/42"


@pytest.mark.parametrize(
    ("told", "branch"),
    [
        ("refs/heads/main", "main"),
        ("origin/main", "main"),
        ("feature/origin/x", "feature/origin/x"),
        ("refs/pull/7/merge", "refs/pull/7/merge"),
        ("refs/heads/", None),
        (" main\n", "main"),
        ("x" * MAX_VALUE, "x" * MAX_VALUE),
        ("x" * (MAX_VALUE + 1), None),
        ("bad \ud800", None),
        ("two\nlines", None),
    ],
)
def test_a_branch_is_its_plain_name(told: str, branch: str | None) -> None:
    found = ci_context("jenkins", {**JENKINS, "GIT_BRANCH": told})
    assert found is not None
    assert found.git_branch == branch


def test_the_login_stands_in_for_a_name_that_is_not_told() -> None:
    found = ci_context("gitlab-ci", {**GITLAB, "GITLAB_USER_NAME": ""})
    assert found is not None
    assert found.git_author == "ada"


@pytest.mark.parametrize("email", ["nobody", "a b@example.com", "@", "a@" + "b" * 255])
def test_what_is_no_address_is_not_taken_for_one(email: str) -> None:
    found = ci_context("gitlab-ci", {**GITLAB, "GITLAB_USER_EMAIL": email})
    assert found is not None
    assert found.git_author_email is None


def test_a_url_may_be_longer_than_a_name() -> None:
    for length, kept in ((MAX_URL, True), (MAX_URL + 1, False)):
        found = ci_context("jenkins", {"BUILD_URL": "h" * length})
        assert found is not None
        assert (found.build_url is not None) == kept


@given(st.sampled_from([provider for provider, _, _ in CASES]), st.data())
def test_whatever_the_variables_say_the_values_fit_a_trail(provider: str, data: st.DataObject) -> None:
    [variables] = [known for spelling, known, _ in CASES if spelling == provider]
    drawn = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(variables, st.text(max_size=300))))
    found = ci_context(provider, drawn)
    assert found is not None
    for value in (found.git_commit_sha, found.git_branch, found.git_author, found.git_author_email):
        assert value is None or (0 < len(value) <= MAX_VALUE and value.strip() and "\0" not in value)
