"""Routes of outgoing messages and destinations."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from api.notifications.handlers import deliveries
from api.notifications.schemas.deliveries import DestinationOut
from domain.identity.permissions import Permission
from storage.outbox.queries import get_destination, list_destinations

MESSAGES = f"{V1}/deliveries"
DESTINATIONS = f"{V1}/destinations"
DESTINATION = f"{DESTINATIONS}/{{destination_id}}"
MANAGE = Permission.INTEGRATIONS_MANAGE

_DESTINATIONS = Resource("destination", "destinations", DESTINATIONS, DestinationOut, read=MANAGE, manage=MANAGE)

ROUTES = tagged(
    "Outgoing deliveries",
    Route("GET", MESSAGES, deliveries.list_messages, MANAGE),
    Route("GET", f"{MESSAGES}/{{message_id}}", deliveries.get_message, MANAGE),
    Route("POST", f"{MESSAGES}/{{message_id}}/replay", deliveries.replay_message, MANAGE, status=202, errors=(409,)),
    _DESTINATIONS.list(list_destinations, "List the destinations of outgoing messages, oldest first."),
    _DESTINATIONS.get(get_destination, "Get a destination."),
    Route("POST", f"{DESTINATION}/replay", deliveries.replay_destination, MANAGE, status=202, errors=(409,)),
    Route("POST", f"{DESTINATION}/enable", deliveries.enable_destination, MANAGE),
)
