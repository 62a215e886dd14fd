"""The real app over real Postgres and Valkey, one per xdist worker: tests tell their rows apart by organisation.

It lives in the event loop of the session, as do the tests that take it (`loop_scope="session"`). Whoever changes what
all requests see, such as a setting or a lock on a table of everybody, undoes that or opens an app of his own.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient

from api.app import build_app
from storage.services import Services, open_services
from tests.api.caller import Caller, found_organisation
from tests.api.jobs import jobs, trusting, trusting_http
from tests.api.limited import LimitedTestServer
from tests.api.table import WEBHOOK_CAP
from tests.api.walks import SERVED, within_its_requests
from tests.conftest import ADMIN_KEY, Installation

__all__ = ["jobs", "trusting", "trusting_http", "within_its_requests"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app_services(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """What the app works with."""
    folder = tmp_path_factory.mktemp("api")
    settings = installation.settings(folder, webhook_max_body=WEBHOOK_CAP, smtp_url="smtp://mail.example.com")
    async with open_services(settings, "test api") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def http(app_services: Services) -> AsyncIterator[TestClient[Any, Any]]:
    """A client of the app."""
    app = build_app(app_services)
    app.on_response_prepare.append(SERVED.count)
    async with TestClient(LimitedTestServer(app), cookie_jar=DummyCookieJar()) as client:
        yield client


@pytest.fixture(scope="session")
def admin(http: TestClient[Any, Any]) -> Caller:
    """The administrator of `default`."""
    return Caller(http, ADMIN_KEY)


@pytest_asyncio.fixture(loop_scope="session")
async def api(http: TestClient[Any, Any], app_services: Services) -> Caller:
    """The administrator of an organisation that only this test knows."""
    return await found_organisation(http, app_services)
