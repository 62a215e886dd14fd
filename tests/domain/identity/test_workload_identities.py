"""Which jobs a workload identity admits, and which of several decides."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from domain.errors import Invalid
from domain.identity.workload_identities import (
    Rule,
    WorkloadTerms,
    checked_terms,
    ci_issuer,
    deciding,
    organisation_named,
)
from domain.identity.workloads import GITHUB_ISSUER, GITLAB_ISSUER, WorkloadProvider, workload_of
from tests.domain.identity.test_workloads import CLAIMS

GITHUB, GITLAB = WorkloadProvider.GITHUB, WorkloadProvider.GITLAB
JOB = workload_of(GITHUB, CLAIMS[GITHUB])
ANY = Rule(UUID(int=1), None, None, None)
TERMS = WorkloadTerms("ci", None, "reporter", "Acme/Shop", None, None, None, None)
ADDRESS = "https://trailgate.example"


@pytest.mark.parametrize(
    ("conditions", "admitted"),
    [
        ({}, True),
        ({"repository_id": "1001"}, True),
        ({"repository_id": "1002"}, False),
        ({"environment": "production"}, True),
        ({"environment": "Production"}, False),
        ({"ref_pattern": "refs/heads/main"}, True),
        ({"ref_pattern": "refs/heads/mai"}, False),
        ({"ref_pattern": "refs/heads/mai*"}, True),
        ({"ref_pattern": "refs/heads/main*"}, True),
        ({"ref_pattern": "refs/heads/main/*"}, False),
        ({"ref_pattern": "refs/tags/*"}, False),
        ({"ref_pattern": "refs/*"}, True),
        ({"ref_pattern": "refs/heads/Main"}, False),
        ({"ref_pattern": "refs/heads/main", "environment": "staging"}, False),
    ],
)
def test_a_rule_admits_the_jobs_that_meet_all_its_conditions(conditions: dict[str, Any], admitted: bool) -> None:
    assert replace(ANY, **conditions).admits(JOB) is admitted


def test_a_rule_with_a_condition_refuses_a_job_that_does_not_say() -> None:
    silent = replace(JOB, environment=None, repository_id=None)
    assert ANY.admits(silent)
    assert not replace(ANY, environment="production").admits(silent)
    assert not replace(ANY, repository_id="1001").admits(silent)


def test_the_narrowest_rule_decides() -> None:
    rules = [
        ANY,
        replace(ANY, id=UUID(int=2), ref_pattern="refs/heads/*"),
        replace(ANY, id=UUID(int=3), ref_pattern="refs/heads/main"),
        replace(ANY, id=UUID(int=4), ref_pattern="refs/heads/main"),
        replace(ANY, id=UUID(int=5), environment="production"),
        replace(ANY, id=UUID(int=6), environment="staging", ref_pattern="refs/heads/main"),
    ]
    assert deciding(rules, JOB) == rules[4]
    assert deciding(rules[:4], JOB) == rules[2]
    assert deciding(rules[:2], JOB) == rules[1]
    assert deciding(rules[5:], JOB) is None
    assert deciding([], JOB) is None


def test_the_issuer_is_the_platforms_unless_given() -> None:
    assert ci_issuer(GITHUB, None, http_allowed=False).issuer == GITHUB_ISSUER
    assert ci_issuer(GITLAB, None, http_allowed=False).issuer == GITLAB_ISSUER
    assert ci_issuer(GITLAB, "https://git.example.com", http_allowed=False).issuer == "https://git.example.com"
    assert ci_issuer(GITLAB, "http://git.example.com", http_allowed=True).issuer == "http://git.example.com"


@pytest.mark.parametrize("issuer", ["http://a.example", GITLAB_ISSUER])
def test_a_bad_issuer_is_named(issuer: str) -> None:
    with pytest.raises(Invalid, match="issuer"):
        ci_issuer(GITHUB, issuer, http_allowed=False)


def test_only_githubs_repositories_have_no_case() -> None:
    assert checked_terms(GITHUB, TERMS).repository == "acme/shop"
    assert checked_terms(GITLAB, TERMS).repository == "Acme/Shop"
    assert checked_terms(GITLAB, replace(TERMS, repository="a/b/c.d-e")).repository == "a/b/c.d-e"


@pytest.mark.parametrize(
    "repository", ["acme", "acme/", "/shop", "a/b/c", "a b/c", "a/b\n", "https://github.com/a/b", "é/a"]
)
def test_a_bad_repository_is_named(repository: str) -> None:
    with pytest.raises(Invalid, match="repository"):
        checked_terms(GITHUB, replace(TERMS, repository=repository))


@pytest.mark.parametrize(
    "pattern", ["main", "refs", "*", "refs/*/main", "refs/**", "refs/heads/a b", "refs/heads/a\n", ""]
)
def test_a_bad_pattern_is_named(pattern: str) -> None:
    with pytest.raises(Invalid, match="refPattern"):
        checked_terms(GITHUB, replace(TERMS, ref_pattern=pattern))


@pytest.mark.parametrize(
    ("audience", "slug"),
    [
        (ADDRESS, "default"),
        (f"{ADDRESS}/default", "default"),
        (f"{ADDRESS}/acme", "acme"),
        (f"{ADDRESS}/", None),
        (f"{ADDRESS}/acme/", None),
        (f"{ADDRESS}/acme/x", None),
        (f"{ADDRESS}/Acme", None),
        (f"{ADDRESS}/a\0", None),
        (f"{ADDRESS}.evil.example/acme", None),
        ("https://elsewhere.example/acme", None),
        ("acme", None),
        ("", None),
    ],
)
def test_an_audience_names_an_organisation(audience: str, slug: str | None) -> None:
    assert organisation_named(audience, ADDRESS) == slug
