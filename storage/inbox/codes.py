"""The code of a delivery: shows the worker that the API accepted it, and not whoever owns the database.

The API makes it when it has authenticated the delivery, with a key that the database does not hold.
"""

from collections.abc import Mapping
from hashlib import sha256
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson

from storage.authenticator import Authenticator, Purpose
from storage.database import Transaction

_covered = itemgetter("org_id", "config_id", "body_id", "accepted_at", "source", "identity", "event", "headers")


def code_of(delivery: Mapping[str, Any], authenticator: Authenticator) -> bytes:
    """Return the code of a delivery and its body, given as the columns of `deliveries` and `inbox_bodies`."""
    return authenticator.mac(Purpose.DELIVERY, _data(delivery))


def is_authentic(delivery: Mapping[str, Any], authenticator: Authenticator) -> bool:
    """Whether the code of a delivery is ours and its body is the one that was accepted."""
    return sha256(delivery["body"]).digest() == delivery["body_sha256"] and _holds(delivery, authenticator)


def _holds(delivery: Mapping[str, Any], authenticator: Authenticator) -> bool:
    return authenticator.holds(delivery["mac"], Purpose.DELIVERY, _data(delivery))


def _data(delivery: Mapping[str, Any]) -> bytes:
    """Return what the code covers: the hash of the body, and the other columns as JSON."""
    return bytes(delivery["body_sha256"]) + orjson.dumps(_covered(delivery), default=str, option=orjson.OPT_SORT_KEYS)


_RENEWED_AT_ONCE = 1000
_WAITING = """
SELECT d.id, d.org_id, d.config_id, d.source, d.identity, d.event, d.body_id, d.body_sha256,
       b.headers, b.accepted_at, b.mac
FROM deliveries d JOIN inbox_bodies b ON b.id = d.body_id
WHERE d.id > $1
  AND d.id IN (SELECT delivery_id FROM inbox UNION ALL SELECT id FROM deliveries WHERE status = 'FAILED')
ORDER BY d.id LIMIT $2 FOR UPDATE OF b
"""
_SET = "UPDATE inbox_bodies b SET mac = m.mac FROM unnest($1::uuid[], $2::bytea[]) AS m(id, mac) WHERE b.id = m.id"


async def renew_delivery_codes(tx: Transaction, *, unchecked: bool = False) -> None:
    """Make the codes of deliveries that wait or may be replayed anew, as `storage.ledger.renewal.renew_codes` does."""
    after = UUID(int=0)
    while rows := await tx.rows(_WAITING, after, _RENEWED_AT_ONCE):
        after = rows[-1]["id"]
        ours = [row for row in rows if unchecked or _holds(row, tx.authenticator)]
        await tx.execute(_SET, [row["body_id"] for row in ours], [code_of(row, tx.authenticator) for row in ours])
