"""Routes of in-app notifications."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.transport.streams import EVENT_STREAM
from api.notifications.handlers import inapp as notifications
from domain.identity.permissions import Permission

ALL = f"{V1}/notifications"

ROUTES = tagged(
    "Notifications",
    Route("GET", ALL, notifications.list_notifications, Permission.FACTS_READ),
    Route("GET", f"{ALL}/unread-count", notifications.count_unread_notifications, Permission.FACTS_READ),
    Route(
        "GET",
        f"{ALL}/stream",
        notifications.stream_notifications,
        Permission.FACTS_READ,
        produces=EVENT_STREAM,
        errors=(503,),
    ),
    Route("POST", f"{ALL}/{{notification_id}}/read", notifications.mark_notification_read, Permission.FACTS_READ),
    Route("POST", f"{ALL}/read-all", notifications.mark_all_notifications_read, Permission.FACTS_READ),
)
