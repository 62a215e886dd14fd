"""What a CI run tells of itself through its environment variables (facts.md 5.3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_VALUE = 255
MAX_URL = 2048
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What an environment may hold and a trail cannot: bytes that were no UTF-8 are surrogates (PEP 383)."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True)
class CiContext:
    """The git data of a run; None where its variables do not tell, or tell what a trail cannot hold."""

    git_commit_sha: str | None
    git_branch: str | None
    git_author: str | None
    git_author_email: str | None
    build_url: str | None


@dataclass(frozen=True, slots=True)
class _Provider:
    """Where a CI system keeps what. Several names are tried in turn; `build_url` is composed of variables."""

    commit: str
    branch: str
    build_url: str
    author: tuple[str, ...]
    email: tuple[str, ...] = ()


_GITHUB = _Provider(
    commit="GITHUB_SHA",
    branch="GITHUB_REF_NAME",
    build_url="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    author=("GITHUB_ACTOR",),
)
_GITLAB = _Provider(
    commit="CI_COMMIT_SHA",
    branch="CI_COMMIT_REF_NAME",
    build_url="{CI_JOB_URL}",
    author=("GITLAB_USER_NAME", "GITLAB_USER_LOGIN"),
    email=("GITLAB_USER_EMAIL",),
)
_JENKINS = _Provider(
    commit="GIT_COMMIT",
    branch="GIT_BRANCH",
    build_url="{BUILD_URL}",
    author=("CHANGE_AUTHOR",),
    email=("CHANGE_AUTHOR_EMAIL",),
)
_CIRCLE = _Provider(
    commit="CIRCLE_SHA1", branch="CIRCLE_BRANCH", build_url="{CIRCLE_BUILD_URL}", author=("CIRCLE_USERNAME",)
)
_AZURE = _Provider(
    commit="BUILD_SOURCEVERSION",
    branch="BUILD_SOURCEBRANCH",
    build_url="{SYSTEM_TEAMFOUNDATIONCOLLECTIONURI}{SYSTEM_TEAMPROJECT}/_build/results?buildId={BUILD_BUILDID}",
    author=("BUILD_REQUESTEDFOR",),
    email=("BUILD_REQUESTEDFOREMAIL",),
)
_PROVIDERS: Mapping[str, _Provider] = {
    "github-actions": _GITHUB,
    "github_actions": _GITHUB,
    "gitlab-ci": _GITLAB,
    "gitlab_ci": _GITLAB,
    "jenkins": _JENKINS,
    "circleci": _CIRCLE,
    "circle-ci": _CIRCLE,
    "azure-devops": _AZURE,
    "azure_devops": _AZURE,
}


def ci_context(provider: str, variables: Mapping[str, str]) -> CiContext | None:
    """What the variables of a run tell, or None for a CI system we do not know. A blank variable tells nothing."""
    found = _PROVIDERS.get(provider.strip().lower())
    if found is None:
        return None
    told = {name: value.strip() for name, value in variables.items() if value.strip()}
    branch = told.get(found.branch, "").removeprefix("refs/heads/").removeprefix("origin/")
    email = _first(told, found.email)
    return CiContext(
        git_commit_sha=_fitting(told.get(found.commit)),
        git_branch=_fitting(branch),
        git_author=_fitting(_first(told, found.author)),
        git_author_email=_fitting(email) if email and _EMAIL.fullmatch(email) else None,
        build_url=_fitting(_composed(found.build_url, told), MAX_URL),
    )


def _first(told: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((told[name] for name in names if name in told), None)


def _composed(pattern: str, told: Mapping[str, str]) -> str | None:
    try:
        return pattern.format_map(told)
    except KeyError:
        return None


def _fitting(value: str | None, limit: int = MAX_VALUE) -> str | None:
    return value if value and len(value) <= limit and not _NO_TEXT.search(value) else None
