"""Configuring the identity provider of an organisation."""

from collections.abc import Callable, Collection
from typing import Any

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.identity.records import SSO_CONFIG
from domain.identity.single_sign_on import SECRET_PURPOSE, SsoConfig, SsoSettings, SsoTerms
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.identity.queries.organisations import held_organisation
from storage.identity.queries.single_sign_on import get_sso_config, has_break_glass_key, sso_config_of
from storage.identity.tables import sso_configs
from storage.rows import to_row
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import SecretCipher

Change = Callable[[SsoConfig], SsoSettings]
"""What a stored configuration is to become; it may raise."""

SSO_CONFIGS = Definition(
    "single sign-on configuration",
    SSO_CONFIG,
    sso_configs,
    shown={"provider": "provider", "issuerUrl": "issuer_url", "isMandatory": "is_mandatory"},
    taken={"sso_configs_org_id_key": "Single sign-on is configured already."},
)


async def create_sso_config(
    tx: Transaction, tenant: Tenant, new: SsoSettings, envelope: SecretCipher, actor: Actor
) -> SsoConfig:
    """Configure the provider. Raises Conflict if there is one, and if it is mandatory without a break-glass key."""
    await _check_mandatory(tx, tenant, new.terms)
    values = {"client_secret_id": None, **await _values(tx, tenant, new, envelope)}
    return sso_config_of(await SSO_CONFIGS.create(tx, tenant, actor, values))


_UNCHANGED = "SELECT true FROM sso_configs WHERE id = $1 AND version = $2 AND archived_at IS NULL FOR SHARE"


async def check_unchanged(tx: Transaction, config: SsoConfig) -> None:
    """Keep the configuration as it was read until the transaction ends. Raises Conflict if it was changed since."""
    if not await tx.value(_UNCHANGED, config.id, config.version):
        raise Conflict("Single sign-on was configured anew: sign in again.", "state")


async def change_sso_config(
    tx: Transaction,
    tenant: Tenant,
    change: Change,
    envelope: SecretCipher,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> SsoConfig:
    """Change the configuration as it stands.

    Raises NotFound, Stale for a version that is not `expected`, and Conflict if mandatory without a break-glass key.
    """
    held = await _hold(tx, tenant, expected)
    new = change(sso_config_of(held))
    await _check_mandatory(tx, tenant, new.terms)
    values = await _values(tx, tenant, new, envelope)
    if new.terms.issuer_url == held["issuer_url"]:
        return sso_config_of(await SSO_CONFIGS.change(tx, tenant, actor, held, values))
    await SSO_CONFIGS.archive(tx, tenant, actor, held)  # another provider: the sessions of this one end with it
    return sso_config_of(await SSO_CONFIGS.create(tx, tenant, actor, {"client_secret_id": None, **values}))


async def delete_sso_config(
    tx: Transaction, tenant: Tenant, actor: Actor, *, expected: Collection[int] | None = None
) -> SsoConfig:
    """Remove the configuration: the sessions that it gave end. Raises NotFound, and Stale as above."""
    held = await _hold(tx, tenant, expected)
    await SSO_CONFIGS.archive(tx, tenant, actor, held)
    return sso_config_of(held)


async def _hold(tx: Transaction, tenant: Tenant, expected: Collection[int] | None) -> dict[str, Any]:
    return await SSO_CONFIGS.hold(tx, tenant, (await get_sso_config(tx, tenant)).id, expected)


async def _values(tx: Transaction, tenant: Tenant, new: SsoSettings, envelope: SecretCipher) -> dict[str, Any]:
    terms = new.terms
    values = {**to_row(terms), "provider": terms.provider.value, "redirect_uris": list(terms.redirect_uris)}
    if new.client_secret is None:
        return values
    secret_id = await keep_secret(tx, tenant, envelope, new.client_secret, SECRET_PURPOSE)
    return {**values, "client_secret_id": secret_id}


async def _check_mandatory(tx: Transaction, tenant: Tenant, terms: SsoTerms) -> None:
    await held_organisation(tx, tenant)
    if terms.is_mandatory and not await has_break_glass_key(tx, tenant, tx.now):
        message = "Create a break-glass key for an administrator first: it works when the identity provider does not."
        raise Conflict(message, "state")
