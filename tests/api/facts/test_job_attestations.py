"""Which CI job a trail is about, by the token of the job: recorded once, and only if it is true."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from api.facts.handlers.job_attestations import NOT_ACCEPTED
from storage.services import Services
from tests.api.caller import Answer, Caller, found_organisation, make_holder, unique
from tests.api.jobs import Jobs
from tests.vendors.identity_provider import GITHUB_CLAIMS, Lies

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/v2/attestations/oidc"
COMMIT = str(GITHUB_CLAIMS["sha"])


async def trail_of(api: Caller, **fields: Any) -> str:
    flow = await api.make_flow()
    return str((await api.make_trail(flow["id"], **{"gitCommitSha": COMMIT, **fields}))["id"])


async def record(jobs: Jobs, trail_id: str, token: str, status: int = 201, **headers: str) -> Answer:
    """With the header names in Python's spelling."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await jobs.api.post(PATH, {"trailId": trail_id, "token": token}, status, headers=sent)


async def attestations(jobs: Jobs, trail_id: str) -> Any:
    return (await jobs.api.get(f"/trails/{trail_id}/attestations")).json


async def test_the_job_of_a_trail_is_recorded(jobs: Jobs) -> None:
    await jobs.identity(refPattern="refs/tags/*")
    trail_id = await trail_of(jobs.api, gitCommitSha=COMMIT.upper())
    issued = int(time.time()) - 5
    made = (await record(jobs, trail_id, jobs.token(iat=issued, workflow_ref=None))).json
    assert (made["type"], made["status"], made["gitCommit"]) == ("oidc-provenance", "PASSED", COMMIT)
    details = json.loads(made["details"])
    assert details == {
        "issuer": jobs.idp.issuer,
        "subject": "repo:acme/shop:environment:production",
        "repository": "acme/shop",
        "workflow": None,
        "ref": "refs/heads/main",
        "sha": COMMIT,
        "actor": "ada",
        "runId": "4242",
        "issuedAt": details["issuedAt"],
    }
    assert details["issuedAt"] == time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(issued))
    assert await attestations(jobs, trail_id) == [made]


async def test_the_job_of_gitlab_is_recorded(jobs: Jobs) -> None:
    await jobs.identity(provider="gitlab")
    trail_id = await trail_of(jobs.api, gitCommitSha="b" * 40)
    made = (await record(jobs, trail_id, jobs.idp.gitlab_token(jobs.audience))).json
    found = json.loads(made["details"])
    assert (found["runId"], found["workflow"]) == ("77", "gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main")


async def test_a_job_records_itself(jobs: Jobs) -> None:
    identity = await jobs.identity()
    trail_id, token = await trail_of(jobs.api), jobs.token()
    await record(replace(jobs, api=jobs.job(token)), trail_id, token)
    [event] = (await jobs.api.get(f"/audit?actorId={identity['principalId']}")).json["events"]
    assert (event["eventType"], event["trailId"]) == ("ATTESTATION_RECORDED", trail_id)


async def test_a_token_is_recorded_once(jobs: Jobs) -> None:
    await jobs.identity()
    first, second = await trail_of(jobs.api), await trail_of(jobs.api)
    token = jobs.token(jti="one")
    await record(jobs, first, token)
    for trail_id, again in ((first, token), (second, token), (second, jobs.token(jti="one", actor="eve"))):
        await record(jobs, trail_id, again, 409)
    await record(jobs, second, jobs.token(jti="two"))
    assert len(await attestations(jobs, second)) == 1


async def test_of_two_at_the_same_time_one_is_recorded(jobs: Jobs) -> None:
    await jobs.identity()
    trail_id, token = await trail_of(jobs.api), jobs.token()
    body = {"trailId": trail_id, "token": token}
    answers = await asyncio.gather(*(jobs.api.send("POST", PATH, json=body) for _ in range(5)))
    assert sorted(one.status for one in answers) == [201, 409, 409, 409, 409]


async def test_a_repeated_request_gets_the_first_answer(jobs: Jobs) -> None:
    await jobs.identity()
    trail_id, token = await trail_of(jobs.api), jobs.token()
    key = unique("key")
    first = await record(jobs, trail_id, token, idempotency_key=key)
    again = await record(jobs, trail_id, token, idempotency_key=key)
    assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
    await record(jobs, trail_id, token, 409, idempotency_key=unique("key"))


async def test_a_dry_run_uses_no_token(jobs: Jobs) -> None:
    await jobs.identity()
    trail_id, token = await trail_of(jobs.api), jobs.token()
    shown = await record(jobs, trail_id, token, 200, x_dry_run="true")
    assert shown.json["wouldCreate"]["type"] == "oidc-provenance"
    await record(jobs, trail_id, token)
    await record(jobs, trail_id, token, 409, x_dry_run="true")


WRONG = [
    Lies(unsigned=True),
    Lies(signed_with_public_key=True),
    Lies(header={"kid": "unknown"}),
    Lies(claims={"aud": "sigstore"}),
    Lies(claims={"exp": 1}),
    Lies(claims={"nbf": 2**33}),
    Lies(claims={"jti": None}),
    Lies(claims={"jti": ""}),
    Lies(claims={"event_name": "pull_request_target"}),
]


@pytest.mark.parametrize("lies", WRONG)
async def test_a_wrong_token_is_refused_with_one_message(jobs: Jobs, lies: Lies) -> None:
    await jobs.identity()
    trail_id = await trail_of(jobs.api)
    jobs.idp.lies = lies
    answer = await record(jobs, trail_id, jobs.token(), 422)
    assert answer.json["message"] == NOT_ACCEPTED
    assert await attestations(jobs, trail_id) == []


@pytest.mark.parametrize("token", ["x", "eyJ..", "a.b.c", "\u00e9" * 10])
async def test_what_is_no_token_is_refused(jobs: Jobs, token: str) -> None:
    await record(jobs, await trail_of(jobs.api), token, 422)


async def test_a_token_of_another_commit_names_both(jobs: Jobs) -> None:
    await jobs.identity()
    trail_id = await trail_of(jobs.api, gitCommitSha="c" * 40)
    token = jobs.token()
    message = (await record(jobs, trail_id, token, 422)).json["message"]
    assert COMMIT in message
    assert "c" * 40 in message
    await record(jobs, await trail_of(jobs.api), token)


async def test_a_token_of_a_fork_is_not_of_the_repository_that_the_trail_names(jobs: Jobs) -> None:
    """Both have the same commits."""
    await jobs.identity()
    fork = await trail_of(jobs.api, gitRepository="mallory/shop")
    refused = await record(jobs, fork, jobs.token(), 422)
    assert ("acme/shop" in refused.json["message"], "mallory/shop" in refused.json["message"]) == (True, True)
    await record(jobs, await trail_of(jobs.api, gitRepository="Acme/Shop"), jobs.token())


@pytest.mark.parametrize("claimed", ["oidc-provenance", " OIDC-Provenance"])
async def test_nobody_claims_what_only_a_token_proves(api: Caller, claimed: str) -> None:
    trail_id = await trail_of(api)
    body = {"type": claimed, "status": "PASSED"}
    refused = await api.post(f"/trails/{trail_id}/attestations", body, 400)
    assert (refused.fields, PATH in refused.json["message"]) == (["type"], True)
    await api.post("/attestations", body | {"trailId": trail_id}, 400)
    item = {"trailId": trail_id, "evidenceType": claimed, "tool": "t", "passed": True}
    collected = (await api.send("POST", "/evidence/collect", json={"items": [item]})).json
    assert (collected["accepted"], collected["failed"], PATH in str(collected)) == (0, 1, True)
    assert (await api.get(f"/trails/{trail_id}/attestations")).json == []


async def test_without_a_workload_identity_the_answer_says_what_to_do(jobs: Jobs) -> None:
    trail_id = await trail_of(jobs.api)
    assert "workload identity" in (await record(jobs, trail_id, jobs.token(), 422)).json["message"]
    assert not jobs.idp.seen
    await jobs.identity(repository="acme/other")
    await jobs.identity(repositoryId="1002")
    assert "workload identity" in (await record(jobs, trail_id, jobs.token(), 422)).json["message"]
    await jobs.identity(repositoryId="1001")
    await record(jobs, trail_id, jobs.token())


async def test_a_token_for_another_organisation_is_refused(
    jobs: Jobs, trusting_http: TestClient[Any, Any], trusting: Services
) -> None:
    await jobs.identity()
    other = replace(jobs, api=await found_organisation(trusting_http, trusting))
    await other.identity()
    trail_id = await trail_of(jobs.api)
    await record(jobs, trail_id, other.token(), 422)
    await record(other, trail_id, other.token(), 404)
    await jobs.api.post(PATH, {"trailId": trail_id, "token": jobs.token(), "orgSlug": other.api.tenant.org_slug}, 404)
    await jobs.api.post(PATH, {"trailId": trail_id, "token": jobs.token(), "orgSlug": jobs.api.tenant.org_slug})


async def test_who_may_not_report_or_not_see_the_trail_records_nothing(jobs: Jobs, trusting: Services) -> None:
    await jobs.identity()
    own, other = await jobs.api.make_flow(), await trail_of(jobs.api)
    trail = (await jobs.api.make_trail(own["id"], gitCommitSha=COMMIT))["id"]
    viewer = await make_holder(trusting, jobs.api.tenant, "viewer")
    scoped = await make_holder(trusting, jobs.api.tenant, "reporter", scopes=[f"flow:{own['id']}"])
    await record(replace(jobs, api=replace(jobs.api, key=viewer.key)), trail, jobs.token(), 403)
    await record(replace(jobs, api=replace(jobs.api, key=scoped.key)), other, jobs.token(), 404)
    await record(replace(jobs, api=replace(jobs.api, key=scoped.key)), trail, jobs.token(), 201)
    await record(replace(jobs, api=replace(jobs.api, key=None)), trail, jobs.token(), 401)


async def test_an_issuer_that_cannot_be_asked_is_not_the_callers_fault(jobs: Jobs) -> None:
    await jobs.identity()
    jobs.idp.lies.answers = {"jwks": "html"}
    trail_id, token = await trail_of(jobs.api), jobs.token()
    assert "Retry-After" in (await record(jobs, trail_id, token, 503)).headers
