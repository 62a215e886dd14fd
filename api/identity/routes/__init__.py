"""Routes of organisations, people, service accounts and keys."""

from api.identity.routes import api_keys, limits, me, organisations, service_accounts, users

ROUTES = (
    *organisations.ROUTES,
    *users.ROUTES,
    *service_accounts.ROUTES,
    *api_keys.ROUTES,
    *me.ROUTES,
    *limits.ROUTES,
)
