"""The git data of a CI run, read from its environment variables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_VALUE = 255
MAX_URL = 2048
_UNSTORABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that a variable may contain but a trail may not. Bytes that are not UTF-8 are surrogates (PEP 383)."""
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True)
class CiContext:
    """The git data of a run. A field is None if its variable is missing or its value cannot be stored."""

    git_commit_sha: str | None
    git_branch: str | None
    git_author: str | None
    git_author_email: str | None
    build_url: str | None
    git_repository: str | None = None


@dataclass(frozen=True, slots=True)
class _Provider:
    """The variables of a CI system. Several names are tried in turn; `build_url` is a pattern of variables.

    `repository` is named as the system's own tokens and webhooks name it; not all systems have such a variable.
    """

    commit: str
    branch: str
    build_url: str
    author: tuple[str, ...]
    email: tuple[str, ...] = ()
    repository: str | None = None


_GITHUB = _Provider(
    commit="GITHUB_SHA",
    branch="GITHUB_REF_NAME",
    build_url="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    author=("GITHUB_ACTOR",),
    repository="GITHUB_REPOSITORY",
)
_GITLAB = _Provider(
    commit="CI_COMMIT_SHA",
    branch="CI_COMMIT_REF_NAME",
    build_url="{CI_JOB_URL}",
    author=("GITLAB_USER_NAME", "GITLAB_USER_LOGIN"),
    email=("GITLAB_USER_EMAIL",),
    repository="CI_PROJECT_PATH",
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
    """Read the git data from a run's variables; None for an unknown CI system. Blank variables count as missing."""
    found = _PROVIDERS.get(provider.strip().lower())
    if found is None:
        return None
    given = {name: value.strip() for name, value in variables.items() if value.strip()}
    branch = given.get(found.branch, "").removeprefix("refs/heads/").removeprefix("origin/")
    email = _first(given, found.email)
    return CiContext(
        git_commit_sha=_storable(given.get(found.commit)),
        git_branch=_storable(branch),
        git_author=_storable(_first(given, found.author)),
        git_author_email=_storable(email) if email and _EMAIL.fullmatch(email) else None,
        build_url=_storable(_composed(found.build_url, given), MAX_URL),
        git_repository=_storable(given.get(found.repository)) if found.repository else None,
    )


def _first(given: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((given[name] for name in names if name in given), None)


def _composed(pattern: str, given: Mapping[str, str]) -> str | None:
    try:
        return pattern.format_map(given)
    except KeyError:
        return None


def _storable(value: str | None, limit: int = MAX_VALUE) -> str | None:
    return value if value and len(value) <= limit and not _UNSTORABLE.search(value) else None
