"""Routes of the ledger."""

from api.audit.handlers import ledger
from api.http.calls import Route, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Ledger",
    Route("GET", f"{V1}/ledger/entries", ledger.list_ledger_entries, Permission.LEDGER_READ),
    Route("GET", f"{V1}/ledger/entries/{{record_id}}", ledger.get_ledger_entry, Permission.LEDGER_READ),
    Route("GET", f"{V1}/ledger/entries/{{record_id}}/proof", ledger.prove_ledger_entry, Permission.LEDGER_READ),
    Route("GET", f"{V1}/ledger/consistency", ledger.prove_ledger_growth, Permission.LEDGER_READ, errors=(404,)),
    Route("GET", f"{V1}/ledger/checkpoints", ledger.list_checkpoints, Permission.LEDGER_READ),
    Route(
        "GET",
        f"{V1}/ledger/checkpoints/{{tree_size:latest|[0-9]{{1,18}}}}",
        ledger.get_checkpoint,
        Permission.LEDGER_READ,
        examples={"tree_size": "latest"},
    ),
    Route("GET", f"{V1}/ledger/keys", ledger.list_signing_keys, Permission.LEDGER_READ),
    Route("POST", f"{V1}/ledger/verify/{{record_id}}", ledger.verify_ledger_record, Permission.LEDGER_READ),
    Route("POST", f"{V1}/ledger/verify-chain", ledger.verify_ledger_chain, Permission.LEDGER_READ),
    Route("GET", f"{V1}/ledger/status", ledger.get_ledger_status, Permission.LEDGER_READ),
)
