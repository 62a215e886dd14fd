"""Reading secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from storage.database import Reader
from storage.secrets.commands import binding
from storage.secrets.envelope import Sealed, SecretCipher

_GET = "SELECT id, key_id, wrapped, nonce, data FROM secrets WHERE id = ANY($1::uuid[])"


async def open_secrets(
    reader: Reader, envelope: SecretCipher, secret_ids: Sequence[UUID], purpose: str
) -> Mapping[UUID, str]:
    """Decrypt secrets and return them by id. Raises envelope.Undecipherable."""
    rows = await reader.rows(_GET, secret_ids)
    return {
        row["id"]: envelope.open(
            Sealed(row["key_id"], row["wrapped"], row["nonce"], row["data"]), binding(row["id"], purpose)
        ).decode()
        for row in rows
    }


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
