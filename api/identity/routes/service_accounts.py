"""Routes of service accounts and their keys."""

from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from api.http.resources import Resource
from api.identity.handlers import service_accounts
from api.identity.schemas.service_accounts import ServiceAccountOut
from domain.identity.permissions import Permission
from storage.identity.commands.service_accounts import delete_service_account
from storage.identity.queries.principals import get_service_account, list_service_accounts

ACCOUNTS = f"{V1}/service-accounts"
ACCOUNT = f"{ACCOUNTS}/{{service_account_id}}"
KEYS = f"{ACCOUNT}/api-keys"
KEY = f"{KEYS}/{{key_id}}"
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

_ACCOUNTS = Resource("service account", "service accounts", ACCOUNTS, ServiceAccountOut, read=READ, manage=MANAGE)

ROUTES = tagged(
    "Service accounts",
    Route("POST", ACCOUNTS, service_accounts.create_service_account, MANAGE, status=201, errors=(409,)),
    _ACCOUNTS.list(list_service_accounts, "List the service accounts, oldest first."),
    _ACCOUNTS.get(get_service_account, "Get a service account."),
    Route("PUT", ACCOUNT, service_accounts.update_service_account, MANAGE, errors=(409, 412)),
    _ACCOUNTS.delete(
        delete_service_account,
        """Delete a service account.

        Its keys are revoked at once, and its name is free again. What it did stays in the audit.
        """,
    ),
    *scoped(
        Route("POST", KEYS, service_accounts.create_service_account_key, MANAGE, status=201, errors=(409,)),
        Route("GET", KEYS, service_accounts.list_service_account_keys, READ),
        Route("DELETE", KEY, service_accounts.revoke_service_account_key, MANAGE, status=204),
        Route("POST", f"{KEY}/rotate", service_accounts.rotate_service_account_key, MANAGE, status=201, errors=(409,)),
    ),
)
