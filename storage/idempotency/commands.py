"""The answers of the last day to requests that named a key, each kept in the transaction of its effect."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from uuid import UUID

from storage.database import Transaction
from storage.secrets.envelope import Sealed, SecretCipher, Undecipherable

LIFETIME = timedelta(hours=24)
MAX_BODY = 1 << 20
"""Bytes of an answer's body that are kept."""

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
    """Under what an answer is kept: one caller's key, which counts for one method and path."""

    principal_id: UUID
    method: str
    path: str
    key: str

    @property
    def text(self) -> str:
        """All of it, for a lock and for binding what is kept there to its place."""
        return "\n".join(map(str, astuple(self)))


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was given, with the hash of the request it was given to.

    `headers` has the `Content-Length` the answer had: a body over MAX_BODY is not kept, and so is shorter than that.
    At rest the body is encrypted, for some answers show a secret once.
    """

    request_sha256: bytes
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def whole(self) -> bool:
        """Whether the body was kept."""
        return len(self.body) == int(self.headers["Content-Length"])

    @classmethod
    def of(cls, request_sha256: bytes, status: int, headers: Mapping[str, str], body: bytes) -> "KeptAnswer":
        """An answer about to be given."""
        kept = body if len(body) <= MAX_BODY else b""
        return cls(request_sha256, status, {**headers, "Content-Length": str(len(body))}, kept)


async def occupy(tx: Transaction, slot: Slot) -> bool:
    """Hold the slot until the transaction ends; False, at once, while another request holds it."""
    return bool(await tx.value(_LOCK, slot.text))


async def kept_answer(tx: Transaction, envelope: SecretCipher, slot: Slot) -> KeptAnswer | None:
    """The answer of the last day, for whoever occupies the slot: a statement of its own, to see what was committed.

    Without its body where the master key has been replaced since.
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
    """Keep an answer with its effect; what lay there a day ago gives way."""
    sealed = replace(answer, body=envelope.seal(answer.body, slot.text.encode()).packed())
    await tx.execute(_KEEP, *astuple(slot), org_id, *astuple(sealed), tx.now)
