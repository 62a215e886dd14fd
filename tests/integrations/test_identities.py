"""What ran, as each sender tells it apart: deliveries that outsiders found to hide each other's failures."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hmac import digest
from typing import Any

import pytest

from integrations import SENDERS
from integrations.contract import AttestationHint, Delivery
from tests.paths import FIXTURES

NOW = datetime(2026, 11, 29, 10, 5, tzinfo=UTC)
SECRET = "a secret"


def hmac_of(body: bytes) -> str:
    return digest(SECRET.encode(), body, "sha256").hex()


def github(event: str) -> Callable[[bytes], dict[str, str]]:
    return lambda body: {"x-hub-signature-256": f"sha256={hmac_of(body)}", "x-github-event": event}


def gitlab(body: bytes) -> dict[str, str]:
    return {"x-gitlab-token": SECRET}


def circleci(body: bytes) -> dict[str, str]:
    return {"circleci-signature": f"v1={hmac_of(body)}"}


def azure_devops(body: bytes) -> dict[str, str]:
    return {"x-trailgate-token": SECRET}


HEADERS: Mapping[str, Callable[[bytes], dict[str, str]]] = {
    "github__same_job_of_two_workflows": github("check_run"),
    "github__name_of_each_run": github("workflow_run"),
    "github__push_and_pull_request": github("workflow_run"),
    "github__two_deployments_to_one_environment": github("deployment_status"),
    "gitlab__name_of_each_pipeline": gitlab,
    "circleci__job_of_two_workflows": circleci,
    "azure_devops__name_in_two_folders": azure_devops,
}


def hints(name: str) -> list[AttestationHint]:
    """What the deliveries attest, each through the verification and the parser of its sender."""
    sender = SENDERS[name.partition("__")[0].upper()]
    found: list[AttestationHint] = []
    documents: list[dict[str, Any]] = json.loads((FIXTURES / "identities" / f"{name}.json").read_bytes())
    for document in documents:
        body = json.dumps(document).encode()
        verified = sender.verify(HEADERS[name](body), body, [SECRET], NOW)
        found += sender.parse(Delivery(verified.event, {}, body)).attestations
    return found


def test_every_recorded_case_is_told() -> None:
    assert sorted(HEADERS) == sorted(path.stem for path in (FIXTURES / "identities").iterdir())


@pytest.mark.parametrize(
    ("name", "identities"),
    [
        (
            "github__same_job_of_two_workflows",
            ["check | github-actions | suite 1 | test", "check | github-actions | suite 2 | test"],
        ),
        (
            "github__push_and_pull_request",
            [
                "workflow | .github/workflows/ci.yml | pull_request",
                "workflow | .github/workflows/ci.yml | push",
            ],
        ),
        (
            "github__two_deployments_to_one_environment",
            ["deployment | production | deploy:api", "deployment | production | deploy:web"],
        ),
        ("circleci__job_of_two_workflows", ["job | build-test | build", "job | nightly | build"]),
        (
            "azure_devops__name_in_two_folders",
            ["pipeline | \\backend | CI", "pipeline | \\frontend | CI"],
        ),
    ],
)
def test_what_ran_apart_is_told_apart_under_one_name(name: str, identities: list[str]) -> None:
    failed, passed = hints(name)
    assert [failed.identity, passed.identity] == identities
    assert (failed.status, passed.status) == ("FAILED", "PASSED")
    assert failed.name == passed.name


@pytest.mark.parametrize(
    ("name", "identity", "names"),
    [
        ("github__name_of_each_run", "workflow | .github/workflows/ci.yml | push", ["Deploy", "Deploy"]),
        ("gitlab__name_of_each_pipeline", "pipeline | push", ["Build 111", "Build 112"]),
    ],
)
def test_a_new_run_replaces_the_failure_whatever_it_is_called(name: str, identity: str, names: list[str]) -> None:
    failed, passed = hints(name)
    assert (failed.identity, passed.identity) == (identity, identity)
    assert (failed.status, passed.status) == ("FAILED", "PASSED")
    assert [failed.name, passed.name] == names


def test_the_checks_of_a_run_are_superseded_with_it() -> None:
    """Their identities name the suite, which is another one in every run."""
    assert [hint.run for hint in hints("github__same_job_of_two_workflows")] == ["1", "2"]
    assert [hint.run for hint in hints("gitlab__name_of_each_pipeline")] == ["111", "112"]
