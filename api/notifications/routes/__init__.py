"""The paths of notifications and of what is sent."""

from api.notifications.routes import deliveries, inapp, rules

ROUTES = (*rules.ROUTES, *deliveries.ROUTES, *inapp.ROUTES)
