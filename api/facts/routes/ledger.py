"""Paths of the ledger (facts.md 19.2)."""

from api.calls import Route, tagged
from api.facts.handlers import ledger
from api.facts.routes.paths import V1
from domain.permissions import Permission

ROUTES = tagged(
    "Ledger",
    Route("GET", f"{V1}/ledger/entries", ledger.list_ledger_entries, Permission.LEDGER_READ),
    Route("GET", f"{V1}/ledger/entries/{{record_id}}", ledger.get_ledger_entry, Permission.LEDGER_READ),
    Route("POST", f"{V1}/ledger/verify/{{record_id}}", ledger.verify_ledger_record, Permission.LEDGER_READ),
    Route("POST", f"{V1}/ledger/verify-chain", ledger.verify_ledger_chain, Permission.LEDGER_READ),
    Route("GET", f"{V1}/ledger/status", ledger.get_ledger_status, Permission.LEDGER_READ),
)
