"""Redis where it is needed: most of Trailgate goes on without it."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from domain.errors import Unavailable


@contextmanager
def needing_redis(what: str) -> Iterator[None]:
    """Raise Unavailable if Redis cannot be reached; `what` is not possible then, and begins the message."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable(f"{what} is not possible at the moment; try again shortly.", retry_after=5) from error
