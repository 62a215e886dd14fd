"""Where verification finds the sealed records of the gate."""

from domain.gates.records import APPROVAL, APPROVAL_DECISION, APPROVAL_EXPIRY
from storage.ledger.records import RecordSource

RECORDS = (
    RecordSource.plain(APPROVAL, "approvals"),
    RecordSource.plain(APPROVAL_DECISION, "approval_decisions"),
    RecordSource.eventful(APPROVAL_EXPIRY),
)
