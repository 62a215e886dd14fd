"""Paths of what leaves."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.notifications.handlers import deliveries as outbox
from domain.identity.permissions import Permission

MESSAGES = f"{V1}/deliveries"
DESTINATIONS = f"{V1}/destinations"

ROUTES = tagged(
    "Outgoing deliveries",
    Route("GET", MESSAGES, outbox.list_messages, Permission.INTEGRATIONS_MANAGE),
    Route("GET", f"{MESSAGES}/{{message_id}}", outbox.get_message, Permission.INTEGRATIONS_MANAGE),
    Route(
        "POST",
        f"{MESSAGES}/{{message_id}}/replay",
        outbox.replay_message,
        Permission.INTEGRATIONS_MANAGE,
        status=202,
        errors=(409,),
    ),
    Route("GET", DESTINATIONS, outbox.list_destinations, Permission.INTEGRATIONS_MANAGE),
    Route("GET", f"{DESTINATIONS}/{{destination_id}}", outbox.get_destination, Permission.INTEGRATIONS_MANAGE),
    Route(
        "POST",
        f"{DESTINATIONS}/{{destination_id}}/replay",
        outbox.replay_destination,
        Permission.INTEGRATIONS_MANAGE,
        status=202,
        errors=(409,),
    ),
    Route(
        "POST", f"{DESTINATIONS}/{{destination_id}}/enable", outbox.enable_destination, Permission.INTEGRATIONS_MANAGE
    ),
)
