"""A user of the API with a key."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aiohttp

V1 = "/api/v1"
TIMEOUT = aiohttp.ClientTimeout(total=35)


@dataclass(frozen=True)
class Config:
    """A webhook config as its sender knows it."""

    id: str
    flow_id: str
    path: str
    secret: str


class Client:
    """Asks, checks the status of every answer, and hands out its JSON."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, method: str, path: str, *, expect: int = 200, **options: Any) -> Any:
        """The body of the answer, None where there is none."""
        async with self.session.request(method, f"{V1}{path}", **options) as response:
            text = await response.text()
            assert response.status == expect, f"{method} {path}: {response.status} {text}"
            return await response.json() if text else None

    async def get(self, path: str, *, expect: int = 200, **query: str | int) -> Any:
        """Read."""
        return await self.ask("GET", path, expect=expect, params=query)

    async def post(self, path: str, body: Any = None, *, expect: int = 201) -> Any:
        """Write."""
        return await self.ask("POST", path, expect=expect, json=body)

    async def flow(self, *required: str) -> str:
        """A fresh flow's id."""
        body = {"name": f"flow {uuid4()}", "requiredAttestations": list(required)}
        flow: str = (await self.post("/flows", body))["id"]
        return flow

    async def config(self, source: str = "GITHUB", *required: str, secret: str = "it is no secret") -> Config:
        """A fresh flow with a config that lets one sender in."""
        flow_id = await self.flow(*required)
        made = await self.post("/webhook-configs", {"source": source, "secret": secret, "flowId": flow_id})
        return Config(made["id"], flow_id, urlsplit(made["url"]).path, secret)

    async def receipt(self, receipt_id: str, wait: int = 20) -> Any:
        """What became of a delivery, waited for."""
        found = await self.get(f"/receipts/{receipt_id}", wait=wait)
        assert found["status"] != "PENDING", f"not settled within {wait} s: {found}"
        return found


@asynccontextmanager
async def open_client(address: str, key: str, organisation: str | None = None) -> AsyncIterator[Client]:
    """A client of the API at that base URL; `organisation` is named in the header where it is not the key's."""
    headers = {"X-Api-Key": key, **({"X-Trailgate-Organisation": organisation} if organisation else {})}
    async with aiohttp.ClientSession(address, headers=headers, timeout=TIMEOUT) as session:
        yield Client(session)
