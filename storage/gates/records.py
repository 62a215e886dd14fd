"""Where verification finds the sealed records of the gate."""

from domain.gates.opa import OPA_BUNDLE, OPA_DECISION
from storage.ledger.records import RecordSource

RECORDS = (
    RecordSource.plain(OPA_BUNDLE, "opa_bundles"),
    RecordSource.plain(OPA_DECISION, "opa_decisions"),
)
