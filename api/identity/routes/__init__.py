"""Routes of organisations, people, service accounts, CI jobs, keys, sessions and single sign-on."""

from api.identity.routes import (
    api_keys,
    limits,
    me,
    organisations,
    service_accounts,
    sessions,
    single_sign_on,
    users,
    workload_identities,
)

ROUTES = (
    *organisations.ROUTES,
    *users.ROUTES,
    *service_accounts.ROUTES,
    *workload_identities.ROUTES,
    *api_keys.ROUTES,
    *me.ROUTES,
    *sessions.ROUTES,
    *single_sign_on.ROUTES,
    *limits.ROUTES,
)
