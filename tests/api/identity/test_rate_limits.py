"""Rate limits over HTTP, with small numbers; every test comes from addresses of its own, named by a trusted proxy."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY

from api.app import build_app
from api.http.calls import SERVICES, Call, Route
from api.http.middleware import install
from api.http.rate_limits import RATE_LIMITS, RateLimits, rate_limits_shared
from api.http.transport.addresses import PROXIES
from api.identity.authentication import ORGANISATION_HEADER
from api.identity.credentials import CREDENTIALS
from api.monitoring.routes import PROBES
from domain.addresses import networks
from domain.identity.rates import RateLimit
from storage.services import Services
from tests.api.caller import SECRET, Answer, Caller, found_organisation, make_holder, sign
from tests.api.http.sample import FACTS
from tests.api.table import ENDPOINTS
from tests.api.test_statements import statements
from tests.conftest import Installation
from tests.journeys.waiting import eventually

FEW = 3
LOOK_UP = "JOIN memberships"

Open = Callable[..., AbstractAsyncContextManager[TestClient[Any, Any]]]


@pytest.fixture
def opened(installation: Installation, services: Services, tmp_path: Path) -> Open:
    """Opens an API process with these limits; several share what is used of them."""

    @asynccontextmanager
    async def open_process(**rates: int) -> AsyncIterator[TestClient[Any, Any]]:
        settings = installation.settings(
            tmp_path, trusted_proxies="127.0.0.0/8", **{f"rate_{name}": rate for name, rate in rates.items()}
        )
        limited = replace(services, settings=settings)
        async with TestClient(TestServer(build_app(limited))) as client:
            yield client

    return open_process


@pytest.fixture
def address() -> str:
    """One that nobody else has."""
    digits = uuid4().hex
    return f"2001:db8:{digits[:4]}:{digits[4:8]}::{digits[8:12]}"


def via(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


def limited_by(limit: RateLimit) -> float:
    return REGISTRY.get_sample_value("trailgate_rate_limited_total", {"limit": limit}) or 0.0


def assert_throttled(answer: Answer, limit: RateLimit, most: int = FEW) -> None:
    assert answer.status == 429
    assert answer.json["limit"] == limit
    assert str(limit) in answer.json["message"]
    assert 1 <= int(answer.headers["Retry-After"]) <= 120
    assert (answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"]) == (str(most), "0")
    assert int(answer.headers["RateLimit-Reset"]) >= int(answer.headers["Retry-After"])


async def test_a_key_is_throttled_and_told_how_much_is_left(opened: Open, services: Services) -> None:
    async with opened(requests_per_key=FEW) as client:
        founder = await found_organisation(client, services)
        before = limited_by(RateLimit.KEY)
        left = [(await founder.get("/flows")).headers["RateLimit-Remaining"] for _ in range(FEW)]
        assert left == ["2", "1", "0"]
        assert_throttled(await founder.send("GET", "/flows"), RateLimit.KEY)
        assert_throttled(await founder.send("POST", "/flows", json={"name": "x"}), RateLimit.KEY)
        assert limited_by(RateLimit.KEY) == before + 2
        holder = await make_holder(services, founder.tenant, "viewer")
        await replace(founder, key=holder.key).get("/flows")


async def test_refused_requests_count_as_well(opened: Open, services: Services) -> None:
    """A denied write is audited: it must not be for free."""
    async with opened(requests_per_key=FEW) as client:
        founder = await found_organisation(client, services)
        viewer = replace(founder, key=(await make_holder(services, founder.tenant, "viewer")).key)
        answers = [await viewer.send("POST", "/flows", json={"name": "x"}) for _ in range(FEW - 1)]
        answers += [await viewer.send("GET", "/flows", headers={ORGANISATION_HEADER: "another"}) for _ in range(2)]
        assert [answer.status for answer in answers] == [403, 403, 404, 429]
        assert answers[0].headers["RateLimit-Remaining"] == "2"


async def test_an_organisation_is_throttled_however_many_keys_it_has(opened: Open, services: Services) -> None:
    async with opened(requests_per_organisation=FEW) as client:
        founder, stranger = [await found_organisation(client, services) for _ in range(2)]
        for _ in range(FEW):
            await replace(founder, key=(await make_holder(services, founder.tenant, "viewer")).key).get("/flows")
        assert_throttled(await founder.send("GET", "/flows"), RateLimit.ORGANISATION)
        await stranger.get("/flows")


async def test_two_processes_share_a_bucket(opened: Open, services: Services) -> None:
    async with opened(requests_per_key=100) as first, opened(requests_per_key=100) as second:
        founder = await found_organisation(first, services)
        for _ in range(60):
            await founder.get("/flows")

        async def known() -> bool:
            answer = await Caller(second, founder.key).get("/flows")
            return int(answer.headers["RateLimit-Remaining"]) < 60

        await eventually(known, 5, "what the other process let through")


async def guess(client: TestClient[Any, Any], address: str) -> Answer:
    return await Caller(client, uuid4().hex).send("GET", "/flows", headers=via(address))


async def test_after_some_bad_keys_an_address_is_refused_without_a_look_up(
    opened: Open, services: Services, address: str
) -> None:
    async with opened(failed_keys_per_address=FEW) as client:
        assert [(await guess(client, address)).status for _ in range(FEW)] == [401] * FEW
        async with statements(services) as seen:
            for _ in range(5):
                assert_throttled(await guess(client, address), RateLimit.FAILED_KEYS)
        assert [sql for sql in seen if LOOK_UP in sql] == []
        neighbour = address.rpartition(":")[0] + ":1"
        assert (await guess(client, neighbour)).status == 429, "one client has the whole /64 network"
        assert (await guess(client, "203.0.113.77")).status == 401
        assert (await Caller(client, None).send("GET", "/flows", headers=via(address))).status == 401


async def test_a_good_key_works_beside_a_failing_neighbour(
    opened: Open, services: Services, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have the address of their network's gateway. What was known of the key may have expired meanwhile."""
    async with opened(failed_keys_per_address=FEW) as client:
        founder = await found_organisation(client, services)
        await founder.get("/flows", headers=via(address))
        while (await guess(client, address)).status != 429:
            pass
        await founder.get("/flows", headers=via(address))
        monkeypatch.setattr("api.identity.credentials.MAX_AGE", 0.0)
        async with statements(services) as seen:
            await founder.get("/flows", headers=via(address))
        assert [sql for sql in seen if LOOK_UP in sql] != []


async def test_a_change_in_the_organisation_does_not_lock_good_keys_out(
    opened: Open, services: Services, address: str
) -> None:
    """It drops what is cached of all keys of the organisation, which say nothing of whether they are good."""
    async with opened(failed_keys_per_address=FEW) as client:
        founder = await found_organisation(client, services)
        holder = await make_holder(services, founder.tenant, "viewer")
        keys = [founder, replace(founder, key=holder.key)]
        for one in keys:
            await one.get("/flows", headers=via(address))
        while (await guess(client, address)).status != 429:
            pass
        assert client.app is not None
        client.app[CREDENTIALS].changed(str(founder.tenant.org_id))
        for one in keys:
            await one.get("/flows", headers=via(address))
        await founder.send("DELETE", f"/api-keys/{holder.key_id}/revoke")
        client.app[CREDENTIALS].changed(str(founder.tenant.org_id))
        ended = [await replace(founder, key=holder.key).send("GET", "/flows", headers=via(address)) for _ in range(2)]
        assert [one.status for one in ended] == [401, 429], "a key that has ended is looked up once more"


async def test_what_a_client_invents_gives_it_no_second_address(opened: Open, address: str) -> None:
    async with opened(failed_keys_per_address=FEW) as client:
        answers = [await guess(client, f"203.0.113.{number}, {address}") for number in range(FEW + 1)]
        assert [answer.status for answer in answers] == [401] * FEW + [429]


async def test_a_process_hears_of_failures_at_another_one(opened: Open, address: str) -> None:
    async with opened(failed_keys_per_address=20) as first, opened(failed_keys_per_address=20) as second:
        for _ in range(20):
            await guess(first, address)
        assert (await guess(second, address)).status == 401, "it has not heard of this address yet"

        async def known() -> bool:
            return (await guess(second, address)).status == 429

        await eventually(known, 5, "the failures at the other process")


BODY = b'{"eventType": "build.failed", "action": "x"}'


async def deliver(client: TestClient[Any, Any], path: str, address: str, secret: str) -> Answer:
    headers = {**via(address), "X-Webhook-Signature": sign(BODY, secret), "Content-Type": "application/json"}
    return await Caller(client, None).send("POST", path, data=BODY, headers=headers)


async def make_config(founder: Caller) -> str:
    """The path of its deliveries."""
    flow = (await founder.post("/flows", {"name": uuid4().hex})).json
    body = {"source": "GENERIC", "secret": SECRET, "flowId": flow["id"]}
    return f"/webhooks/generic/{(await founder.post('/webhook-configs', body)).json['id']}"


async def test_whoever_guesses_a_secret_is_refused_before_anything_is_looked_up(
    opened: Open, services: Services, address: str
) -> None:
    async with opened(failed_signatures_per_address=FEW) as client:
        path = await make_config(await found_organisation(client, services))
        assert [(await deliver(client, path, address, "wrong")).status for _ in range(FEW)] == [401] * FEW
        async with statements(services) as seen:
            for secret in ("wrong", SECRET):
                assert_throttled(await deliver(client, path, address, secret), RateLimit.FAILED_SIGNATURES)
                unknown = f"/webhooks/generic/{uuid4()}"
                assert_throttled(await deliver(client, unknown, address, secret), RateLimit.FAILED_SIGNATURES)
        assert seen == []
        assert (await deliver(client, path, "203.0.113.78", "wrong")).status == 401
        assert (await deliver(client, path, "203.0.113.78", SECRET)).status == 202


async def test_a_sender_that_has_proven_itself_is_heard_whoever_fails_at_its_address(
    opened: Open, services: Services, address: str
) -> None:
    """GitHub delivers for everybody from the same addresses: a stranger must not be able to have ours refused."""
    async with opened(failed_signatures_per_address=FEW) as client:
        mine, other = [await make_config(await found_organisation(client, services)) for _ in range(2)]
        assert (await deliver(client, mine, address, SECRET)).status == 202
        for _ in range(3 * FEW):
            await deliver(client, other, address, "wrong")
        assert (await deliver(client, mine, address, SECRET)).status == 202
        assert (await deliver(client, mine, address, "wrong")).status == 401
        assert_throttled(await deliver(client, other, address, SECRET), RateLimit.FAILED_SIGNATURES)


async def test_good_deliveries_are_never_throttled(opened: Open, services: Services, address: str) -> None:
    rates = dict.fromkeys(("requests_per_address", "failed_signatures_per_address"), 1)
    async with opened(**rates) as client:
        path = await make_config(await found_organisation(client, services))
        assert {(await deliver(client, path, address, SECRET)).status for _ in range(10)} == {202}


async def sign_in(call: Call, organisation: str) -> list[str]:
    """Sign in."""
    return [organisation]


async def providers(call: Call) -> list[str]:
    """List something that costs a look-up."""
    return []


SIGNING_IN = replace(
    FACTS,
    routes=(
        Route("POST", "/organisations/{organisation}/login", sign_in, None, limit=RateLimit.SIGN_IN),
        Route("GET", "/providers", providers, None, limit=RateLimit.ADDRESS),
    ),
    exempt=frozenset({"sign_in", "providers"}),
)


@asynccontextmanager
async def signing_in(services: Services, redis_url: str, **rates: int) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application()
    app[SERVICES] = replace(services, settings=services.settings.model_copy(update={"redis_url": redis_url}))
    app[PROXIES] = networks("127.0.0.0/8")
    app[RATE_LIMITS] = RateLimits({RateLimit(name): rate for name, rate in rates.items()})
    app.cleanup_ctx.append(rate_limits_shared)
    install(app, [SIGNING_IN])
    async with TestClient(TestServer(app)) as client:
        yield client


async def attempt(client: TestClient[Any, Any], organisation: str, address: str) -> tuple[int, dict[str, Any]]:
    async with client.post(f"/organisations/{organisation}/login", headers=via(address)) as response:
        return response.status, {**response.headers, **(await response.json() if response.status > 400 else {})}


async def test_sign_ins_are_limited_exactly_over_all_processes(services: Services, address: str) -> None:
    url = str(services.settings.redis_url)
    async with (
        signing_in(services, url, sign_ins_per_address=FEW) as first,
        signing_in(services, url, sign_ins_per_address=FEW) as second,
    ):
        attempts = [attempt(one, uuid4().hex, address) for one in (first, second) for _ in range(FEW)]
        found = [status for status, _ in await asyncio.gather(*attempts)]
        assert sorted(found) == [200] * FEW + [429] * FEW
        _, refused = await attempt(first, "acme", address)
        assert int(refused["Retry-After"]) >= 1


async def test_an_address_without_a_credential_is_limited_too(opened: Open, services: Services, address: str) -> None:
    async with opened(requests_per_address=FEW) as client:
        anonymous = Caller(client, None)
        answers = [await anonymous.send("GET", "/flows", headers=via(address)) for _ in range(FEW + 1)]
        assert [answer.status for answer in answers] == [401] * FEW + [429]
        founder = await found_organisation(client, services)
        await founder.get("/flows", headers=via(address))


async def test_nobody_signs_in_while_it_cannot_be_counted(services: Services, tmp_path: Path, address: str) -> None:
    nowhere = f"unix://{tmp_path}/nobody.sock"
    async with signing_in(services, nowhere, sign_ins_per_address=FEW, requests_per_address=FEW) as client:
        status, refused = await attempt(client, "acme", address)
        assert (status, refused["Retry-After"]) == (503, "1")
        found = [await client.get("/providers", headers=via(address)) for _ in range(FEW + 1)]
        assert [one.status for one in found] == [200] * FEW + [429], "it counts by itself"
    async with signing_in(services, nowhere, sign_ins_per_address=0) as client:
        assert (await attempt(client, "acme", address))[0] == 200


async def test_every_route_without_a_credential_is_limited_or_costs_nothing() -> None:
    """Deliveries are limited by their failures."""
    free = {one.route.path for one in ENDPOINTS if one.route.permission is None and one.route.limit is None}
    assert free - PROBES == {"/api/v1/webhooks/{source}", "/api/v1/webhooks/{source}/{config_id}"}
    assert [one for one in ENDPOINTS if one.route.limit and one.route.permission] == []


async def test_health_and_metrics_are_never_throttled(opened: Open, address: str) -> None:
    async with opened(requests_per_address=1, failed_keys_per_address=1) as client:
        for _ in range(5):
            for path in sorted(PROBES):
                async with client.get(path, headers={**via(address), "X-Api-Key": "bogus"}) as response:
                    assert response.status == 200
                    assert "RateLimit-Limit" not in response.headers


async def test_the_limits_are_listed(opened: Open, services: Services) -> None:
    async with opened(requests_per_key=FEW, failed_keys_per_address=0) as client:
        founder = await found_organisation(client, services)
        listed = {one["name"]: one["limit"] for one in (await founder.get("/limits")).json["rates"]}
        assert listed[RateLimit.KEY] == FEW
        assert RateLimit.FAILED_KEYS not in listed, "0 means that there is no limit"
