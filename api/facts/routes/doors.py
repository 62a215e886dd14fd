"""Paths of the front door (integrations.md 14)."""

from api.calls import Route, tagged
from api.facts.routes.paths import V1
from api.webhooks import front_door
from api.webhooks import handlers as webhooks
from domain.permissions import Permission


def routes(webhook_max_body: int) -> tuple[Route, ...]:
    """The doors of senders. `webhook_max_body` in bytes."""
    return tagged(
        "Inbound webhooks",
        Route(
            "POST",
            f"{V1}/webhooks/{{source}}/{{config_id}}",
            front_door.receive_config_webhook,
            None,
            status=202,
            max_body=webhook_max_body,
            errors=(401, 413, 503),
        ),
        Route(
            "POST",
            f"{V1}/webhooks/{{source}}",
            front_door.receive_webhook,
            None,
            status=202,
            max_body=webhook_max_body,
            errors=(401, 413, 503),
        ),
        Route("GET", f"{V1}/receipts/{{receipt_id}}", webhooks.get_receipt, Permission.FACTS_READ),
    )
