"""Sign-ins that were begun and have not come back from the identity provider: in Redis, for ten minutes, used once."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from uuid import UUID

from arq.connections import ArqRedis

from storage.redis import needing_redis

LIFETIME = 600
"""Seconds."""
_SIGNING_IN = "Signing in"


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What the answer of the identity provider must fit."""

    config_id: UUID
    config_version: int
    redirect_uri: str
    nonce: str
    verifier: str


async def keep_pending(redis: ArqRedis, state: str, pending: PendingSignIn) -> None:
    """Keep a sign-in under its state. Raises Unavailable without Redis."""
    text = json.dumps({**asdict(pending), "config_id": str(pending.config_id)})
    with needing_redis(_SIGNING_IN):
        await redis.set(_name(state), text, ex=LIFETIME)


async def take_pending(redis: ArqRedis, state: str) -> PendingSignIn | None:
    """Return the sign-in of a state and forget it; None for an unknown or used one. Raises Unavailable."""
    with needing_redis(_SIGNING_IN):
        text = await redis.getdel(_name(state))
    if text is None:
        return None
    kept = json.loads(text)
    return PendingSignIn(**{**kept, "config_id": UUID(kept["config_id"])})


def _name(state: str) -> str:
    return f"sign-in:{sha256(state.encode('utf-8', 'surrogateescape')).hexdigest()}"
