"""Routes of notification rules."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from api.notifications.handlers import rules
from api.notifications.schemas.rules import NotificationRuleOut
from domain.identity.permissions import Permission
from storage.notifications.commands.rules import archive_rule
from storage.notifications.queries.rules import get_rule, list_rules

RULES = f"{V1}/notification-rules"
RULE = f"{RULES}/{{rule_id}}"
MANAGE = Permission.INTEGRATIONS_MANAGE

_RULES = Resource(
    "notification rule",
    "notification rules",
    RULES,
    NotificationRuleOut,
    read=MANAGE,
    manage=MANAGE,
    identifier="rule_id",
)

ROUTES = tagged(
    "Notification rules",
    Route("POST", RULES, rules.create_notification_rule, MANAGE, status=201, errors=(404, 409)),
    _RULES.list(list_rules, "List the notification rules, oldest first."),
    _RULES.get(
        get_rule,
        """Get a notification rule.

        The ETag is the version. A change that sends it as `If-Match` fails with 412 if the rule has changed since.
        """,
    ),
    Route("PUT", RULE, rules.update_notification_rule, MANAGE, errors=(412,)),
    _RULES.delete(archive_rule, "Delete a notification rule and skip its waiting messages."),
    Route("POST", f"{RULE}/test", rules.try_notification_rule, MANAGE, status=202, errors=(429,)),
    Route("POST", f"{RULE}/rotate-secret", rules.rotate_notification_rule_secret, MANAGE, errors=(409, 412)),
    Route("GET", f"{RULE}/deliveries", rules.list_notification_rule_deliveries, MANAGE),
)
