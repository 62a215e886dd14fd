"""A client of the API for commands that run elsewhere than the server.

A request is repeated at most three times: if the connection fails, and if the server or a proxy before it is busy (429,
502, 503, 504), after the time that it asks for. It may then have been carried out twice: send only what may be said
again. Redirects are not followed, so that the key goes to the given address only.
"""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from io import BytesIO
from typing import Any, TypeVar

import aiohttp
import orjson
from pydantic import BaseModel, Field, ValidationError
from yarl import URL

from cli.output import note, printable
from domain.errors import Invalid, Upstream
from domain.retries import ErrorClass
from integrations.channels import SendFailed
from integrations.transport import reaching, retry_after
from storage.settings import environment

KEY_VARIABLE = "TRAILGATE_API_KEY"
URL_VARIABLE = "TRAILGATE_URL"
DEFAULT_URL = "http://127.0.0.1:8080"

PAUSES = (1.0, 3.0, 9.0)
"""Seconds before each repetition, if the server does not say how long; shortened at random by up to half."""
MAX_WAIT = 30.0
"""Seconds that the server may ask to wait."""
TIMEOUT_REQUEST = aiohttp.ClientTimeout(total=30, sock_connect=10)
TIMEOUT_TOTAL = 120
"""Seconds for all requests of a command together, with their repetitions."""
MAX_ANSWER = 32 * 2**20
"""Bytes of an answer that are read."""

_GOOD = frozenset({200, 201})
_BUSY = frozenset({429, 502, 503, 504})
_ADDRESS = f"The address of the API (--url or {URL_VARIABLE})"
_API_PATH = "/api/v1"
_VISIBLE = re.compile(r"[!-~]+")
_MAX_SHOWN = 1000

Model = TypeVar("Model", bound=BaseModel)


class Refused(Upstream):
    """The server answered with an error status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Busy(Exception):  # noqa: N818 - reads as an outcome
    """The request may be repeated, after so many seconds if the server names them."""

    def __init__(self, failure: Upstream, seconds: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.seconds = seconds


class Detail(BaseModel):
    """A field that the server rejects, and why."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """What the server says about an error."""

    message: str
    details: list[Detail] = []
    request_id: str = Field("", alias="requestId")


class Api:
    """The API at one address. Every method raises Upstream."""

    def __init__(self, session: aiohttp.ClientSession, base: URL) -> None:
        self._session = session
        self._base = base

    async def get(self, path: str, **query: str) -> Any:
        """Return the answer to GET, parsed."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any], **query: str) -> Any:
        """Return the answer to POST, parsed."""
        headers = {"Content-Type": "application/json"}
        return await self._ask("POST", path, orjson.dumps(body), params=query, headers=headers)

    async def _ask(self, method: str, path: str, body: bytes = b"", **request: Any) -> Any:
        for pause in PAUSES:
            try:
                return await self._attempt(method, path, body, **request)
            except _Busy as busy:
                seconds = pause * random.uniform(0.5, 1) if busy.seconds is None else busy.seconds  # noqa: S311
                if seconds > MAX_WAIT:
                    raise busy.failure from None
                note(f"trailgate: {busy.failure} Trying again in {seconds:.0f} s.")
                await asyncio.sleep(seconds)
        try:
            return await self._attempt(method, path, body, **request)
        except _Busy as busy:
            raise busy.failure from None

    async def _attempt(self, method: str, path: str, body: bytes, **request: Any) -> Any:
        request["data"] = BytesIO(body) if body else None  # which aiohttp sends in pieces
        try:
            with reaching(self._base.host):
                async with self._session.request(
                    method, self._base.joinpath(path), allow_redirects=False, **request
                ) as response:
                    content = await _content(response)
        except SendFailed as failed:
            if failed.error_class is ErrorClass.PERMANENT:
                raise Invalid(f"{_ADDRESS} cannot be used") from None
            raise _Busy(Upstream(f"{self._base} cannot be reached. {failed.reason}")) from None
        if response.status in _GOOD:
            return _parsed(content, self._base)
        refused = Refused(_explained(self._base, response, content), response.status)
        if response.status not in _BUSY:
            raise refused
        wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        raise _Busy(refused, None if wait is None else wait.total_seconds())


async def _content(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer, of which only as much is kept as an answer of the API may have."""
    try:
        return await response.content.readexactly(MAX_ANSWER)
    except asyncio.IncompleteReadError as end:
        return end.partial


def _parsed(content: bytes, base: URL) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        raise Upstream(f"{base} does not answer in JSON: is it the address of Trailgate?") from None


def understood(model: type[Model], answer: Any) -> Model:
    """Return an answer as a model of what is read of it. Raises Upstream."""
    try:
        return model.model_validate(answer)
    except ValidationError:
        raise Upstream("The answer is not one of Trailgate's API: is it the right address?") from None


def _explained(base: URL, response: aiohttp.ClientResponse, content: bytes) -> str:
    """Return what the server says about an error, as one line."""
    answered = f"{base} answered {response.status}"
    if location := response.headers.get("Location"):
        return f"{answered} and refers to {printable(location[:_MAX_SHOWN])}: give the address that answers itself."
    try:
        error = ErrorBody.model_validate_json(content)
    except ValidationError:
        return f"{answered}."
    fields = [f"{one.field}: {one.message}" for one in error.details]
    said = "; ".join([error.message, *(text for text in fields if text not in error.message)])
    shown = f"{answered}: {printable(said[:_MAX_SHOWN])}"
    if response.status == HTTPStatus.UNAUTHORIZED:
        return f"{shown.removesuffix('.')}. Set {KEY_VARIABLE} to a key of the organisation."
    if response.status == HTTPStatus.INTERNAL_SERVER_ERROR and error.request_id:
        return f"{shown.removesuffix('.')}: {printable(error.request_id[:_MAX_SHOWN])}"
    return shown


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Api]:
    """Open the API at an address, with the key of the environment. Raises Invalid, and Upstream after two minutes."""
    base, key = _base(address), environment().get(KEY_VARIABLE, "").strip()
    if key and not _VISIBLE.fullmatch(key):
        raise Invalid(f"{KEY_VARIABLE} is not a key: it may only have visible ASCII characters")
    headers = {"X-Api-Key": key} if key else {}
    session = aiohttp.ClientSession(headers=headers, timeout=TIMEOUT_REQUEST, cookie_jar=aiohttp.DummyCookieJar())
    try:
        async with asyncio.timeout(TIMEOUT_TOTAL), session:
            yield Api(session, base)
    except TimeoutError:
        raise Upstream(f"{base} did not answer within {TIMEOUT_TOTAL} seconds.") from None


def _base(address: str) -> URL:
    """Return the address of the API; it may have a path, as behind a proxy. Raises Invalid."""
    try:
        url = URL(address.strip())
        well = url.scheme in ("http", "https") and url.host and url.port
    except ValueError:
        raise Invalid(f"{_ADDRESS} is not a URL") from None
    if not well or url.user or url.password or url.query_string or url.fragment:
        raise Invalid(f"{_ADDRESS} must be like https://trailgate.example.com, without a key, a query or a fragment")
    if url.path.rstrip("/").endswith(_API_PATH):
        raise Invalid(f"{_ADDRESS} is given without {_API_PATH}")
    return url
