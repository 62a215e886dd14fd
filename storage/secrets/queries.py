"""Reading secrets."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage.database import Reader, Row
from storage.secrets.commands import binding
from storage.secrets.envelope import Sealed, SecretCipher, Undecipherable

_GET = "SELECT id, key_id, wrapped, nonce, data FROM secrets WHERE id = ANY($1::uuid[])"


async def open_secrets(
    reader: Reader, envelope: SecretCipher, secret_ids: Sequence[UUID], purpose: str
) -> Mapping[UUID, str]:
    """Decrypt secrets and return them by id. Raises envelope.Undecipherable."""
    return {row["id"]: _opened(envelope, row, purpose) for row in await reader.rows(_GET, secret_ids)}


async def readable_secrets(
    reader: Reader, envelope: SecretCipher, secret_ids: Sequence[UUID], purpose: str
) -> Mapping[UUID, str]:
    """Decrypt secrets and return them by id, without those that cannot be decrypted: their master key was lost."""
    texts = {}
    for row in await reader.rows(_GET, secret_ids):
        with suppress(Undecipherable):
            texts[row["id"]] = _opened(envelope, row, purpose)
    return texts


def _opened(envelope: SecretCipher, row: Row, purpose: str) -> str:
    sealed = Sealed(row["key_id"], row["wrapped"], row["nonce"], row["data"])
    return envelope.open(sealed, binding(row["id"], purpose)).decode()


@dataclass(frozen=True, slots=True)
class SealedUnder:
    """How many secrets are encrypted with one master key, and when the newest was stored."""

    key_id: str
    number: int
    newest: datetime


async def master_keys_used(reader: Reader) -> list[SealedUnder]:
    """Return the master keys that secrets are encrypted with, the most recently used first."""
    rows = await reader.rows(
        "SELECT key_id, count(*) AS number, max(created_at) AS newest FROM secrets GROUP BY key_id ORDER BY newest DESC"
    )
    return [SealedUnder(**row) for row in rows]
