"""Handlers of single sign-on: an organisation's identity provider, and signing in at it."""

# ruff: noqa: ARG001 - authentication reads the organisation in the path: it becomes `call.tenant`

from dataclasses import replace

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated, versioned
from api.http.openid import OPENID
from api.http.rate_limits import RATE_LIMITS
from api.http.versions import IfMatch, expected_versions
from api.identity.cookies import began_sign_in, session_cookie, sign_in_cookie
from api.identity.handlers.sessions import new_session
from api.identity.schemas.single_sign_on import (
    CallbackQuery,
    SignedInOut,
    SignInOut,
    SignInQuery,
    SsoConfigChangeIn,
    SsoConfigIn,
    SsoConfigOut,
    SsoTestOut,
)
from domain.errors import Invalid, NotFound, Upstream
from domain.identity.grants import check_role
from domain.identity.permissions import Principal
from domain.identity.sessions import NewSession, SignInMethod
from domain.identity.single_sign_on import (
    SECRET_PURPOSE,
    SsoConfig,
    SsoPerson,
    SsoSettings,
    check_page,
    check_terms,
    person_of,
)
from domain.tenant import Tenant
from integrations.oidc.sign_in import authorization_url, new_sign_in, redeem
from integrations.oidc.tokens import verify
from storage.identity.commands import single_sign_on as commands
from storage.identity.commands.sign_ins import sign_in
from storage.identity.pending_sign_ins import PendingSignIn, keep_pending, take_pending
from storage.identity.queries.organisations import organisation_by_slug_or_id
from storage.identity.queries.principals import name_and_email
from storage.identity.queries.single_sign_on import NOT_CONFIGURED, get_sso_config
from storage.secrets.queries import open_secrets


async def create_sso_config(
    call: Call, organisation: str, body: SsoConfigIn, dry_run: DryRun = False
) -> Created[SsoConfigOut]:
    """Configure single sign-on.

    Mandatory single sign-on needs a break-glass key of an administrator: people's other keys stop.
    """
    check_role(call.caller, "admin")  # whoever chooses the provider decides who is who
    terms, envelope = body.to_terms(), call.services.envelope
    check_terms(terms, http_allowed=call.services.settings.outbound_http)
    async with call.transaction(dry_run=dry_run) as tx:
        new = SsoSettings(terms, body.client_secret)
        config = await commands.create_sso_config(tx, call.tenant, new, envelope, call.actor)
    return created(SsoConfigOut.of(config, call), dry_run=dry_run)


async def get_sso(call: Call, organisation: str) -> Reply[SsoConfigOut]:
    """Get the configuration of single sign-on. 404 means that there is none."""
    async with call.read() as reader:
        return versioned(SsoConfigOut.of(await get_sso_config(reader, call.tenant), call))


async def update_sso_config(
    call: Call, organisation: str, body: SsoConfigChangeIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> Updated[SsoConfigOut]:
    """Change the configuration of single sign-on.

    New roles of groups count at the next sign-in of each person.
    """
    services, expected = call.services, expected_versions(if_match)

    def changed(held: SsoConfig) -> SsoSettings:
        check_role(call.caller, "admin")
        terms = body.onto(held)
        if terms.issuer_url != held.issuer_url and held.client_secret_id and body.client_secret is None:
            message = "is required with another issuerUrl: the old secret stays with the old one"
            raise Invalid.of("clientSecret", message)
        check_terms(terms, http_allowed=services.settings.outbound_http)
        return SsoSettings(terms, body.client_secret)

    async with call.transaction(dry_run=dry_run) as tx:
        config = await commands.change_sso_config(
            tx, call.tenant, changed, services.envelope, call.actor, expected=expected
        )
    return updated(SsoConfigOut.of(config, call), dry_run=dry_run)


async def delete_sso_config(
    call: Call, organisation: str, dry_run: DryRun = False, if_match: IfMatch = None
) -> Deleted[SsoConfigOut]:
    """Remove the configuration of single sign-on. The sessions that it gave end; people's keys work again."""
    expected = expected_versions(if_match)
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await commands.delete_sso_config(tx, call.tenant, call.actor, expected=expected)
    return deleted(SsoConfigOut.of(gone, call), dry_run=dry_run)


async def test_sso_config(call: Call, organisation: str) -> SsoTestOut:
    """Ask the identity provider for its endpoints, to see whether the configuration can work."""
    async with call.read() as reader:
        config = await get_sso_config(reader, call.tenant)
    try:
        provider = await call.request.app[OPENID].providers.ask(config.issuer_url)
    except Upstream as error:
        return SsoTestOut(success=False, message=error.message, authorization_endpoint=None, token_endpoint=None)
    return SsoTestOut(
        success=True,
        message="The identity provider answered.",
        authorization_endpoint=provider.authorization_endpoint,
        token_endpoint=provider.token_endpoint,
    )


async def begin_sign_in(call: Call, organisation: str, query: SignInQuery) -> Reply[SignInOut]:
    """Begin to sign in at the organisation's identity provider."""
    services = call.services
    check_page("redirectUri", query.redirect_uri)
    tenant, config = await _configured(call, organisation)
    await call.request.app[RATE_LIMITS].admit_sign_in_to(tenant.org_id)
    if not config.permits(query.redirect_uri, services.settings.address):
        raise Invalid.of("redirectUri", "is not one of the pages that the configuration permits")
    provider = await call.request.app[OPENID].providers.get(config.issuer_url)
    new = new_sign_in()
    url = authorization_url(provider, config.client_id, query.redirect_uri, new)
    pending = PendingSignIn(config.id, config.version, query.redirect_uri, new.nonce, new.verifier)
    await keep_pending(services.redis, new.state, pending)
    return Reply(SignInOut(login_url=url, state=new.state), headers=sign_in_cookie(services.settings, new.state))


async def finish_sign_in(call: Call, organisation: str, query: CallbackQuery) -> Reply[SignedInOut]:
    """Finish the sign-in with the code of the identity provider: start a session.

    A person who is new becomes a user and a member. The browser that began the sign-in also gets a cookie.
    """
    pending = await take_pending(call.services.redis, query.state)
    tenant, config = await _configured(call, organisation)
    if pending is None or (pending.config_id, pending.config_version) != (config.id, config.version):
        raise Invalid.of("state", "is unknown, used, older than ten minutes or than the configuration: sign in again")
    person = await _person(call, config, pending, query.code)
    nobody = Principal(tenant.org_id, "user", tenant.org_id, tenant.org_slug, "none", frozenset())
    async with call.transaction() as tx:
        await commands.check_unchanged(tx, config)
        user_id = await sign_in(tx, tenant, config, person, replace(call, principal=nobody).actor)
        signed_in = replace(call, principal=replace(nobody, id=user_id))
        session, token = await new_session(signed_in, tx, NewSession(user_id, SignInMethod.SSO))
        name, email = await name_and_email(tx, user_id)
    began = began_sign_in(call.request, query.state)
    cookie = session_cookie(call.services.settings, token) if began else {}
    answer = SignedInOut.made(session, token, name, email)
    return Reply(answer, headers={**cookie, "Cache-Control": "no-store"})


async def _configured(call: Call, organisation: str) -> tuple[Tenant, SsoConfig]:
    async with call.read() as reader:
        found = await organisation_by_slug_or_id(reader, organisation)
        if found is None:
            raise NotFound(NOT_CONFIGURED)  # unknown callers do not learn which organisations exist
        return found.tenant, await get_sso_config(reader, found.tenant)


async def _person(call: Call, config: SsoConfig, pending: PendingSignIn, code: str) -> SsoPerson:
    """Exchange the code, and return the person that the verified id_token describes."""
    services, openid = call.services, call.request.app[OPENID]
    secret = await _secret(call, config)
    provider = await openid.providers.get(config.issuer_url)
    token = await redeem(
        services.outbound,
        provider,
        config.client_id,
        secret,
        code=code,
        redirect_uri=pending.redirect_uri,
        verifier=pending.verifier,
    )
    now = services.clock.now()
    claims = await verify(token, provider, openid.keys, config.client_id, now, nonce=pending.nonce)
    return person_of(config, claims.issuer, claims.subject, claims.values)


async def _secret(call: Call, config: SsoConfig) -> str | None:
    if config.client_secret_id is None:
        return None
    async with call.read() as reader:
        found = await open_secrets(reader, call.services.envelope, [config.client_secret_id], SECRET_PURPOSE)
    return found[config.client_secret_id]
