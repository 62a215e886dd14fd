"""GitHub's own record of what a webhook delivered, and the wish for another attempt (REST API, webhook deliveries)."""

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
"""Pages that are read in one go, newest deliveries first."""
UNNAMED_WAIT = 60
"""Seconds to wait where GitHub does not say how long."""

_REASONS = {
    401: "GitHub does not accept the token (401): give a new one.",
    403: "The token may not read the hook's deliveries or ask for them again (403).",
    404: "There is no such hook, or the token may not see it (404).",
}
_MAY_NAME_A_WAIT = {HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE}
_HOPELESS = {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY}
_NUMBER = re.compile(r"[0-9]{1,12}")
_FOREIGN = "GitHub's answer is not what its API describes."


class DeliveryAttempt(Payload):
    """One attempt to deliver. `guid` is the delivery's own id, the same in every attempt (X-GitHub-Delivery)."""

    id: Annotated[int, Field(ge=0, lt=2**63)]
    guid: DeliveryId
    event: Text
    delivered_at: Annotated[AwareDatetime, Field(strict=False)]


_PAGE = TypeAdapter(list[DeliveryAttempt])


@dataclass(frozen=True, slots=True)
class History:
    """Attempts, newest first. `whole` is False where there are more than MAX_PAGES hold."""

    attempts: list[DeliveryAttempt]
    whole: bool


class HookDeliveries:
    """The deliveries of one hook of a repository or an organisation.

    `hook_url` is its API address: https://api.github.com/repos/o/r/hooks/42. Every method raises Throttled where GitHub
    wants us to wait, Upstream for all else that goes wrong, with a text that holds no secret, and
    domain.errors.Rejected for an address that `session` does not dial.
    """

    def __init__(self, session: aiohttp.ClientSession, hook_url: str, token: str, now: Callable[[], datetime]) -> None:
        self._api = _Api(session, "Trailgate", oauth_token=token)
        self._url = f"{hook_url}/deliveries"
        self._now = now

    async def since(self, moment: datetime) -> History:
        """The attempts made since then."""
        found: list[DeliveryAttempt] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page, cursor = await self._page(cursor)
            found += [attempt for attempt in page if attempt.delivered_at >= moment]
            if cursor is None or (page and page[-1].delivered_at < moment):
                return History(found, whole=True)
        return History(found, whole=False)

    async def redeliver(self, attempt_id: int) -> None:
        """Ask for another attempt; a delivery of which GitHub makes no more, such as an old one, is passed over."""
        try:
            await self._request("POST", f"{self._url}/{attempt_id}/attempts")
        except _RequestRefused as refusal:
            if refusal.status not in _HOPELESS:
                raise

    async def _page(self, cursor: str | None) -> tuple[list[DeliveryAttempt], str | None]:
        query = {"per_page": PAGE_SIZE} | ({"cursor": cursor} if cursor else {})
        data, following = await self._request("GET", f"{self._url}?{urlencode(query)}")
        try:
            return _PAGE.validate_python(data), _cursor(following)
        except ValidationError as error:
            raise Upstream(_FOREIGN) from error

    async def _request(self, method: str, url: str) -> tuple[Any, str | None]:
        try:
            return await self._api.ask(method, url)
        except HTTPException as error:
            raise _refusal(error, self._now()) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Upstream(f"GitHub could not be reached ({type(error).__name__}).") from error
        except (GitHubException, ValueError, LookupError, OverflowError, RecursionError) as error:
            raise Upstream(_FOREIGN) from error


class _Api(GitHubAPI):
    async def ask(self, method: str, url: str) -> tuple[Any, str | None]:
        """The answer's content and the link to the next page."""
        version = {"x-github-api-version": VERSION}
        data, following, _ = await self._make_request(method, url, None, b"", ACCEPT, extra_headers=version)
        return data, following


class _RequestRefused(Upstream):
    """GitHub understood, and will not."""

    def __init__(self, status: HTTPStatus) -> None:
        moved = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        other = "The hook's address has moved ({}): set it anew." if moved else "GitHub answered {}."
        super().__init__(_REASONS.get(status, other.format(status.value)))
        self.status = status


def _refusal(error: HTTPException, now: datetime) -> Upstream | Throttled:
    status, wait = error.status_code, _named_wait(error, now)
    if status == HTTPStatus.TOO_MANY_REQUESTS or (status in _MAY_NAME_A_WAIT and wait is not None):
        return Throttled(f"GitHub wants us to wait ({status.value}).", UNNAMED_WAIT if wait is None else wait)
    return _RequestRefused(status)


def _named_wait(error: HTTPException, now: datetime) -> int | None:
    """Seconds, by `Retry-After` or else by the time at which an exhausted limit begins anew."""
    after = _number(error.headers.get("retry-after"))
    reset = _number(error.headers.get("x-ratelimit-reset"))
    if after is not None:
        return after
    exhausted = _number(error.headers.get("x-ratelimit-remaining")) == 0
    return max(0, reset - int(now.timestamp())) if exhausted and reset is not None else None


def _number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text) else None


def _cursor(link: str | None) -> str | None:
    """Where the next page begins. Of the link only this is taken: our token goes nowhere but to the hook's address."""
    return next(iter(parse_qs(urlsplit(link or "").query).get("cursor", [])), None)
