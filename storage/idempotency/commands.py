"""Stored responses to requests with an `Idempotency-Key`, each written in the transaction of the request's effect."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from uuid import UUID

from storage.database import Transaction
from storage.secrets.envelope import Sealed, SecretCipher, Undecipherable

LIFETIME = timedelta(hours=24)
MAX_BODY = 1 << 20
"""Largest response body that is stored, in bytes."""

_LOCK = "SELECT pg_try_advisory_xact_lock(7241005, hashtext($1))"
_KEPT = """
SELECT request_sha256, status, headers, body FROM idempotency_keys
WHERE principal_id = $1 AND method = $2 AND path = $3 AND key = $4 AND created_at > $5
"""
_KEEP = """
INSERT INTO idempotency_keys
  (principal_id, method, path, key, org_id, request_sha256, status, headers, body, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (principal_id, method, path, key) DO UPDATE
SET org_id = excluded.org_id, request_sha256 = excluded.request_sha256, status = excluded.status,
    headers = excluded.headers, body = excluded.body, created_at = excluded.created_at
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """What a response is stored under: the key of one caller, valid for one method and path."""

    principal_id: UUID
    method: str
    path: str
    key: str

    @property
    def text(self) -> str:
        """The slot as one text: the lock's name, and the associated data of the encrypted body."""
        return "\n".join(map(str, astuple(self)))


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A response as it was sent, with the hash of its request.

    `headers` has the original `Content-Length`: a body larger than MAX_BODY is stored empty. The body is encrypted at
    rest, because some responses show a secret once.
    """

    request_sha256: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def whole(self) -> bool:
        """Whether the body was stored."""
        return len(self.body) == int(self.headers["Content-Length"])

    @classmethod
    def of(cls, request_sha256: bytes, status: int, headers: Mapping[str, str], body: bytes) -> "KeptAnswer":
        """Make the stored form of a response that is about to be sent."""
        kept = body if len(body) <= MAX_BODY else b""
        return cls(request_sha256, status, {**headers, "Content-Length": str(len(body))}, kept)


async def occupy(tx: Transaction, slot: Slot) -> bool:
    """Lock the slot until the transaction ends; return False at once if another request holds the lock."""
    return bool(await tx.value(_LOCK, slot.text))


async def kept_answer(tx: Transaction, envelope: SecretCipher, slot: Slot) -> KeptAnswer | None:
    """Return the stored response of the last 24 hours, or None.

    None is certain only for a caller who holds the lock of the slot: this is a statement after the one that locks, so
    that it sees what the previous holder committed. The body is empty if the master key was replaced since.
    """
    row = await tx.row(_KEPT, *astuple(slot), tx.now - LIFETIME)
    if row is None:
        return None
    try:
        body = envelope.open(Sealed.unpacked(row["body"]), slot.text.encode())
    except Undecipherable:
        body = b""
    return KeptAnswer(**{**row, "body": body})


async def keep_answer(tx: Transaction, envelope: SecretCipher, org_id: UUID, slot: Slot, answer: KeptAnswer) -> None:
    """Store a response in the transaction of its effect, replacing an expired one."""
    sealed = replace(answer, body=envelope.seal(answer.body, slot.text.encode()).packed())
    await tx.execute(_KEEP, *astuple(slot), org_id, *astuple(sealed), tx.now)
