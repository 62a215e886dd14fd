"""CI jobs, read from the claims of their tokens."""

from typing import Any

import pytest

from domain.errors import Unauthenticated
from domain.identity.workloads import WorkloadProvider, workload_of
from tests.vendors.identity_provider import GITHUB_CLAIMS, GITLAB_CLAIMS

COMMON = {"iss": "https://ci.example", "jti": "1", "iat": 1_700_000_000, "exp": 1_700_000_600}
CLAIMS: dict[WorkloadProvider, dict[str, Any]] = {
    WorkloadProvider.GITHUB: {**COMMON, **GITHUB_CLAIMS},
    WorkloadProvider.GITLAB: {**COMMON, **GITLAB_CLAIMS},
}


@pytest.mark.parametrize("provider", WorkloadProvider)
def test_a_job_is_read(provider: WorkloadProvider) -> None:
    job = workload_of(provider, CLAIMS[provider])
    assert (job.repository, job.ref, job.environment) == ("acme/shop", "refs/heads/main", "production")
    assert (job.actor, job.token_id, job.issued_at.timestamp()) == ("ada", "1", 1_700_000_000)


def test_a_tag_is_a_ref() -> None:
    claims = {**CLAIMS[WorkloadProvider.GITLAB], "ref": "v1", "ref_type": "tag", "environment": None}
    job = workload_of(WorkloadProvider.GITLAB, claims)
    assert (job.ref, job.environment) == ("refs/tags/v1", None)


@pytest.mark.parametrize("provider", WorkloadProvider)
@pytest.mark.parametrize("name", ["iss", "sub", "ref", "sha", "jti", "iat", "exp"])
@pytest.mark.parametrize("value", [None, "", ["a"], True, "a\0", "x" * 1001])
def test_a_claim_that_is_missing_or_odd(provider: WorkloadProvider, name: str, value: Any) -> None:
    with pytest.raises(Unauthenticated, match=f"'{name}'"):
        workload_of(provider, {**CLAIMS[provider], name: value})


def test_gitlab_must_say_what_a_ref_is() -> None:
    with pytest.raises(Unauthenticated, match="'ref_type'"):
        workload_of(WorkloadProvider.GITLAB, {**CLAIMS[WorkloadProvider.GITLAB], "ref_type": "merge"})


@pytest.mark.parametrize(
    ("provider", "claims"),
    [
        (WorkloadProvider.GITHUB, {"event_name": "pull_request_target"}),
        (WorkloadProvider.GITLAB, {"pipeline_source": "merge_request_event"}),
        (WorkloadProvider.GITLAB, {"pipeline_source": "external_pull_request_event"}),
        (WorkloadProvider.GITLAB, {"pipeline_source": "parent_pipeline"}),
        (WorkloadProvider.GITHUB, {"event_name": ["pull_request_target"]}),
        (WorkloadProvider.GITLAB, {"pipeline_source": {"merge_request_event": 1}}),
        (WorkloadProvider.GITHUB, {"event_name": None}),
        (WorkloadProvider.GITLAB, {"pipeline_source": None}),
    ],
)
def test_a_job_that_a_stranger_may_have_started_is_refused(provider: WorkloadProvider, claims: dict[str, Any]) -> None:
    [name] = claims
    with pytest.raises(Unauthenticated, match=f"'{name}'"):
        workload_of(provider, {**CLAIMS[provider], **claims})


def test_a_pull_request_is_known_by_its_ref() -> None:
    claims = {**CLAIMS[WorkloadProvider.GITHUB], "event_name": "pull_request", "ref": "refs/pull/7/merge"}
    assert workload_of(WorkloadProvider.GITHUB, claims).ref == "refs/pull/7/merge"


@pytest.mark.parametrize("provider", WorkloadProvider)
def test_what_a_platform_may_leave_out(provider: WorkloadProvider) -> None:
    left_out = ("environment", "repository_id", "project_id", "workflow_ref", "ci_config_ref_uri")
    claims = {name: value for name, value in CLAIMS[provider].items() if name not in left_out}
    job = workload_of(provider, claims)
    assert (job.environment, job.repository_id, job.workflow) == (None, None, None)
