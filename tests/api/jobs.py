"""CI jobs at a platform on this machine, and an app that may reach it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from storage.services import Services, open_services
from tests.api.caller import Caller, found_organisation, unique
from tests.conftest import Installation
from tests.vendors.identity_provider import GITHUB_CLAIMS, IdentityProvider, identity_provider

IDENTITIES = "/workload-identities"


@dataclass
class Jobs:
    """The jobs of an organisation's repositories."""

    api: Caller
    idp: IdentityProvider
    address: str

    @property
    def audience(self) -> str:
        return f"{self.address}/{self.api.tenant.org_slug}"

    async def identity(self, **fields: Any) -> Any:
        """One that admits every job of the repository, unless told otherwise."""
        body = {
            "name": unique("jobs"),
            "provider": "github",
            "issuer": self.idp.issuer,
            "repository": GITHUB_CLAIMS["repository"],
        }
        return (await self.api.post(IDENTITIES, body | fields)).json

    async def change(self, identity: Any, **fields: Any) -> None:
        answer = await self.api.send("PUT", f"{IDENTITIES}/{identity['id']}", json=fields)
        assert answer.status == 200, answer.text

    def token(self, **claims: Any) -> str:
        """The token of a new job."""
        return self.idp.github_token(claims.pop("aud", self.audience), **claims)

    def job(self, token: str | None = None, **claims: Any) -> Caller:
        """A job, with a token of these claims."""
        return replace(self.api, key=token or self.token(**claims))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trusting(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """Services that may reach this machine."""
    folder = tmp_path_factory.mktemp("jobs")
    settings = installation.settings(folder, outbound_allow="127.0.0.0/8", outbound_timeout=2.0)
    async with open_services(settings, "test jobs") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def trusting_http(trusting: Services) -> AsyncIterator[TestClient[Any, Any]]:
    """A client of their app."""
    async with TestClient(TestServer(build_app(trusting)), cookie_jar=DummyCookieJar()) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def jobs(trusting_http: TestClient[Any, Any], trusting: Services) -> AsyncIterator[Jobs]:
    """Those of an organisation and of a platform that only this test knows."""
    async with identity_provider("RSA") as idp:
        yield Jobs(await found_organisation(trusting_http, trusting), idp, trusting.settings.address)
