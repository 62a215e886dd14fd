"""Routes of notification rules, outgoing messages and in-app notifications."""

from api.notifications.routes import deliveries, inapp, rules

ROUTES = (*rules.ROUTES, *deliveries.ROUTES, *inapp.ROUTES)
