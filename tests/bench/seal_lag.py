"""How far behind its events the ledger is: the age of the oldest one that is not sealed yet."""

import asyncio
import time
from uuid import UUID

import asyncpg

INTERVAL = 0.1
_OLDEST = "SELECT event_id FROM unsealed WHERE org_id = $1 ORDER BY event_id LIMIT 1"


def age(event_id: UUID, now: float) -> float:
    """Seconds since a UUIDv7 was made (RFC 9562, 5.7: its first 48 bits are milliseconds); `now` in seconds."""
    return max(0.0, now - (event_id.int >> 80) / 1000)


async def sample(connection: asyncpg.Connection, org_id: UUID, lags: list[float]) -> None:
    """Append the lag in seconds, zero when all is sealed, every INTERVAL until cancelled."""
    while True:
        oldest = await connection.fetchval(_OLDEST, org_id)
        lags.append(age(oldest, time.time()) if oldest else 0.0)
        await asyncio.sleep(INTERVAL)
