"""A person is erased: nothing names them any more, and the ledgers still prove everything."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.errors import Conflict, Forbidden, NotFound
from domain.identity.api_keys import NewApiKey
from domain.identity.principals import NewUser, PersonalData, UserChange
from domain.tenant import Tenant
from storage.audit.commands import erase_contents
from storage.database import Transaction
from storage.identity.bootstrap import bootstrap
from storage.identity.commands.api_keys import create_api_key, rotate_api_key
from storage.identity.commands.erasure import erase_person
from storage.identity.commands.members import add_member, remove_member
from storage.identity.commands.users import create_user, delete_user, update_user
from storage.ledger.verification import RecordVerdict, VerificationOutcome, verify_record
from storage.registry import RECORDS
from storage.services import Services
from tests.storage.sealing import inspected
from tests.storage.world import World
from workers.seal import Sealer

NAME, LABEL = "Ada Lovelace", "Ada's laptop"


@dataclass
class Person:
    """Somebody whom one organisation manages, and who has keys in two."""

    world: World
    other: World
    user_id: UUID
    email: str
    key_ids: list[UUID]

    async def erase(self) -> PersonalData:
        async with self.world.services.database.transaction() as tx:
            return await erase_person(tx, self.world.tenant, self.user_id, self.world.actor)

    async def verified(self, tenant: Tenant, record_id: UUID) -> RecordVerdict:
        services = self.world.services
        async with services.database.snapshot() as reader:
            return await verify_record(reader, tenant, record_id, RECORDS, services.trusted_keys)

    async def erased_events(self, world: World) -> int:
        """How many events a sound ledger has lost the content of."""
        await Sealer()(world.services)
        async with world.services.database.snapshot() as reader:
            state = await inspected(world.services, reader, world.tenant.org_id)
        assert state.findings == []
        return state.erased


@pytest.fixture
async def person(own_services: Services) -> Person:
    world, other = await World.founded(own_services), await World.founded(own_services)
    email = f"ada-{uuid4().hex}@example.com"
    async with own_services.database.transaction() as tx:
        user = await create_user(tx, world.tenant, NewUser(email, NAME, f"ada-{uuid4().hex}"), world.actor)
        key_ids = [await key_in(tx, one, user.id) for one in (world, other)]
    await Sealer()(own_services)
    return Person(world, other, user.id, email, key_ids)


async def key_in(tx: Transaction, world: World, user_id: UUID) -> UUID:
    await add_member(tx, world.tenant, user_id, "member", world.actor)
    return (await create_api_key(tx, world.tenant, NewApiKey(user_id, LABEL), world.actor))[0].id


async def everything(services: Services) -> str:
    """Every row of the database as text."""
    async with services.database.read() as reader:
        tables = await reader.rows(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace", "public"
        )
        texts = [await reader.value(f"SELECT string_agg(t::text, '\n') FROM {row['relname']} t") for row in tables]
    return "\n".join(text for text in texts if text)


async def test_nothing_names_the_person_any_more(person: Person) -> None:
    services = person.world.services
    before = await everything(services)
    erased = await person.erase()
    assert (erased.email, erased.name, erased.key_labels) == (person.email, NAME, (LABEL,))
    after = await everything(services)
    for text in (person.email, NAME, LABEL, str(erased.github_id)):
        assert (text in before, text in after) == (True, False)


async def test_both_ledgers_still_prove_everything_else(person: Person) -> None:
    await person.erase()
    assert [await person.erased_events(one) for one in (person.world, person.other)] == [2, 2], (
        "a key was created and revoked"
    )
    here, there = person.world.tenant, person.other.tenant
    assert (await person.verified(here, person.user_id)).outcome is VerificationOutcome.VERIFIED
    for tenant, key_id in zip((here, there), person.key_ids, strict=True):
        verdict = await person.verified(tenant, key_id)
        assert verdict.outcome is VerificationOutcome.ERASED
        assert verdict.proof is not None, "the leaf of the newest event is in the signed tree"


async def test_access_ends_and_a_second_erasure_changes_nothing(person: Person) -> None:
    await person.erase()
    names = "SELECT name FROM audit_events WHERE record_id = $1 ORDER BY record_version"
    async with person.world.services.database.read() as reader:
        told = [row["name"] for row in await reader.rows(names, person.user_id)]
        keys = "SELECT count(*) FROM api_keys WHERE principal_id = $1 AND revoked_at IS NULL"
        assert await reader.value(keys, person.user_id) == 0
    assert told == ["principal.created", "principal.deleted", "principal.erased"]
    before = await everything(person.world.services)
    assert await person.erase() == PersonalData(person.user_id, None, None, None, ("erased",))
    assert await everything(person.world.services) == before


async def test_a_deleted_person_and_rotated_keys_are_erased_as_well(person: Person) -> None:
    world = person.world
    async with world.services.database.transaction() as tx:
        await rotate_api_key(tx, world.tenant, person.key_ids[0], timedelta(hours=1), world.actor)
        await update_user(tx, world.tenant, person.user_id, UserChange(name="Ada King"), world.actor)
        await remove_member(tx, person.other.tenant, person.user_id, person.other.actor)
        await delete_user(tx, world.tenant, person.user_id, world.actor)
    await person.erase()
    assert await person.erased_events(world) == 5, "two keys: created, created and rotated, each revoked"
    assert "Ada King" not in await everything(world.services)


async def test_the_address_is_free_for_somebody_else(person: Person) -> None:
    await person.erase()
    async with person.world.services.database.transaction() as tx:
        await create_user(tx, person.other.tenant, NewUser(person.email, "Another Ada"), person.other.actor)


async def test_only_the_managing_organisation_erases(person: Person) -> None:
    async with person.world.services.database.transaction() as tx:
        with pytest.raises(Forbidden):
            await erase_person(tx, person.other.tenant, person.user_id, person.other.actor)
        with pytest.raises(NotFound):
            await erase_person(tx, person.other.tenant, uuid4(), person.other.actor)


async def test_the_last_administrator_is_not_erased(own_services: Services) -> None:
    found = await bootstrap(own_services.database, None, own_services.signer, own_services.envelope)
    world = await World.founded(own_services)
    tenant = Tenant(found.org_id, "default")
    async with own_services.database.transaction() as tx:
        with pytest.raises(Conflict):
            await erase_person(tx, tenant, found.admin_id, world.actor)


async def test_the_first_administrator_is_erased_and_the_next_start_makes_no_other(own_services: Services) -> None:
    found = await bootstrap(own_services.database, None, own_services.signer, own_services.envelope)
    tenant = Tenant(found.org_id, "default")
    world = await World.founded(own_services)
    async with own_services.database.transaction() as tx:
        successor = await create_user(tx, tenant, NewUser(f"{uuid4().hex}@example.com", "Ada"), world.actor)
        await add_member(tx, tenant, successor.id, "admin", world.actor)
        await erase_person(tx, tenant, found.admin_id, world.actor)
    assert await bootstrap(own_services.database, None, own_services.signer, own_services.envelope) == found


async def test_an_erasure_removes_the_content_of_audit_events_and_nothing_else(person: Person) -> None:
    async def refused(statement: str) -> None:
        async with person.world.services.database.transaction() as tx:
            await tx.execute("SET LOCAL trailgate.retention = 'erasure'")
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await tx.execute(statement)

    await refused("UPDATE audit_events SET payload = NULL, nonce = NULL, record_hash = NULL, name = 'x'")
    await refused("UPDATE audit_events SET payload = '{}', nonce = NULL, record_hash = NULL")
    await refused("DELETE FROM audit_events")
    await refused("UPDATE ledger_entries SET leaf = leaf")


@pytest.mark.parametrize("recorded", [False, True])
async def test_content_that_is_gone_without_an_erasure_is_a_finding(person: Person, recorded: bool) -> None:
    """Also if somebody inserts an event that records one, which nobody sealed."""
    world, key_id = person.world, person.key_ids[0]
    async with world.services.database.transaction() as tx:
        await erase_contents(tx, [key_id])
        if recorded:
            await tx.execute(
                "INSERT INTO audit_events (id, org_id, name, actor_id, record_kind, record_id, record_version, format, "
                "nonce, leaf, occurred_at, region) SELECT gen_random_uuid(), org_id, 'api_key.erased', actor_id, "
                "record_kind, record_id, 2, format, leaf, leaf, occurred_at, region FROM audit_events "
                "WHERE record_id = $1",
                key_id,
            )
    async with world.services.database.snapshot() as reader:
        state = await inspected(world.services, reader, world.tenant.org_id)
    assert state.findings != []
    assert (await person.verified(world.tenant, key_id)).outcome not in {
        VerificationOutcome.VERIFIED,
        VerificationOutcome.ERASED,
    }
