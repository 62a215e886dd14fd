"""Leases of workers that are known to be dead."""

from storage.database import Transaction

_RELEASE = "UPDATE {queue} SET claim_id = NULL, due_at = least(due_at, $1) WHERE claim_id IS NOT NULL"
_QUEUES = ("inbox", "outbox")


async def release_leases(tx: Transaction) -> int:
    """Make every leased delivery and message due at once; return how many. Only while no worker runs.

    The attempts stay counted, so that what kills its worker is not tried for ever.
    """
    return sum([await tx.execute(_RELEASE.format(queue=queue), tx.now) for queue in _QUEUES])
