"""Invitations against what others do to the person, the invitation and the organisation at the same time."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import Conflict, NotFound
from domain.identity.invitations import Invitation, Issue, NewInvitation, token_of
from domain.identity.organisations import NewOrganisation
from domain.identity.principals import NewPrincipal
from domain.tenant import Tenant
from storage.authenticator import Authenticator, Purpose
from storage.database import Transaction
from storage.identity.commands.acceptances import accept_invitation
from storage.identity.commands.invitations import create_invitation, revoke_invitation
from storage.identity.commands.organisations import create_organisation, delete_organisation
from storage.identity.commands.principals import add_membership, create_principal_row
from storage.identity.queries.invitations import invitation_by_token
from storage.ledger.verification import VerificationOutcome, verify_record
from storage.rebuild import CORE_COUNTS, rebuild_counters
from storage.registry import RECORDS
from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer

WEEK = Issue(timedelta(days=7), mailed=False)


class Case:
    """An organisation with nothing but an open invitation."""

    def __init__(self, world: World, tenant: Tenant, made: Invitation, token: str) -> None:
        self.world, self.tenant, self.made, self.token = world, tenant, made, token

    async def accept(self, tx: Transaction) -> UUID:
        tenant, found = await invitation_by_token(tx, self.token, tx.now)
        return await accept_invitation(tx, tenant, found, None, self.world.actor)

    async def revoke(self, tx: Transaction) -> None:
        await revoke_invitation(tx, self.tenant, self.made.id, self.world.actor)

    async def delete(self, tx: Transaction) -> None:
        await delete_organisation(tx, self.tenant, self.world.actor)

    async def revoke_and_delete(self, tx: Transaction) -> None:
        await self.revoke(tx)
        await self.delete(tx)

    async def invite(self, tx: Transaction) -> None:
        await create_invitation(tx, self.tenant, new(self.made.email), self.world.actor)

    async def add(self, tx: Transaction) -> None:
        """Make the person a member, without an invitation."""
        assert self.made.email is not None
        principal = NewPrincipal("user", self.made.email, None, name="Ada", email=self.made.email)
        user = await create_principal_row(tx, self.tenant, principal, self.world.actor)
        await add_membership(tx, self.tenant, user, "viewer", self.world.actor)


def new(email: str | None = None) -> NewInvitation:
    return NewInvitation(email or f"{uuid4().hex}@example.com", "member", None, WEEK)


@pytest.fixture
async def case(services: Services) -> Case:
    world = await World.founded(services)
    async with services.database.transaction() as tx:
        organisation = await create_organisation(tx, NewOrganisation(f"o-{uuid4().hex}", "O"), world.actor)
        made, token = await create_invitation(tx, organisation.tenant, new(), world.actor)
    return Case(world, organisation.tenant, made, token)


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (Case.accept, Case.accept, NotFound),
        (Case.accept, Case.revoke, Conflict),
        (Case.revoke, Case.accept, NotFound),
        (Case.accept, Case.delete, Conflict),
        (Case.revoke_and_delete, Case.accept, NotFound),
        (Case.revoke_and_delete, Case.invite, NotFound),
        (Case.add, Case.accept, NotFound),
        (Case.accept, Case.add, Conflict),
        (Case.add, Case.invite, Conflict),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
async def test_of_two_at_the_same_time_one_succeeds(case: Case, first: Any, second: Any, error: Any) -> None:
    """The second one begins while the first one is not committed yet."""
    database = case.world.services.database

    async def later() -> None:
        async with database.transaction() as tx:
            await second(case, tx)

    async with database.transaction() as tx:
        await first(case, tx)
        task = asyncio.create_task(later())
        await asyncio.wait([task], timeout=0.1)
    with pytest.raises(error):
        await task


async def test_what_an_invitation_was_is_sealed_and_its_person_is_not(case: Case) -> None:
    services = case.world.services
    async with services.database.transaction() as tx:
        await case.accept(tx)
    await Sealer()(services)
    async with services.database.snapshot() as reader:
        verdict = await verify_record(reader, case.tenant, case.made.id, RECORDS, services.trusted_keys)
    assert verdict.outcome is VerificationOutcome.VERIFIED
    assert {"email", "name"}.isdisjoint(RECORDS["invitation"].form.columns)


async def test_a_rebuild_counts_the_same_invitations(case: Case) -> None:
    counts = tuple(count for count in CORE_COUNTS if count.kind == "invitations")
    database = case.world.services.database
    steps = [step async for step in rebuild_counters(database, case.tenant, counts)]
    async with database.transaction() as tx:
        await case.revoke(tx)
    steps += [step async for step in rebuild_counters(database, case.tenant, counts)]
    assert [step.mended for step in steps] == [0, 0]


async def test_a_token_is_a_code_that_only_the_holder_of_the_key_can_make(case: Case) -> None:
    data = case.made.id.bytes + (1).to_bytes(4, "big") + b"\0"
    authenticator = case.world.services.database.authenticator
    assert case.token == token_of(authenticator.mac(Purpose.INVITATION, data))
    old, newer = Authenticator(lambda: [b"o" * 32]), Authenticator(lambda: [b"n" * 32, b"o" * 32])
    assert newer.macs(Purpose.INVITATION, data)[1:] == old.macs(Purpose.INVITATION, data)
    assert newer.macs(Purpose.INVITATION, data)[0] == newer.mac(Purpose.INVITATION, data)
