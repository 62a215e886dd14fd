"""Reconciliation: compare a sender's list of deliveries with ours and ask it to redeliver those that are missing.

The limits follow GitHub's: it redelivers only what is at most three days old, and wants requests to be few and paced.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from domain.errors import Invalid

TOKEN_PURPOSE = "sender api token"  # noqa: S105 - names a use, is no secret
SOURCES = frozenset({"GITHUB"})
"""Senders that have an API to list and redeliver deliveries."""

REACH = timedelta(days=3)
"""The farthest that a comparison looks back."""
OVERLAP = timedelta(hours=1)
"""How far a comparison overlaps the previous one: longer than all attempts of one delivery, and than clock skew."""
MAX_REQUESTS = 100
"""Redeliveries requested in one run, at most."""
MAX_TIMES = 3
"""How often the redelivery of one delivery is requested, at most."""
TIMEOUT_REDELIVERY = timedelta(minutes=10)
"""How long a requested redelivery may take to arrive."""
MAX_WAIT = timedelta(hours=1)
"""The longest wait between two runs, unless the configured interval is longer."""

_HOOK = re.compile(r"(/[^/]+)+/hooks/[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How to reconcile a webhook config with its sender, without the API token.

    `last_run_at` is when a run last succeeded; `last_error` says why the run after it failed.
    """

    config_id: UUID
    org_id: UUID
    hook_url: str
    next_run_at: datetime
    last_run_at: datetime | None
    last_error: str | None
    created_at: datetime


def check_hook_url(url: str, *, http_allowed: bool) -> str:
    """Validate the API URL of one hook, such as `https://api.github.com/repos/o/r/hooks/42`, and return it.

    `http_allowed` permits http:// as well. Raises Invalid naming `hookUrl`.
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
        raise Invalid.of("hookUrl", "must not contain credentials: the token has its own field")
    if parts.query or parts.fragment or not _HOOK.fullmatch(parts.path):
        raise Invalid.of("hookUrl", "must be the API URL of a hook, ending in /hooks/ and the hook's number")
    return url


def earliest(now: datetime, last_run_at: datetime | None) -> datetime:
    """Return the time from which on deliveries have to be compared."""
    return max(now - REACH, last_run_at - OVERLAP) if last_run_at else now - REACH


def next_run(now: datetime, well_at: datetime, interval: timedelta, retry_after: timedelta | None) -> datetime:
    """Return when to run again after a failure.

    The wait is the time since the last success (`well_at`), so that it doubles with every failure; it is at least
    `interval` and `retry_after`, the wait that the sender asked for, and at most MAX_WAIT (or `interval`, if longer).
    """
    wait = max(now - well_at, interval, retry_after or timedelta())
    return now + min(wait, max(MAX_WAIT, interval))
