"""Making the codes of ledger heads and waiting events anew, after a rotation of the master key or an upgrade."""

from storage.authenticator import Purpose, event_data
from storage.database import Transaction
from storage.ledger.heads import Head, is_authentic, read_head, set_head

_HEADS = "SELECT org_id, size, chain_hash, root, mac FROM ledger_heads ORDER BY org_id FOR UPDATE"
_WAITING = "SELECT org_id, event_id, leaf, mac FROM unsealed ORDER BY org_id, event_id FOR UPDATE"
_SET_WAITING = """
UPDATE unsealed u SET mac = m.mac FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS m(org_id, event_id, mac)
WHERE u.org_id = m.org_id AND u.event_id = m.event_id
"""


async def renew_codes(tx: Transaction, *, unchecked: bool = False) -> None:
    """Make every code anew with the current key.

    A code that does not hold stays as it is, because somebody else made it; unless `unchecked`, for when the key that
    it was made with is lost.
    """
    for row in await tx.rows(_HEADS):
        head = Head(row["org_id"], row["size"], row["chain_hash"], row["root"], None)
        if unchecked or tx.authenticator.holds(row["mac"], Purpose.HEAD, head.data()):
            await set_head(tx, head)
    renewed = []
    for row in await tx.rows(_WAITING):
        if unchecked or is_authentic(row, row["org_id"], tx.authenticator):
            data = event_data(row["org_id"], row["event_id"], row["leaf"])
            renewed.append((row["org_id"], row["event_id"], tx.authenticator.mac(Purpose.EVENT, data)))
    if renewed:
        await tx.execute(_SET_WAITING, *map(list, zip(*renewed, strict=True)))


_LEDGERS = "SELECT id FROM organisations ORDER BY id"


async def adopt_ledgers(tx: Transaction) -> None:
    """Make the codes of ledgers that an earlier version of Trailgate, which made none, has written."""
    for row in await tx.rows(_LEDGERS):
        head, _tiles = await read_head(tx, row["id"])
        if head.size:
            await set_head(tx, head)
    await renew_codes(tx, unchecked=True)
