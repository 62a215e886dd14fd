"""Routes of webhook configs."""

from api.facts.handlers import webhook_configs
from api.facts.schemas.webhook_configs import WebhookConfigOut
from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from domain.identity.permissions import Permission
from storage.facts.commands.webhook_configs import delete_webhook_config
from storage.facts.queries.webhook_configs import list_webhook_configs

CONFIGS = f"{V1}/webhook-configs"
CONFIG = f"{CONFIGS}/{{config_id}}"
MANAGE = Permission.INTEGRATIONS_MANAGE

_CONFIGS = Resource(
    "webhook config", "webhook configs", CONFIGS, WebhookConfigOut, read=MANAGE, manage=MANAGE, identifier="config_id"
)

ROUTES = tagged(
    "Webhook configs",
    Route("POST", CONFIGS, webhook_configs.create_webhook_config, MANAGE, status=201, errors=(404, 409)),
    _CONFIGS.list(list_webhook_configs, "List the webhook configs, oldest first."),
    Route("POST", f"{CONFIG}/rotate", webhook_configs.rotate_webhook_secret, MANAGE),
    _CONFIGS.delete(
        delete_webhook_config,
        """Delete a webhook config.

        The sender's deliveries are rejected from now on. Earlier deliveries are kept.
        """,
    ),
    Route("GET", f"{CONFIG}/deliveries", webhook_configs.list_webhook_deliveries, MANAGE),
    Route("PUT", f"{CONFIG}/reconciliation", webhook_configs.set_webhook_reconciliation, MANAGE, errors=(409,)),
    Route("GET", f"{CONFIG}/reconciliation", webhook_configs.get_webhook_reconciliation, MANAGE),
    Route("DELETE", f"{CONFIG}/reconciliation", webhook_configs.delete_webhook_reconciliation, MANAGE),
)
