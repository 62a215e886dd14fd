"""Signing people in whom the organisation's identity provider vouches for."""

from dataclasses import replace
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict, Forbidden
from domain.identity.principals import NewPrincipal
from domain.identity.records import SSO_IDENTITY
from domain.identity.single_sign_on import SsoConfig, SsoPerson
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.identity.commands.members import add_member
from storage.identity.commands.principals import change_role, create_principal, hold_membership
from storage.identity.queries.principals import user_with_email
from storage.identity.queries.single_sign_on import SubjectLink, has_subject, is_ours, link_of_subject, was_member
from storage.identity.tables import sso_identities

SSO_IDENTITIES = Definition(
    "identity",
    SSO_IDENTITY,
    sso_identities,
    shown={"userId": "principal_id"},
    taken={
        "sso_identities_subject_key": "This person is being signed in already.",
        "sso_identities_principal_key": "The e-mail address belongs to another account of the identity provider.",
    },
)

_ANOTHERS = "Another organisation manages the user of this e-mail address. Ask an administrator to add you."
_LEFT = "You are no member of this organisation any more. Ask an administrator to add you."

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7241007, hashtext($1))"
"""By subject: who opens several tabs becomes a user in one, and signs in to the others as that user."""


async def sign_in(tx: Transaction, tenant: Tenant, config: SsoConfig, person: SsoPerson, actor: Actor) -> UUID:
    """Return the id of the person, who becomes a user and a member unless that is done, with the role of the groups.

    The person acts, in the request and region of `actor`. A person is known by the provider's subject; a new subject is
    linked with the user of its e-mail address, unless that user has a subject already. Raises Forbidden for a disabled
    or removed person, and Conflict for an address that belongs to another subject.
    """
    await tx.value(_ONE_AT_A_TIME, f"{person.issuer} {person.subject}")
    user_id = await _user(tx, tenant, person, actor)
    themselves = replace(actor, principal_id=user_id)
    await _keep_groups(tx, tenant, person, themselves)
    held = await hold_membership(tx, tenant, user_id)
    if held is None:
        await _check_never_left(tx, tenant, user_id)
        await add_member(tx, tenant, user_id, person.role or config.default_role, themselves)
    elif person.role is not None and person.role != held["role"]:
        await _apply(tx, tenant, held, person.role, themselves)
    return user_id


async def _user(tx: Transaction, tenant: Tenant, person: SsoPerson, actor: Actor) -> UUID:
    link = await link_of_subject(tx, tenant, person.issuer, person.subject)
    if link is not None and not link.is_deleted:
        await _check_active(tx, link.user_id)
        return link.user_id
    user_id = await user_with_email(tx, person.email)
    if user_id is None:
        if link is not None or await was_member(tx, tenant, person.email):
            raise Forbidden(_LEFT)
        user_id = await _create(tx, tenant, person, actor)
    await _check_active(tx, user_id)
    if not await is_ours(tx, tenant, user_id):
        raise Conflict(_ANOTHERS, "state")
    await _link(tx, tenant, person, link, replace(actor, principal_id=user_id))
    return user_id


async def _link(tx: Transaction, tenant: Tenant, person: SsoPerson, old: SubjectLink | None, actor: Actor) -> None:
    """Link the subject with the actor; `old` is its link with a deleted user, who was added again."""
    if await has_subject(tx, tenant, actor.principal_id, person.issuer):
        raise Conflict("The e-mail address belongs to another account of the identity provider.", "state")
    if old is not None:
        await SSO_IDENTITIES.archive(tx, tenant, actor, await SSO_IDENTITIES.hold(tx, tenant, old.id))
    values = {"principal_id": actor.principal_id, "issuer": person.issuer, "subject": person.subject, "groups": None}
    await SSO_IDENTITIES.create(tx, tenant, actor, values)


async def _keep_groups(tx: Transaction, tenant: Tenant, person: SsoPerson, actor: Actor) -> None:
    """Keep the groups of this sign-in with the subject's link, whose next version the audit shows."""
    link = await link_of_subject(tx, tenant, person.issuer, person.subject)
    if link is not None:
        held = await SSO_IDENTITIES.hold(tx, tenant, link.id)
        await SSO_IDENTITIES.change(tx, tenant, actor, held, {"groups": list(person.groups) or None})


async def _create(tx: Transaction, tenant: Tenant, person: SsoPerson, actor: Actor) -> UUID:
    user_id = tx.new_id()
    new = NewPrincipal("user", person.email, None, user_id, name=person.name, email=person.email)
    return await create_principal(tx, tenant, new, replace(actor, principal_id=user_id))


async def _check_active(tx: Transaction, user_id: UUID) -> None:
    """Keep the user from being removed until the transaction ends. Raises Forbidden for a disabled one."""
    if not await tx.value("SELECT disabled_at IS NULL FROM principals WHERE id = $1 FOR SHARE", user_id):
        raise Forbidden(_LEFT)


async def _check_never_left(tx: Transaction, tenant: Tenant, user_id: UUID) -> None:
    """Raise Forbidden for a former member: whom an administrator removed, an administrator adds again."""
    sql = "SELECT EXISTS (SELECT FROM memberships WHERE org_id = $1 AND principal_id = $2)"
    if await tx.value(sql, tenant.org_id, user_id):
        raise Forbidden(_LEFT)


async def _apply(tx: Transaction, tenant: Tenant, held: Row, role: str, actor: Actor) -> None:
    """Give a member the role of the groups, but keep the last administrator, who could otherwise never come back."""
    try:
        await change_role(tx, tenant, held, role, actor)
    except Conflict:
        return
