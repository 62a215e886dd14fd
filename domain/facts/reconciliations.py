"""Reconciliation: what a sender's own list of deliveries has and ours has not is asked for again (engineering.md 2.1).

The limits are GitHub's: it delivers again what is at most three days old, and wants writes to be few and paced.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from domain.errors import Invalid

TOKEN_PURPOSE = "sender api token"  # noqa: S105 - names a use, is no secret
SOURCES = frozenset({"GITHUB"})
"""Senders that can be asked what they sent."""

REACH = timedelta(days=3)
"""How far a comparison looks back at most."""
OVERLAP = timedelta(hours=1)
"""How far it looks back behind the last one: longer than all requests for one delivery take, and than clocks differ."""
MAX_REQUESTS = 100
"""Deliveries asked for in one run."""
MAX_TIMES = 3
"""How often one delivery is asked for."""
TIMEOUT_REDELIVERY = timedelta(minutes=10)
"""How long a delivery that was asked for may take to come."""
MAX_WAIT = timedelta(hours=1)
"""Between two runs, however long they have been failing."""

_HOOK = re.compile(r"(/[^/]+)+/hooks/[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Where a config's sender tells what it delivered, without the token that is shown to it.

    `last_run_at` is when the comparison last came to its end, `last_error` why the one after it did not, in words.
    """

    config_id: UUID
    org_id: UUID
    hook_url: str
    next_run_at: datetime
    last_run_at: datetime | None
    last_error: str | None
    created_at: datetime


def check_hook_url(url: str, *, http_allowed: bool) -> str:
    """The API address of one hook, such as `https://api.github.com/repos/o/r/hooks/42`, as it may be stored.

    `http_allowed` lets http:// through as well. Raises Invalid naming `hookUrl`.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid.of("hookUrl", "is not a URL") from error
    if not host or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise Invalid.of("hookUrl", "is not a URL")
    if parts.scheme != "https" and not (http_allowed and parts.scheme == "http"):
        raise Invalid.of("hookUrl", "must begin with https://")
    if "@" in parts.netloc:
        raise Invalid.of("hookUrl", "must hold no credentials: the token has a field of its own")
    if parts.query or parts.fragment or not _HOOK.fullmatch(parts.path):
        raise Invalid.of("hookUrl", "must be a hook's API address, ending in /hooks/ and its number")
    return url


def earliest(now: datetime, last_run_at: datetime | None) -> datetime:
    """How far back a comparison has to look."""
    return max(now - REACH, last_run_at - OVERLAP) if last_run_at else now - REACH


def next_run(now: datetime, well_at: datetime, interval: timedelta, retry_after: timedelta | None) -> datetime:
    """When to try again after a failure.

    The wait is as long as it has not gone well (since `well_at`), and so doubles, between `interval` and LONGEST_WAIT.
    `retry_after`, the sender's own wish, may lengthen it as far as that.
    """
    wait = max(now - well_at, interval, retry_after or timedelta())
    return now + min(wait, max(MAX_WAIT, interval))
