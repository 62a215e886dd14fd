"""Paths of webhook configurations (integrations.md 13)."""

from api.facts.handlers import webhook_configs as webhooks
from api.http.calls import Route, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Webhook configs",
    Route(
        "POST",
        f"{V1}/webhook-configs",
        webhooks.create_webhook_config,
        Permission.INTEGRATIONS_MANAGE,
        status=201,
        errors=(404, 409),
    ),
    Route("GET", f"{V1}/webhook-configs", webhooks.list_webhook_configs, Permission.INTEGRATIONS_MANAGE),
    Route(
        "POST",
        f"{V1}/webhook-configs/{{config_id}}/rotate",
        webhooks.rotate_webhook_secret,
        Permission.INTEGRATIONS_MANAGE,
    ),
    Route(
        "DELETE",
        f"{V1}/webhook-configs/{{config_id}}",
        webhooks.delete_webhook_config,
        Permission.INTEGRATIONS_MANAGE,
    ),
    Route(
        "GET",
        f"{V1}/webhook-configs/{{config_id}}/deliveries",
        webhooks.list_webhook_deliveries,
        Permission.INTEGRATIONS_MANAGE,
    ),
    Route(
        "PUT",
        f"{V1}/webhook-configs/{{config_id}}/reconciliation",
        webhooks.set_webhook_reconciliation,
        Permission.INTEGRATIONS_MANAGE,
        errors=(409,),
    ),
    Route(
        "GET",
        f"{V1}/webhook-configs/{{config_id}}/reconciliation",
        webhooks.get_webhook_reconciliation,
        Permission.INTEGRATIONS_MANAGE,
    ),
    Route(
        "DELETE",
        f"{V1}/webhook-configs/{{config_id}}/reconciliation",
        webhooks.delete_webhook_reconciliation,
        Permission.INTEGRATIONS_MANAGE,
    ),
)
