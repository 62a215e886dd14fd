"""Keeping OPA bundles, and saying which ones decide."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.canonical import normalise
from domain.errors import Conflict
from domain.gates.opa import OPA_BUNDLE, Bundle, NewBundle
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.gates.queries.opa_bundles import bundle_of
from storage.gates.tables import opa_bundles

BUNDLES = Definition(
    "OPA bundle",
    OPA_BUNDLE,
    opa_bundles,
    shown={"name": "name", "version": "bundle_version", "sha256": "sha256"},
    taken={
        "opa_bundles_version_key": "The OPA bundle {name} {bundle_version} exists already, with another content.",
    },
)

_NAME = "SELECT name FROM opa_bundles WHERE org_id = $1 AND id = $2"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7241014, hashtext($1))"
"""For all bundles of one name."""
_SAME = """
SELECT * FROM opa_bundles
WHERE org_id = $1 AND name = $2 AND bundle_version = $3 AND sha256 = $4 AND archived_at IS NULL
"""
_ACTIVE = """
SELECT * FROM opa_bundles WHERE org_id = $1 AND name = $2 AND archived_at IS NULL AND activated_at IS NOT NULL
"""


async def create_bundle(tx: Transaction, tenant: Tenant, new: NewBundle, actor: Actor) -> tuple[Bundle, bool]:
    """Keep a compiled bundle, which is inactive, and return it and True.

    One that was kept before under this name and version is returned with False. Raises Conflict if its content differs.
    """
    await _one_at_a_time(tx, tenant, new.name)
    sha256 = new.source.sha256
    if same := await tx.row(_SAME, tenant.org_id, new.name, new.bundle_version, sha256):
        return bundle_of(same), False
    values = {
        "name": new.name,
        "bundle_version": new.bundle_version,
        "modules": normalise(new.source.modules),
        "data": normalise(dict(new.source.data)),
        "rules": normalise(new.rules),
        "sha256": sha256,
        "size": new.source.size,
        "activated_at": None,
    }
    return bundle_of(await BUNDLES.create(tx, tenant, actor, values)), True


async def activate_bundle(
    tx: Transaction, tenant: Tenant, bundle_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Bundle:
    """Let a bundle decide, in place of the one of its name that did. Raises NotFound, Stale."""
    held = await _hold(tx, tenant, bundle_id, expected)
    if held["activated_at"] is not None:
        return bundle_of(held)
    for active in await tx.rows(_ACTIVE, tenant.org_id, held["name"]):
        await _deactivate(tx, tenant, dict(active), actor)
    return bundle_of(await BUNDLES.change(tx, tenant, actor, held, {"activated_at": tx.now}, verb="activated"))


async def deactivate_bundle(
    tx: Transaction, tenant: Tenant, bundle_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Bundle:
    """Let no bundle of this name decide any more. Raises NotFound, Stale."""
    return bundle_of(await _deactivate(tx, tenant, await _hold(tx, tenant, bundle_id, expected), actor))


async def archive_bundle(
    tx: Transaction, tenant: Tenant, bundle_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Bundle:
    """Archive a bundle and release its version. Raises NotFound, Stale, and Conflict while it is active."""
    held = await _hold(tx, tenant, bundle_id, expected)
    if held["activated_at"] is not None:
        raise Conflict(f"The OPA bundle {bundle_id} is active; deactivate it first.", "state")
    return bundle_of(await BUNDLES.archive(tx, tenant, actor, held))


async def _hold(tx: Transaction, tenant: Tenant, bundle_id: UUID, expected: Collection[int] | None) -> dict[str, Any]:
    """Lock a bundle, and those of its name before it: all commands lock them in this order."""
    name = await tx.value(_NAME, tenant.org_id, bundle_id)
    await _one_at_a_time(tx, tenant, name or "")
    return await BUNDLES.hold(tx, tenant, bundle_id, expected)


async def _deactivate(tx: Transaction, tenant: Tenant, held: dict[str, Any], actor: Actor) -> Mapping[str, Any]:
    return await BUNDLES.change(tx, tenant, actor, held, {"activated_at": None}, verb="deactivated")


async def _one_at_a_time(tx: Transaction, tenant: Tenant, name: str) -> None:
    await tx.value(_ONE_AT_A_TIME, f"{tenant.org_id} {name}")
