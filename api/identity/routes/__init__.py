"""Routes of organisations, people, invitations, service accounts, CI jobs, keys, sessions and single sign-on."""

from api.identity.routes import (
    api_keys,
    invitations,
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
    *invitations.ROUTES,
    *service_accounts.ROUTES,
    *workload_identities.ROUTES,
    *api_keys.ROUTES,
    *me.ROUTES,
    *sessions.ROUTES,
    *single_sign_on.ROUTES,
    *limits.ROUTES,
)
