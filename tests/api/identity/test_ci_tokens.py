"""CI jobs act with the tokens of their platform, and every way in which such a token can be wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientTimeout
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from api.http import openid
from api.http.rate_limits import RATE_LIMITS, RateLimits
from api.identity import credentials
from api.identity.authentication import NOT_ACCEPTED
from domain.errors import Denial
from domain.identity.rates import RateLimit
from integrations.oidc import answers as provider_answers
from storage.clock import Clock
from storage.services import Services
from tests.api.caller import Caller, found_organisation, make_holder, trail_body, unique
from tests.api.identity.test_denials import counted
from tests.api.identity.test_members import answers, stops
from tests.api.jobs import IDENTITIES, Jobs
from tests.api.test_statements import statements
from tests.vendors.identity_provider import Lies, identity_provider

pytestmark = pytest.mark.asyncio(loop_scope="session")


NOW = int(time.time())


async def refused(job: Caller) -> None:
    before = counted(401, Denial.CI_TOKEN)
    answer = await job.get("/flows", 401)
    assert counted(401, Denial.CI_TOKEN) == before + 1
    assert answer.json["message"] == NOT_ACCEPTED
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519"])
async def test_a_job_acts_as_its_identity(jobs: Jobs, kind: str) -> None:
    jobs.idp.rotate(kind)
    identity = await jobs.identity(role="MEMBER")
    job = replace(jobs.api, key=None)
    headers = {"Authorization": f"Bearer {jobs.token()}"}
    me = (await job.get("/me", headers=headers)).json
    assert (me["kind"], me["name"], me["role"]) == ("workload", identity["name"], "MEMBER")
    assert (me["id"], me["credentialId"]) == (identity["principalId"], identity["id"])
    assert (me["organisation"], me["scopes"]) == (jobs.api.tenant.org_slug, None)
    flow = (await job.post("/flows", {"name": unique("flow")}, headers=headers)).json
    events = (await jobs.api.get(f"/audit?actorId={identity['principalId']}")).json["events"]
    assert [(one["recordId"], one["actorName"], one["credentialId"]) for one in events] == [
        (flow["id"], identity["name"], identity["id"])
    ]


async def test_githubs_repositories_have_no_case(jobs: Jobs) -> None:
    await jobs.identity(repository="ACME/shop")
    await jobs.job(repository="acme/Shop").get("/flows")


async def test_a_job_of_gitlab_acts(jobs: Jobs) -> None:
    identity = await jobs.identity(provider="gitlab", refPattern="refs/heads/*", repositoryId="2002")
    job = jobs.job(jobs.idp.gitlab_token(jobs.audience))
    assert (await job.get("/me")).json["credentialId"] == identity["id"]
    await refused(jobs.job(jobs.idp.gitlab_token(jobs.audience, ref_type="tag")))
    await refused(jobs.job(jobs.idp.gitlab_token(jobs.audience, pipeline_source="merge_request_event")))
    await refused(jobs.job(jobs.idp.gitlab_token(jobs.audience, project_path="Acme/shop")))


async def test_the_address_alone_is_the_audience_of_default(
    jobs: Jobs, trusting_http: TestClient[Any, Any], admin: Caller
) -> None:
    default = replace(jobs, api=replace(admin, client=trusting_http))
    made = await default.identity()
    for audience in (jobs.address, f"{jobs.address}/default", [jobs.address]):
        assert (await jobs.job(aud=audience).get("/me")).json["organisation"] == "default"
    assert (await default.api.send("DELETE", f"{IDENTITIES}/{made['id']}")).status == 204


WRONG = [
    Lies(unsigned=True),
    Lies(signed_with_public_key=True),
    Lies(header={"alg": "ES256"}),
    Lies(header={"kid": "unknown"}),
    Lies(header={"x": "x" * 4000}),
    Lies(claims={"aud": "sigstore"}),
    Lies(claims={"aud": []}),
    Lies(claims={"aud": None}),
    Lies(claims={"exp": NOW - 1}),
    Lies(claims={"exp": None}),
    Lies(claims={"nbf": NOW + 600}),
    Lies(claims={"iat": NOW + 600, "exp": NOW + 1200}),
    Lies(claims={"iat": NOW - 90_000}),
    Lies(claims={"iss": "https://elsewhere.example"}),
    Lies(claims={"iss": None}),
    Lies(claims={"sub": None}),
    Lies(claims={"jti": None}),
    Lies(claims={"sha": 7}),
    Lies(claims={"event_name": "pull_request_target"}),
    Lies(claims={"repository": "acme/other"}),
    Lies(claims={"repository": "acme/shop\0"}),
    Lies(claims={"repository_id": "1002"}),
    Lies(claims={"repository_id": None}),
    Lies(claims={"ref": "refs/heads/feature"}),
    Lies(claims={"ref": "refs/tags/main"}),
    Lies(claims={"environment": "staging"}),
    Lies(claims={"environment": None}),
]


@pytest.mark.parametrize("lies", WRONG)
async def test_a_wrong_token_is_refused_with_one_message(jobs: Jobs, lies: Lies) -> None:
    await jobs.identity(repositoryId="1001", refPattern="refs/heads/ma*", environment="production")
    await jobs.job().get("/flows")
    jobs.idp.lies = lies
    await refused(jobs.job())


async def test_a_changed_token_is_refused(jobs: Jobs) -> None:
    await jobs.identity()
    header, _, signature = jobs.token().split(".")
    await refused(jobs.job(f"{header}.{jobs.token(actor='eve').split('.')[1]}.{signature}"))
    for text in ("eyJ..", "eyJ.e30.", "eyJ!.eyJ!.x", "eyJhbGciOiJSUzI1NiJ9.e30.e30", "eyJ" + "a" * 4000 + ".e30.e30"):
        await refused(jobs.job(text))


async def test_a_header_beyond_all_measure_is_refused(jobs: Jobs) -> None:
    await jobs.identity()
    jobs.idp.lies.header = {"x": "x" * 10_000}
    assert (await jobs.job().send("GET", "/flows")).status in {400, 401}


async def test_a_token_for_another_organisation_is_refused(
    jobs: Jobs, trusting_http: TestClient[Any, Any], trusting: Services
) -> None:
    await jobs.identity()
    other = replace(jobs, api=await found_organisation(trusting_http, trusting))
    await refused(jobs.job(aud=other.audience))
    await other.identity()
    me = (await jobs.job(aud=other.audience).get("/me")).json
    assert me["organisation"] == other.api.tenant.org_slug
    await refused(jobs.job(aud=[jobs.audience, other.audience]))
    await refused(jobs.job(aud=[jobs.audience, "sigstore"]))
    await refused(jobs.job(aud=f"{jobs.address}/{unique('org')}"))


async def test_nobody_is_asked_for_an_issuer_that_no_identity_names(jobs: Jobs) -> None:
    await refused(jobs.job())
    identity = await jobs.identity(issuer="https://elsewhere.example")
    await refused(jobs.job())
    disabled = await jobs.identity()
    await jobs.change(disabled, isActive=False)
    await refused(jobs.job())
    assert not jobs.idp.seen
    assert (await jobs.api.send("DELETE", f"{IDENTITIES}/{identity['id']}")).status == 204
    await jobs.change(disabled, isActive=True)
    await jobs.job().get("/flows")


@pytest.mark.parametrize("path", ["openid-configuration", "jwks"])
@pytest.mark.parametrize("way", ["html", "redirect", "big"])
async def test_an_issuer_that_cannot_be_asked_is_not_the_jobs_fault(jobs: Jobs, path: str, way: str) -> None:
    await jobs.identity()
    jobs.idp.lies.answers = {path: way}
    answer = await jobs.job().get("/flows", 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert "127.0.0.1" not in answer.text


async def test_an_issuer_that_is_down(jobs: Jobs) -> None:
    async with identity_provider() as gone:
        pass
    down = replace(jobs, idp=gone)
    await down.identity()
    assert "Retry-After" in (await down.job().get("/flows", 503)).headers


async def test_asking_for_an_issuer_that_is_down_is_limited(jobs: Jobs, trusting: Services) -> None:
    """Otherwise whoever knows of one has as many tokens looked up as he likes, without any credential."""
    async with identity_provider() as gone:
        pass
    down = replace(jobs, idp=gone)
    await down.identity()
    app = build_app(trusting)
    app[RATE_LIMITS] = RateLimits({RateLimit.FAILED_KEYS: 3})
    async with TestClient(TestServer(app)) as client:
        sent = [(await replace(down.job(), client=client).send("GET", "/flows")).status for _ in range(4)]
    assert sent == [503, 503, 503, 429]


@pytest.mark.parametrize("limit", ["MAX_WAITING", "MAX_ISSUERS"])
async def test_tokens_do_not_pile_up_behind_slow_issuers(
    jobs: Jobs, trusting: Services, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Neither in the memory, nor as connections to as many issuers as an organisation names."""
    monkeypatch.setattr(openid, limit, 2)
    monkeypatch.setattr(provider_answers, "TIMEOUT", ClientTimeout(total=1))
    async with identity_provider("RSA") as quick:
        other = replace(jobs, idp=quick, api=await found_organisation(jobs.api.client, trusting))
        await other.identity()
        issuers = [f"{jobs.idp.issuer}/{n if limit == 'MAX_ISSUERS' else 0}" for n in range(3)]
        for issuer in set(issuers):
            await jobs.identity(issuer=issuer)
        jobs.idp.lies.answers = {"openid-configuration": "slow"}
        async with asyncio.TaskGroup() as group:
            sent = [group.create_task(jobs.job(iss=issuer).send("GET", "/flows")) for issuer in issuers]
            group.create_task(other.job().get("/flows"))
        told = [answer.json["message"] for answer in (one.result() for one in sent) if answer.status == 503]
        assert sorted(message.startswith("Too many") for message in told) == [False, False, True]


async def test_the_issuers_keys_may_rotate(jobs: Jobs) -> None:
    await jobs.identity()
    before = jobs.job()
    await before.get("/flows")
    jobs.idp.rotate("P-256")
    await jobs.job().get("/flows")
    await before.get("/flows")
    assert jobs.idp.seen["jwks"] == 2


async def test_a_token_is_verified_once(jobs: Jobs, trusting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "monotonic", lambda: 0.0)
    await jobs.identity()
    job = jobs.job()
    async with statements(trusting) as seen:
        await asyncio.gather(*(job.get("/me") for _ in range(20)))
    assert len([sql for sql in seen if "w.issuer = $2\nLIMIT 1" in sql]) == 1
    async with statements(trusting) as seen:
        await job.get("/flows")
    assert not [sql for sql in seen if "workload_identities" in sql]
    assert (jobs.idp.seen["openid-configuration"], jobs.idp.seen["jwks"]) == (1, 1)


@dataclass
class MovedClock:
    """Ahead of another clock, as far as told."""

    clock: Clock
    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return self.clock.now() + self.ahead


async def test_an_expired_token_is_refused_though_it_is_known(jobs: Jobs, trusting: Services) -> None:
    clock = MovedClock(trusting.clock)
    await jobs.identity()
    async with TestClient(TestServer(build_app(replace(trusting, clock=clock)))) as client:
        job = replace(jobs.job(exp=int(time.time()) + 300), client=client)
        await job.get("/flows")
        clock.ahead = timedelta(seconds=290)
        await job.get("/flows")
        clock.ahead = timedelta(seconds=300)
        await refused(job)
        old = replace(jobs.job(exp=int(time.time()) + 200_000), client=client)
        await old.get("/flows")
        clock.ahead = timedelta(hours=24)
        await refused(old)


async def test_a_known_token_is_not_read_as_that_of_another_provider(jobs: Jobs) -> None:
    identity = await jobs.identity()
    job = jobs.job()
    await job.get("/flows")
    assert (await jobs.api.send("DELETE", f"{IDENTITIES}/{identity['id']}")).status == 204
    await jobs.identity(provider="gitlab")
    await stops(job)


@pytest_asyncio.fixture(loop_scope="session")
async def processes(trusting: Services) -> AsyncIterator[list[TestClient[Any, Any]]]:
    """Two API processes over one database."""
    async with AsyncExitStack() as stack:
        servers = [TestServer(build_app(trusting)) for _ in range(2)]
        yield [await stack.enter_async_context(TestClient(server)) for server in servers]


@pytest.mark.parametrize("way", ["deleted", "disabled", "another repository", "another environment"])
async def test_a_job_stops_at_once_in_every_process(
    jobs: Jobs, processes: list[TestClient[Any, Any]], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Because the processes are told: by their clock it is the same moment."""
    identity = await jobs.identity(role="MEMBER")
    monkeypatch.setattr(credentials, "monotonic", lambda: 0.0)
    running = [replace(jobs.job(), client=client) for client in processes]
    for job in running:
        await job.get("/flows")
    match way:
        case "deleted":
            assert (await jobs.api.send("DELETE", f"{IDENTITIES}/{identity['id']}")).status == 204
        case "disabled":
            await jobs.change(identity, isActive=False)
        case "another repository":
            await jobs.change(identity, repository="acme/other")
        case _:
            await jobs.change(identity, environment="staging")
    for job in running:
        await stops(job)


async def test_a_lower_role_counts_at_once(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = await jobs.identity(role="MEMBER")
    job = jobs.job()
    await answers(job, 201)
    monkeypatch.setattr(credentials, "monotonic", lambda: 0.0)
    await jobs.change(identity, role="VIEWER")
    await answers(job, 403)


async def test_the_narrowest_identity_decides_and_a_new_one_counts_at_once(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "monotonic", lambda: 0.0)
    wide = await jobs.identity(role="VIEWER")
    job, elsewhere = jobs.job(), jobs.job(ref="refs/heads/feature", environment=None)
    assert (await job.get("/me")).json["credentialId"] == wide["id"]
    narrow = await jobs.identity(environment="production", role="MEMBER")
    await answers(job, 201)
    assert (await job.get("/me")).json["credentialId"] == narrow["id"]
    assert (await elsewhere.get("/me")).json["credentialId"] == wide["id"]


async def test_a_job_stays_in_its_organisation(jobs: Jobs) -> None:
    await jobs.identity(role="ADMIN")
    job = jobs.job()
    for own in (jobs.api.tenant.org_slug, str(jobs.api.tenant.org_id)):
        await job.get("/flows", headers={"X-Trailgate-Organisation": own})
    for foreign in ("default", "no-such-organisation"):
        await job.get("/flows", 404, headers={"X-Trailgate-Organisation": foreign})


async def test_a_job_with_scopes_sees_only_what_they_name(jobs: Jobs) -> None:
    own, other = await jobs.api.make_flow(), await jobs.api.make_flow()
    await jobs.identity(scopes=[f"flow:{own['id']}"])
    job = jobs.job()
    assert (await job.get("/flows")).json == [own]
    await job.get(f"/flows/{own['id']}")
    await job.get(f"/flows/{other['id']}", 404)
    await job.post("/trails", trail_body(own["id"]))
    await job.post("/trails", trail_body(other["id"]), 404)
    await job.get("/audit", 403)


async def test_a_job_makes_no_keys_and_no_sessions_for_itself(jobs: Jobs) -> None:
    identity = await jobs.identity(role="ADMIN")
    job = jobs.job()
    await job.post("/sessions", status=409)
    for kind in ("USER", "SERVICE_ACCOUNT"):
        await job.post("/api-keys", {"ownerId": identity["principalId"], "ownerType": kind, "label": "x"}, 404)


async def test_the_last_use_is_noted(jobs: Jobs, trusting: Services) -> None:
    identity = await jobs.identity()
    async with TestClient(TestServer(build_app(trusting))) as client:  # which writes the uses when it stops
        await replace(jobs.job(), client=client).get("/flows")
    assert (await jobs.api.get(f"{IDENTITIES}/{identity['id']}")).json["lastUsedAt"] is not None


async def test_a_key_that_is_no_token_is_still_a_key(jobs: Jobs, trusting: Services) -> None:
    holder = await make_holder(trusting, jobs.api.tenant, "viewer")
    await replace(jobs.api, key=holder.key).get("/flows")
    answer = await replace(jobs.api, key="eyJ" + "0" * 600).get("/flows", 401)
    assert answer.json["message"] != NOT_ACCEPTED


async def test_of_a_thousand_keys_a_token_is_not_dearer(jobs: Jobs) -> None:
    """In processor time; each token is a new one, and the keys are known."""
    async with identity_provider("P-256") as small, identity_provider("P-256") as large:
        small.lies.extra_keys, large.lies.extra_keys = 9, 999
        few, many = replace(jobs, idp=small), replace(jobs, idp=large)
        for one in (few, many):
            await one.identity()
            await one.job().get("/flows")
        spent = [(await cost(few), await cost(many)) for _ in range(5)]
    assert min(dear for _, dear in spent) < 1.5 * min(cheap for cheap, _ in spent)


async def cost(jobs: Jobs) -> float:
    """Of ten requests, each with a token of its own."""
    running = [jobs.job() for _ in range(10)]
    began = time.process_time()
    for job in running:
        await job.get("/flows")
    return time.process_time() - began
