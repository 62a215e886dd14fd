from typing import Any
from uuid import UUID

import pytest

from domain.identity.permissions import (
    DEFAULT_ORGANISATION,
    PROFILE,
    ROLES,
    Permission,
    Principal,
    narrowed,
    role_permissions,
)

P = Permission


def principal(role: str, **options: Any) -> Principal:
    return Principal(UUID(int=1), "user", UUID(int=2), "acme", role, role_permissions(role, "acme"), **options)


GRANTED = """
                    admin member developer reporter snapshotter viewer auditor none
facts:read            x     x        x        x          x        x       x     -
facts:report          x     x        -        x          -        -       -     -
facts:manage          x     x        -        -          -        -       -     -
environments:report   x     x        -        x          x        -       -     -
policies:manage       x     -        -        -          -        -       -     -
gate:evaluate         x     x        -        x          -        -       -     -
approvals:decide      x     x        -        -          -        -       -     -
approvals:override    x     -        -        -          -        -       -     -
evidence:read         x     x        x        -          -        -       x     -
evidence:write        x     x        -        x          -        -       -     -
audit:read            x     x        x        -          -        -       x     -
ledger:read           x     x        x        -          -        x       x     -
changes:read          x     x        x        -          -        x       x     -
changes:update        x     x        -        -          -        -       -     -
changes:execute       x     x        -        -          -        -       -     -
scans:read            x     x        x        -          -        x       x     -
scans:run             x     x        -        x          -        -       -     -
scans:manage          x     -        -        -          -        -       -     -
reports:view          x     x        x        -          -        x       x     -
reports:upload        x     x        x        x          -        -       -     -
reports:manage        x     -        -        -          -        -       -     -
provenance:read       x     x        x        -          -        x       x     -
provenance:write      x     x        -        x          -        -       -     -
provenance:delete     x     -        -        -          -        -       -     -
identity:read         x     x        x        -          -        -       x     -
identity:manage       x     -        -        -          -        -       -     -
integrations:manage   x     -        -        -          -        -       -     -
org:manage            x     -        -        -          -        -       -     -
keys:own              x     x        -        -          -        -       -     -
profile:own           x     x        x        x          x        x       x     x
platform:manage       -     -        -        -          -        -       -     -
"""
"""Written out, so that a change of what a role may do is seen as one."""


def granted() -> dict[str, frozenset[str]]:
    """The table by role."""
    titles, *lines = [line.split() for line in GRANTED.strip().splitlines()]
    return {role: frozenset(line[0] for line in lines if line[n] == "x") for n, role in enumerate(titles, 1)}


def test_each_role_may_what_the_table_says() -> None:
    assert {role: frozenset(held) for role, held in ROLES.items()} == granted()
    assert {line.split()[0] for line in GRANTED.strip().splitlines()[1:]} == set(Permission)


def test_only_admins_of_default_run_the_platform() -> None:
    assert P.PLATFORM_MANAGE in role_permissions("admin", DEFAULT_ORGANISATION)
    for organisation in (DEFAULT_ORGANISATION, "acme"):
        for role in ROLES:
            if (role, organisation) != ("admin", DEFAULT_ORGANISATION):
                assert P.PLATFORM_MANAGE not in role_permissions(role, organisation)


def test_an_unknown_role_may_nothing() -> None:
    assert role_permissions("Administrator", DEFAULT_ORGANISATION) == frozenset()


def test_auditors_read_everything_they_need_and_write_nothing() -> None:
    writes = {p for p in P if p.value.split(":")[1] not in {"read", "view"}} - PROFILE
    assert not ROLES["auditor"] & writes
    assert {P.AUDIT_READ, P.LEDGER_READ, P.EVIDENCE_READ, P.IDENTITY_READ} <= ROLES["auditor"]
    assert not ROLES["viewer"] & (writes | {P.AUDIT_READ, P.IDENTITY_READ, P.EVIDENCE_READ})


def test_reporters_report_and_do_not_manage() -> None:
    assert P.FACTS_REPORT in ROLES["reporter"]
    assert not ROLES["reporter"] & {P.FACTS_MANAGE, P.INTEGRATIONS_MANAGE, P.AUDIT_READ, P.ORG_MANAGE}


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_key_never_exceeds_its_owner(role: str) -> None:
    granted = role_permissions(role, DEFAULT_ORGANISATION)
    assert narrowed(granted, None) == granted
    assert narrowed(granted, [p.value for p in P]) == granted
    assert narrowed(granted, []) == PROFILE
    assert narrowed(granted, ["facts:read", "made:up"]) == granted & {P.FACTS_READ} | PROFILE
