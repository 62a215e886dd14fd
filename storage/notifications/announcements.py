"""Waking the API processes whose clients stream notifications, through Redis; an announcement may be lost."""

from uuid import UUID

import structlog
from redis.exceptions import RedisError

from storage.services import Services

log = structlog.get_logger()

CHANNEL = "notifications:"
"""Prefix of the Redis channel; the organisation's id follows."""


async def announce(services: Services, org_id: UUID) -> None:
    """Announce that the organisation has new notifications; call it after their commit.

    Fails open: streams also poll every few seconds (api/http/transport/streams.py).
    """
    try:
        await services.redis.publish(f"{CHANNEL}{org_id}", "")
    except (RedisError, OSError) as error:
        log.warning("notifications.unannounced", error=type(error).__name__)
