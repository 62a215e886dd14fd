"""Paths of notification rules (integrations.md 12.1)."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.notifications.handlers import rules
from domain.identity.permissions import Permission

RULES = f"{V1}/notification-rules"
RULE = f"{RULES}/{{rule_id}}"

ROUTES = tagged(
    "Notification rules",
    Route("POST", RULES, rules.create_notification_rule, Permission.INTEGRATIONS_MANAGE, status=201, errors=(404,)),
    Route("GET", RULES, rules.list_notification_rules, Permission.INTEGRATIONS_MANAGE),
    Route("GET", RULE, rules.get_notification_rule, Permission.INTEGRATIONS_MANAGE),
    Route("PUT", RULE, rules.update_notification_rule, Permission.INTEGRATIONS_MANAGE, errors=(412,)),
    Route("DELETE", RULE, rules.delete_notification_rule, Permission.INTEGRATIONS_MANAGE, errors=(412,)),
    Route("POST", f"{RULE}/test", rules.try_notification_rule, Permission.INTEGRATIONS_MANAGE, status=202),
    Route(
        "POST",
        f"{RULE}/rotate-secret",
        rules.rotate_notification_rule_secret,
        Permission.INTEGRATIONS_MANAGE,
        errors=(409, 412),
    ),
    Route("GET", f"{RULE}/deliveries", rules.list_notification_rule_deliveries, Permission.INTEGRATIONS_MANAGE),
)
