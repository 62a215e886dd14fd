"""Routes of receipts."""

from api.facts.handlers import webhook_configs
from api.http.calls import Route, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Inbound webhooks",
    Route("GET", f"{V1}/receipts/{{receipt_id}}", webhook_configs.get_receipt, Permission.FACTS_READ),
)
