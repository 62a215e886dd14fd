"""Waking the API processes whose clients listen for notifications: by Redis, where it may be lost without harm."""

from uuid import UUID

import structlog
from redis.exceptions import RedisError

from storage.services import Services

log = structlog.get_logger()

CHANNEL = "notifications:"
"""Followed by the organisation's id."""


async def announce(services: Services, org_id: UUID) -> None:
    """Say that the organisation has new notifications, after their commit.

    Fails open: listeners look by themselves every few seconds (api/http/streams.py).
    """
    try:
        await services.redis.publish(f"{CHANNEL}{org_id}", "")
    except (RedisError, OSError) as error:
        log.warning("notifications.unannounced", error=type(error).__name__)
