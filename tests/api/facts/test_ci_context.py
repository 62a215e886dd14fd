"""Trails filled by a CI system."""

import os
from typing import Any
from uuid import uuid4

import pytest

from tests.api.caller import COMMIT, Caller, trail_body

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEADER = "X-Factstore-CI-Context"
GITHUB = {
    "GITHUB_SHA": "a" * 40,
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/payments",
    "GITHUB_RUN_ID": "42",
    "GITHUB_ACTOR": "ada",
}
FILLED = {
    "gitCommitSha": "a" * 40,
    "gitBranch": "main",
    "gitAuthor": "ada",
    "gitAuthorEmail": "unknown",
    "buildUrl": "https://github.com/acme/payments/actions/runs/42",
}
NAMES = ("GITHUB_", "GITLAB_", "CI_", "CIRCLE_", "BUILD_", "SYSTEM_", "GIT_", "CHANGE_")


@pytest.fixture(autouse=True)
def _no_ci_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run in a CI job themselves."""
    for name in [name for name in os.environ if name.startswith(NAMES)]:
        monkeypatch.delenv(name)


async def open_trail(api: Caller, ci: str | None = "github-actions", status: int = 201, **body: Any) -> Any:
    flow = await api.make_flow()
    headers = {} if ci is None else {HEADER: ci}
    return (await api.post("/trails", {"flowId": flow["id"], **body}, status=status, headers=headers)).json


def told(trail: Any) -> dict[str, Any]:
    return {name: trail[name] for name in FILLED}


async def test_the_servers_variables_fill_the_trail(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    assert told(await open_trail(api)) == FILLED


async def test_a_map_in_the_body_fills_it_on_a_server_without_variables(api: Caller) -> None:
    assert told(await open_trail(api, ciEnvironment=GITHUB)) == FILLED


async def test_the_map_is_never_mixed_with_the_servers_variables(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two runs tell must not end in one record."""
    monkeypatch.setenv("GITHUB_ACTOR", "mallory")
    monkeypatch.setenv("GITHUB_REF_NAME", "theirs")
    sent = {"GITHUB_SHA": "b" * 40, "GITHUB_REF_NAME": "ours"}
    trail = await open_trail(api, ciEnvironment=sent)
    assert told(trail) == {
        "gitCommitSha": "b" * 40,
        "gitBranch": "ours",
        "gitAuthor": "unknown",
        "gitAuthorEmail": "unknown",
        "buildUrl": None,
    }


async def test_the_body_wins(api: Caller) -> None:
    own: dict[str, Any] = {
        "gitCommitSha": COMMIT,
        "gitBranch": "refs/heads/as-sent",
        "gitAuthor": "Grace",
        "gitAuthorEmail": "grace@example.com",
        "buildUrl": "",  # given is given
    }
    assert told(await open_trail(api, ciEnvironment=GITHUB, **own)) == own
    partly = await open_trail(api, ciEnvironment=GITHUB, gitBranch="mine", gitCommitSha=None)
    assert told(partly) == {**FILLED, "gitBranch": "mine"}


OTHERS: dict[str, dict[str, str]] = {
    "gitlab-ci": {
        "CI_COMMIT_SHA": "a" * 40,
        "CI_COMMIT_REF_NAME": "refs/heads/main",
        "CI_JOB_URL": "https://ci.example.com/7",
        "GITLAB_USER_LOGIN": "ada",
        "GITLAB_USER_EMAIL": "ada@example.com",
    },
    "jenkins": {
        "GIT_COMMIT": "a" * 40,
        "GIT_BRANCH": "origin/main",
        "BUILD_URL": "https://ci.example.com/7",
        "CHANGE_AUTHOR": "ada",
        "CHANGE_AUTHOR_EMAIL": "ada@example.com",
    },
    "circleci": {
        "CIRCLE_SHA1": "a" * 40,
        "CIRCLE_BRANCH": "main",
        "CIRCLE_BUILD_URL": "https://ci.example.com/7",
        "CIRCLE_USERNAME": "ada",
    },
    "azure-devops": {
        "BUILD_SOURCEVERSION": "a" * 40,
        "BUILD_SOURCEBRANCH": "refs/heads/main",
        "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://ci.example.com/",
        "SYSTEM_TEAMPROJECT": "p",
        "BUILD_BUILDID": "7",
        "BUILD_REQUESTEDFOR": "ada",
        "BUILD_REQUESTEDFOREMAIL": "ada@example.com",
    },
}


@pytest.mark.parametrize("system", OTHERS)
async def test_every_system_of_the_table(api: Caller, system: str) -> None:
    trail = await open_trail(api, system, ciEnvironment=OTHERS[system])
    knows_email = any("EMAIL" in name for name in OTHERS[system])
    url = (
        "https://ci.example.com/p/_build/results?buildId=7" if system == "azure-devops" else "https://ci.example.com/7"
    )
    assert told(trail) == {
        **FILLED,
        "gitAuthorEmail": "ada@example.com" if knows_email else "unknown",
        "buildUrl": url,
    }


@pytest.mark.parametrize("spelling", ["GitHub-Actions", " github_actions "])
async def test_a_system_is_named_in_any_case(api: Caller, spelling: str) -> None:
    assert told(await open_trail(api, spelling, ciEnvironment=GITHUB)) == FILLED


@pytest.mark.parametrize("system", ["travis-ci", "", "x" * 300])
async def test_an_unknown_system_is_ignored(api: Caller, system: str) -> None:
    refused = await open_trail(api, system, status=400, ciEnvironment=GITHUB)
    fields = [detail["field"] for detail in refused["details"]]
    assert fields == ["gitCommitSha", "gitBranch", "gitAuthor"]
    full = trail_body("")
    del full["flowId"]
    assert told(await open_trail(api, system, ciEnvironment=GITHUB, **full)) == {**full, "buildUrl": None}


async def test_without_the_header_the_map_is_ignored(api: Caller) -> None:
    refused = await open_trail(api, None, status=400, ciEnvironment=GITHUB)
    assert "gitCommitSha" in refused["message"]


@pytest.mark.parametrize(
    ("without", "missing"),
    [(["GITHUB_SHA"], ["gitCommitSha"]), (["GITHUB_SHA", "GITHUB_REF_NAME"], ["gitCommitSha", "gitBranch"])],
)
async def test_what_nobody_tells_is_named(api: Caller, without: list[str], missing: list[str]) -> None:
    sent = {name: value for name, value in GITHUB.items() if name not in without}
    refused = await open_trail(api, status=400, ciEnvironment=sent)
    assert [detail["field"] for detail in refused["details"]] == missing
    blank = await open_trail(api, status=400, ciEnvironment={**GITHUB, **dict.fromkeys(without, " ")})
    assert [detail["field"] for detail in blank["details"]] == missing


async def test_a_system_without_any_variable_is_400(api: Caller) -> None:
    refused = await open_trail(api, status=400)
    assert [detail["field"] for detail in refused["details"]] == ["gitCommitSha", "gitBranch"]


async def test_an_unknown_flow_is_404_before_that(api: Caller) -> None:
    for headers in ({}, {HEADER: "github-actions"}):
        await api.post("/trails", {"flowId": str(uuid4())}, status=404, headers=headers)


@pytest.mark.parametrize("value", ["a" * 256, "a\nb", "\u0007"])
async def test_a_variable_that_no_trail_can_hold_is_not_there(api: Caller, value: str) -> None:
    refused = await open_trail(api, status=400, ciEnvironment={**GITHUB, "GITHUB_SHA": value})
    assert [detail["field"] for detail in refused["details"]] == ["gitCommitSha"]


async def test_bytes_that_are_no_text_in_the_servers_environment(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """os.environ holds them as lone surrogates (PEP 383)."""
    for name, value in {**GITHUB, "GITHUB_ACTOR": b"ad\xe4".decode("utf-8", "surrogateescape")}.items():
        monkeypatch.setenv(name, value)
    assert told(await open_trail(api)) == {**FILLED, "gitAuthor": "unknown"}


async def test_the_map_holds_texts_only(api: Caller) -> None:
    refused = await open_trail(api, status=400, ciEnvironment={"GITHUB_SHA": 7})
    assert [detail["field"] for detail in refused["details"]] == ["ciEnvironment.GITHUB_SHA"]


async def test_a_dry_run_resolves_as_well(api: Caller) -> None:
    flow = await api.make_flow()
    headers = {HEADER: "github-actions", "X-Dry-Run": "true"}
    body = {"flowId": flow["id"], "ciEnvironment": GITHUB}
    rehearsed = (await api.post("/trails", body, status=200, headers=headers)).json
    assert told(rehearsed["wouldCreate"]) == FILLED
    assert (await api.get("/trails")).json == []


async def test_the_variables_themselves_are_not_kept(api: Caller) -> None:
    """A CI environment is full of secrets."""
    trail = await open_trail(api, ciEnvironment={**GITHUB, "DEPLOY_TOKEN": "hunter2"})
    shown = (await api.get(f"/trails/{trail['id']}")).text + (await api.get("/audit")).text
    assert "hunter2" not in shown
