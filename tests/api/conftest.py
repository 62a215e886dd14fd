"""The real app over real Postgres and Valkey, one per test module: its tests tell their rows apart by organisation."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from storage.services import Services, open_services
from tests.api.caller import Caller, found_organisation
from tests.api.table import WEBHOOK_CAP
from tests.conftest import ADMIN_KEY, Installation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_for_module(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Services]:
    settings = installation.settings(tmp_path_factory.mktemp("api"), webhook_max_body=WEBHOOK_CAP)
    async with open_services(settings, "test api") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(open_for_module: Services) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(build_app(open_for_module))) as client:
        yield client


@pytest.fixture(scope="module")
def admin(http: TestClient[Any, Any]) -> Caller:
    """The administrator of `default`."""
    return Caller(http, ADMIN_KEY)


@pytest_asyncio.fixture(loop_scope="module")
async def api(http: TestClient[Any, Any], open_for_module: Services) -> Caller:
    """The administrator of an organisation that only this test knows."""
    return await found_organisation(http, open_for_module)
