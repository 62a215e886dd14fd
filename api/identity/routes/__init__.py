"""Routes of organisations, people, service accounts, keys and sessions."""

from api.identity.routes import api_keys, limits, me, organisations, service_accounts, sessions, users

ROUTES = (
    *organisations.ROUTES,
    *users.ROUTES,
    *service_accounts.ROUTES,
    *api_keys.ROUTES,
    *me.ROUTES,
    *sessions.ROUTES,
    *limits.ROUTES,
)
