"""Reading users, service accounts, and the members of organisations."""

from uuid import UUID

from domain.errors import NotFound
from domain.identity.principals import Member, ServiceAccount, User
from domain.identity.quotas import Quota
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Transaction
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

user_of = from_row(User)
service_account_of = from_row(ServiceAccount)

_USERS = Listing("user", columns(User), "principals", user_of, archivable=True)
_SERVICE_ACCOUNTS = Listing(
    "service account",
    f"{columns(ServiceAccount, prefix='p.', but={'role'})}, m.role",
    "principals p JOIN memberships m ON m.org_id = p.org_id AND m.principal_id = p.id AND m.archived_at IS NULL",
    service_account_of,
    alias="p.",
    archivable=True,
    counted="principals p",
)
_MEMBERS = Listing(
    "member",
    "m.id, m.principal_id AS user_id, p.email, p.name, m.role, m.version, m.created_at AS joined_at, p.disabled_at, "
    "m.created_at",
    "memberships m JOIN principals p ON p.id = m.principal_id",
    from_row(Member),
    alias="m.",
    archivable=True,
    counted="memberships m",
)
_PEOPLE = "kind = 'user' AND name IS NOT NULL"
_ACCOUNTS = "p.kind = 'service' AND p.name IS NOT NULL"

_USER = f"""
{_USERS.select} p WHERE id = $2 AND {_PEOPLE} AND archived_at IS NULL AND (org_id = $1 OR EXISTS (
  SELECT FROM memberships m WHERE m.org_id = $1 AND m.principal_id = p.id AND m.archived_at IS NULL
))
"""


async def get_user(reader: Reader, tenant: Tenant, user_id: UUID) -> User:
    """Return a person that the organisation manages or has as a member. Raises NotFound."""
    row = await reader.row(_USER, tenant.org_id, user_id)
    if row is None:
        raise _USERS.missing(user_id)
    return user_of(row)


async def list_users(reader: Reader, tenant: Tenant, window: Window) -> Page[User]:
    """List the people that the organisation manages, oldest first."""
    return await _USERS.page(reader, tenant, window, within={_PEOPLE: None}, counter=(Quota.USERS, NO_PARENT))


async def user_with_email(reader: Reader, email: str) -> UUID | None:
    """Return the id of the person with an address in normal form, in whatever organisation; None if there is none."""
    found: UUID | None = await reader.value(
        "SELECT id FROM principals WHERE email = $1 AND kind = 'user' AND archived_at IS NULL", email
    )
    return found


async def get_service_account(reader: Reader, tenant: Tenant, account_id: UUID) -> ServiceAccount:
    """Return a service account. Raises NotFound."""
    row = await reader.row(
        f"{_SERVICE_ACCOUNTS.select} WHERE p.org_id = $1 AND p.id = $2 AND {_ACCOUNTS} AND p.archived_at IS NULL",
        tenant.org_id,
        account_id,
    )
    if row is None:
        raise _SERVICE_ACCOUNTS.missing(account_id)
    return service_account_of(row)


async def list_service_accounts(reader: Reader, tenant: Tenant, window: Window) -> Page[ServiceAccount]:
    """List the service accounts, oldest first."""
    return await _SERVICE_ACCOUNTS.page(
        reader, tenant, window, within={_ACCOUNTS: None}, counter=(Quota.SERVICE_ACCOUNTS, NO_PARENT)
    )


async def get_member(reader: Reader, tenant: Tenant, user_id: UUID) -> Member:
    """Return a member by the id of the user. Raises NotFound."""
    row = await reader.row(
        f"{_MEMBERS.select} WHERE m.org_id = $1 AND m.principal_id = $2 AND m.kind = 'user' AND m.archived_at IS NULL",
        tenant.org_id,
        user_id,
    )
    if row is None:
        raise NotFound(f"There is no member {user_id}.")
    return _MEMBERS.make(row)


async def list_members(reader: Reader, tenant: Tenant, window: Window) -> Page[Member]:
    """List the people who are members, oldest first."""
    return await _MEMBERS.page(
        reader, tenant, window, within={"m.kind = {}": "user"}, counter=(Quota.MEMBERS, NO_PARENT)
    )


_MEMBER = """
SELECT p.id, m.role FROM principals p JOIN memberships m ON m.principal_id = p.id
WHERE m.org_id = $1 AND p.username = $2 AND p.disabled_at IS NULL AND m.archived_at IS NULL
"""


async def active_member(reader: Reader, tenant: Tenant, username: str) -> tuple[UUID, str]:
    """Return the id and role of an active member. Raises NotFound."""
    row = await reader.row(_MEMBER, tenant.org_id, username)
    if row is None:
        raise NotFound(f"Organisation '{tenant.org_slug}' has no active member '{username}'.")
    return row["id"], row["role"]


_ROLE = """
SELECT m.role FROM memberships m JOIN principals p ON p.id = m.principal_id
WHERE m.org_id = $1 AND m.principal_id = $2 AND m.archived_at IS NULL AND p.archived_at IS NULL AND p.kind = $3
FOR SHARE OF m
"""


_HOLD = "SELECT true FROM principals WHERE id = $1 FOR KEY SHARE"


async def held_role(tx: Transaction, tenant: Tenant, principal_id: UUID, kind: str) -> str | None:
    """Return the role of a principal of that kind in the organisation; None if it is no member.

    Principal and membership stay until the transaction ends, so that no key is made for one that is being removed.
    """
    await tx.value(_HOLD, principal_id)  # first, in the order of those who remove a principal
    found: str | None = await tx.value(_ROLE, tenant.org_id, principal_id, kind)
    return found


async def principal_named(reader: Reader, username: str) -> UUID | None:
    """Return the id of a principal by its username, or of the last one who had it; None if there never was one."""
    found: UUID | None = await reader.value(
        "SELECT id FROM principals WHERE username = $1 ORDER BY archived_at DESC NULLS FIRST LIMIT 1", username
    )
    return found


_MANAGED_BY = """
SELECT o.id, o.slug FROM principals p JOIN organisations o ON o.id = p.org_id
WHERE p.id = $1 AND p.kind = 'user'
"""


async def managing_organisation(reader: Reader, user_id: UUID) -> Tenant:
    """Return the organisation that manages a person, also a deleted one. Raises NotFound."""
    row = await reader.row(_MANAGED_BY, user_id)
    if row is None:
        raise NotFound(f"There is no user {user_id}.")
    return Tenant(row["id"], row["slug"])


async def labels_of_keys(reader: Reader, principal_id: UUID) -> tuple[str, ...]:
    """Return the different labels of a principal's keys, in every organisation."""
    rows = await reader.rows("SELECT DISTINCT name FROM api_keys WHERE principal_id = $1 ORDER BY name", principal_id)
    return tuple(row["name"] for row in rows)


async def name_and_email(reader: Reader, principal_id: UUID) -> tuple[str | None, str | None]:
    """Return a principal's name and e-mail address, as far as it has them."""
    row = await reader.row("SELECT name, email FROM principals WHERE id = $1", principal_id)
    return (row["name"], row["email"]) if row else (None, None)


def reporter(principal_id: str) -> str:
    """Return SQL for whom a row shows as its reporter: the one it claims, else the name of the principal, else its id.

    `principal_id` is the column of the principal, trusted text.
    """
    name = f"SELECT username FROM principals w WHERE w.id = {principal_id} AND w.erased_at IS NULL"
    return f"coalesce(claimed_by, ({name}), {principal_id}::text)"


async def usernames(reader: Reader, principal_ids: list[UUID]) -> dict[UUID, str]:
    """Return the names of principals by id; erased principals have none."""
    rows = await reader.rows(
        "SELECT id, username FROM principals WHERE id = ANY($1::uuid[]) AND erased_at IS NULL", principal_ids
    )
    return {row["id"]: row["username"] for row in rows}
