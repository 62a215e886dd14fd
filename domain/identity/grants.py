"""What a caller may hand on to others: never more than it holds itself."""

from collections.abc import Collection

from domain.errors import Forbidden, Invalid
from domain.identity.api_keys import ApiKey
from domain.identity.permissions import ROLES, Permission, Principal, narrowed, role_permissions


def check_role_exists(role: str) -> None:
    """Raise Invalid for an unknown role."""
    if role not in ROLES:
        raise Invalid.of("role", f"must be one of {', '.join(ROLES)}")


def check_role(granter: Principal, role: str) -> None:
    """Check a role that the caller gives to somebody in its organisation.

    Raises Invalid for an unknown role, Forbidden for one that can do what the caller's credential cannot.
    """
    check_role_exists(role)
    _check(granter, role_permissions(role, granter.org_slug), f"The role {role}")


def check_key(
    granter: Principal, role: str, permissions: Collection[Permission] | None, scopes: Collection[str] | None
) -> None:
    """Check a key that the caller creates for an owner with this role.

    Raises Invalid for permissions that the role does not grant, Forbidden for those that the caller does not hold, and
    for scopes beyond those of the caller's own credential.
    """
    check_owner(role, granter.org_slug, permissions)
    _check_key(granter, role_permissions(role, granter.org_slug) if permissions is None else permissions, scopes)


def check_owner(role: str, org_slug: str, permissions: Collection[Permission] | None) -> None:
    """Raise Invalid for permissions of a key that the role of its owner does not grant."""
    if lacking := sorted(set(permissions or ()) - role_permissions(role, org_slug)):
        raise Invalid.of("permissions", f"the owner's role {role} does not grant {', '.join(lacking)}")


def check_successor(granter: Principal, role: str, key: ApiKey) -> None:
    """Check that the caller may replace a key of an owner with this role: it holds all that the key can do now.

    Raises Forbidden otherwise.
    """
    _check_key(granter, narrowed(role_permissions(role, granter.org_slug), key.permissions), key.scopes)


def _check_key(granter: Principal, permissions: Collection[Permission], scopes: Collection[str] | None) -> None:
    _check(granter, permissions, "This key")
    if granter.scopes is not None and not granter.scopes.cover(scopes):
        raise Forbidden(
            f"This key could reach what your credential cannot: give it scopes among {', '.join(granter.scopes.texts)}."
        )


def _check(granter: Principal, granted: Collection[Permission], what: str) -> None:
    if lacking := sorted(set(granted) - granter.permissions):
        raise Forbidden(f"{what} could do what your credential cannot: {', '.join(lacking)}.")
