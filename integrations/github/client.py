"""A client for GitHub's list of webhook deliveries and for redelivery requests (REST API, webhook deliveries)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
from gidgethub import GitHubException, HTTPException
from gidgethub.aiohttp import GitHubAPI
from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from domain.errors import Throttled, Upstream
from integrations.deliveries import DeliveryId, Payload, Text

ACCEPT = "application/vnd.github+json"
VERSION = "2022-11-28"
PAGE_SIZE = 100
MAX_PAGES = 20
"""Pages that are read in one call, newest deliveries first."""
UNNAMED_WAIT = 60
"""Seconds to wait if GitHub does not say how long."""

_REASONS = {
    401: "GitHub does not accept the token (401): set a new one.",
    403: "The token may not list the hook's deliveries or redeliver them (403): grant it access to webhooks.",
    404: "The hook does not exist, or the token may not see it (404).",
}
_MAY_NAME_A_WAIT = {HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE}
_NOT_REDELIVERABLE = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY}
_NUMBER = re.compile(r"[0-9]{1,12}")
_UNEXPECTED = "GitHub's answer is not what its API describes."


class DeliveryAttempt(Payload):
    """One delivery attempt. `guid` is the delivery's id, the same in every attempt (X-GitHub-Delivery)."""

    id: Annotated[int, Field(ge=0, lt=2**63)]
    guid: DeliveryId
    event: Text
    delivered_at: Annotated[AwareDatetime, Field(strict=False)]


_PAGE = TypeAdapter(list[DeliveryAttempt])


@dataclass(frozen=True, slots=True)
class History:
    """Attempts, newest first. `whole` is False if there are more of them than MAX_PAGES pages."""

    attempts: list[DeliveryAttempt]
    whole: bool


class HookDeliveries:
    """The deliveries of one hook of a repository or an organisation.

    `hook_url` is its API URL: https://api.github.com/repos/o/r/hooks/42. Every method raises Throttled if GitHub asks
    to wait, domain.errors.Rejected for an address that `session` may not dial, and Upstream for every other failure.
    Messages contain no secrets.
    """

    def __init__(self, session: aiohttp.ClientSession, hook_url: str, token: str, now: Callable[[], datetime]) -> None:
        self._api = _Api(session, "Trailgate", oauth_token=token)
        self._url = f"{hook_url}/deliveries"
        self._now = now

    async def since(self, moment: datetime) -> History:
        """Return the attempts made since that time."""
        found: list[DeliveryAttempt] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page, cursor = await self._page(cursor)
            found += [attempt for attempt in page if attempt.delivered_at >= moment]
            if cursor is None or (page and page[-1].delivered_at < moment):
                return History(found, whole=True)
        return History(found, whole=False)

    async def redeliver(self, attempt_id: int) -> None:
        """Request another attempt. Does nothing if GitHub no longer redelivers the delivery, such as an old one."""
        try:
            await self._request("POST", f"{self._url}/{attempt_id}/attempts")
        except _RequestRefused as refusal:
            if refusal.status not in _NOT_REDELIVERABLE:
                raise

    async def _page(self, cursor: str | None) -> tuple[list[DeliveryAttempt], str | None]:
        query = {"per_page": PAGE_SIZE} | ({"cursor": cursor} if cursor else {})
        data, following = await self._request("GET", f"{self._url}?{urlencode(query)}")
        try:
            return _PAGE.validate_python(data), _cursor(following)
        except ValidationError as error:
            raise Upstream(_UNEXPECTED) from error

    async def _request(self, method: str, url: str) -> tuple[Any, str | None]:
        try:
            return await self._api.ask(method, url)
        except HTTPException as error:
            raise _refusal(error, self._now()) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Upstream(f"GitHub could not be reached ({type(error).__name__}).") from error
        except (GitHubException, ValueError, LookupError, OverflowError, RecursionError) as error:
            raise Upstream(_UNEXPECTED) from error


class _Api(GitHubAPI):
    async def ask(self, method: str, url: str) -> tuple[Any, str | None]:
        """Return the content of the response and the link to the next page."""
        version = {"x-github-api-version": VERSION}
        data, following, _ = await self._make_request(method, url, None, b"", ACCEPT, extra_headers=version)
        return data, following


class _RequestRefused(Upstream):
    """GitHub answered with an error status."""

    def __init__(self, status: HTTPStatus) -> None:
        moved = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        other = "The hook's URL has moved ({}): configure the new one." if moved else "GitHub answered {}."
        super().__init__(_REASONS.get(status, other.format(status.value)))
        self.status = status


def _refusal(error: HTTPException, now: datetime) -> Upstream | Throttled:
    status, wait = error.status_code, _named_wait(error, now)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status in _MAY_NAME_A_WAIT and wait is not None):
        return Throttled(f"GitHub limits our requests ({status.value}).", UNNAMED_WAIT if wait is None else wait)
    return _RequestRefused(status)


def _named_wait(error: HTTPException, now: datetime) -> int | None:
    """Return the seconds to wait, from `Retry-After` or else from the reset time of an exhausted rate limit."""
    after = _number(error.headers.get("retry-after"))
    reset = _number(error.headers.get("x-ratelimit-reset"))
    if after is not None:
        return after
    exhausted = _number(error.headers.get("x-ratelimit-remaining")) == 0
    return max(0, reset - int(now.timestamp())) if exhausted and reset is not None else None


def _number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text) else None


def _cursor(link: str | None) -> str | None:
    """Return the cursor of the next page. The rest of the link is ignored: the token only goes to the hook's URL."""
    return next(iter(parse_qs(urlsplit(link or "").query).get("cursor", [])), None)
