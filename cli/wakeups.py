"""Wake the worker from the command line."""

from redis.exceptions import RedisError

from cli.output import note
from storage.schedule.wakeups import Job, enqueue_wake_up, open_redis
from storage.settings import Settings


async def wake(settings: Settings, job: Job) -> None:
    """Send a wake-up to the worker; if that fails, its next sweep finds the queued work."""
    try:
        if settings.redis_url:
            async with open_redis(settings.redis_url) as redis:
                await enqueue_wake_up(redis, job)
            return
    except (RedisError, OSError, ValueError):
        pass
    note(f"The worker could not be reached; it checks its queues every {settings.sweep_interval} seconds.")
