"""Keys and organisations: what the commands make works in the API's own queries, and is sealed like all the rest."""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.identity.api_keys import key_hash
from domain.identity.permissions import PROFILE, ROLES, Permission, Principal
from storage.identity.queries.credentials import principals_of
from storage.services import Services

KEY = re.compile(r"tg_[0-9a-f]{64}")


@pytest.fixture
def principal_of(arrange):
    """Whom the API would take the bearer of a key for."""

    def principal_of(text: str) -> Principal | None:
        async def look(services: Services) -> Principal | None:
            async with services.database.read() as reader:
                found = await principals_of(reader, [key_hash(text)], services.clock.now(), timedelta(hours=1))
                return found.get(key_hash(text))

        return arrange(look)

    return principal_of


@pytest.fixture
def value(arrange):
    def value(sql: str, *args: object) -> object:
        async def look(services: Services) -> object:
            async with services.database.read() as reader:
                return await reader.value(sql, *args)

        return arrange(look)

    return value


def test_a_key_is_printed_once_works_is_listed_without_its_text_and_ends_when_revoked(
    started: None, trailgate, principal_of, value
) -> None:
    made = trailgate("keys", "create", "--name", "ci")
    text = made.out.strip()
    assert (made.status, bool(KEY.fullmatch(text))) == (0, True), "a pipe gets the key and nothing else"
    assert "cannot be shown again" in made.err
    assert text not in made.err
    bearer = principal_of(text)
    assert (bearer.kind, bearer.role, bearer.org_slug) == ("service", "reporter", "default")
    assert bearer.permissions == ROLES["reporter"]

    listed = trailgate("keys", "list")
    assert listed.status == 0
    assert text not in listed.out
    heading, *rows = (line.split("\t") for line in listed.out.splitlines())
    [row] = [dict(zip(heading, row, strict=True)) for row in rows if "ci" in row]
    assert (row["NAME"], row["PRINCIPAL"], row["PREFIX"]) == ("ci", "default/ci", text[:11])
    assert row["ID"] in made.err

    assert trailgate("keys", "revoke", row["ID"]).status == 0
    assert principal_of(text) is None
    assert trailgate("keys", "revoke", row["ID"]).status == 0, "revoking again changes nothing"
    names = value(
        "SELECT array_agg(name ORDER BY occurred_at, id) FROM audit_events WHERE record_id = $1::uuid", row["ID"]
    )
    assert names == ["api_key.created", "api_key.revoked"]
    admin = value("SELECT id FROM principals WHERE username = 'admin'")
    assert value("SELECT DISTINCT actor_id FROM audit_events WHERE record_id = $1::uuid", row["ID"]) == admin


def test_a_key_can_be_narrowed_lent_by_an_existing_principal_and_given_an_end(
    started: None, trailgate, principal_of, value
) -> None:
    words = ["--principal", "admin", "--permission", "facts:read", "--permission", "audit:read", "--expires-in", "12h"]
    text = trailgate("keys", "create", "--name", "dashboard", *words).out.strip()
    bearer = principal_of(text)
    assert bearer.id == value("SELECT id FROM principals WHERE username = 'admin'")
    assert bearer.permissions == {Permission.FACTS_READ, Permission.AUDIT_READ} | PROFILE
    expires = value("SELECT expires_at FROM api_keys WHERE name = 'dashboard'")
    assert abs(expires - datetime.now(UTC) - timedelta(hours=12)) < timedelta(minutes=1)


def test_a_key_is_limited_to_scopes_which_the_list_shows(started: None, trailgate, principal_of) -> None:
    words = ["--scope", "repo:acme/lib", "--scope", "repo:acme/app"]
    text = trailgate("keys", "create", "--name", "scoped", *words).out.strip()
    assert principal_of(text).scopes.texts == ("repo:acme/app", "repo:acme/lib")
    assert "\trepo:acme/app repo:acme/lib\t" in trailgate("keys", "list").out


@pytest.mark.parametrize(("text", "lifetime"), [("1m", {"minutes": 1}), ("30d", {"days": 30}), ("8w", {"weeks": 8})])
def test_lifetimes(started: None, trailgate, value, text: str, lifetime: dict[str, int]) -> None:
    assert trailgate("keys", "create", "--name", "k", "--expires-in", text).status == 0
    left = value("SELECT expires_at - created_at FROM api_keys WHERE name = 'k'")
    assert left == timedelta(**lifetime)


@pytest.mark.parametrize("text", ["0d", "-1h", "5y", "d", "", "30", "99999d", "1d 2h"])
def test_what_is_no_lifetime_makes_no_key(started: None, trailgate, value, text: str) -> None:
    refused = trailgate("keys", "create", "--name", "k", f"--expires-in={text}")
    assert (refused.status, refused.out) == (2, "")
    assert "30d" in refused.err
    assert value("SELECT count(*) FROM api_keys WHERE name = 'k'") == 0


REFUSED = {
    "an organisation that is none": (["--organisation", "acme"], "trailgate organisations create acme"),
    "a role that is none": (["--role", "king"], "the roles are admin, member"),
    "a principal that is none": (["--principal", "ghost"], "no active member 'ghost'"),
    "both of them": (["--role", "admin", "--principal", "admin"], "give one of them"),
    "more than its role": (["--permission", "audit:read"], "the owner's role reporter does not grant audit:read"),
    "a permission that is none": (["--permission", "facts:eat"], "facts:eat"),
    "a scope that is none": (["--scope", "planet:earth"], "flow:…, environment:…, repo:…; 'planet:earth' is not"),
    "a flow that is none": (["--scope", f"flow:{UUID(int=7)}"], f"there is no flow {UUID(int=7)}"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED)
def test_a_refused_key_leaves_nothing(started: None, trailgate, value, words: list[str], said: str) -> None:
    before = value("SELECT count(*) FROM audit_events")
    refused = trailgate("keys", "create", "--name", "k", *words)
    assert (refused.status, refused.out) == (2, "")
    assert said in " ".join(refused.err.replace("│", " ").split())
    assert value("SELECT count(*) FROM audit_events") == before


def test_a_second_service_of_one_name_is_told_how_to_get_another_key(started: None, trailgate) -> None:
    assert trailgate("keys", "create", "--name", "ci").status == 0
    refused = trailgate("keys", "create", "--name", "ci")
    assert refused.status == 2
    assert "--principal 'default/ci'" in refused.err
    assert trailgate("keys", "create", "--name", "ci", "--principal", "default/ci").status == 0


def test_a_blank_name_and_a_name_that_is_no_text_are_refused(started: None, trailgate) -> None:
    assert trailgate("keys", "create", "--name", " ").status == 2
    assert "surrogates not allowed" in trailgate("keys", "create", "--name", "a\udcff").err


def test_an_organisation_is_founded_once_listed_and_has_keys_of_its_own(started: None, trailgate, principal_of) -> None:
    assert trailgate("organisations", "create", "acme", "--name", "Acme Ltd").status == 0
    assert "\tacme\tAcme Ltd\t" in trailgate("organisations", "list").out
    again = trailgate("organisations", "create", "acme")
    assert (again.status, "exists already" in again.err) == (2, True)
    text = trailgate("keys", "create", "--name", "ci", "--organisation", "acme", "--role", "admin").out.strip()
    bearer = principal_of(text)
    assert (bearer.org_slug, bearer.may(Permission.PLATFORM_MANAGE)) == ("acme", False)
    assert text[:11] in trailgate("keys", "list", "--organisation", "acme").out
    assert text[:11] not in trailgate("keys", "list", "--organisation", "default").out
    assert text[:11] in trailgate("keys", "list").out


@pytest.mark.parametrize("slug", ["api", "Acme", "0f8fad5b-d9cb-469f-a165-70867728950e", "-x"])
def test_bad_slugs_are_refused(started: None, trailgate, slug: str) -> None:
    assert trailgate("organisations", "create", "--", slug).status == 2


def test_unknown_keys_and_organisations_are_named(started: None, trailgate) -> None:
    missing = "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert f"no API key {missing}" in trailgate("keys", "revoke", missing).err
    assert trailgate("keys", "revoke", "first").status == 2
    assert "organisations create acme" in trailgate("keys", "list", "--organisation", "acme").err


def test_before_the_first_start_there_is_nobody_to_act_as(configured, trailgate) -> None:
    refused = trailgate("organisations", "create", "acme")
    assert refused.status == 2
    assert "trailgate up" in refused.err


def test_no_command_that_only_needs_the_database_makes_key_files(configured, trailgate, tmp_path) -> None:
    assert trailgate("keys", "list").status == 0
    assert not (tmp_path / "data").exists()


def limits_of(trailgate, *words: str) -> dict[str, str]:
    """The limit of each quota, as a pipe gets them."""
    shown = trailgate("organisations", "limits", "default", *words)
    assert shown.status == 0, shown.err
    heading, *rows = (line.split("\t") for line in shown.out.splitlines())
    assert heading == ["QUOTA", "LIMIT", "USED", "REMAINING", "RESETS"]
    return {row[0]: row[1] for row in rows}


def test_an_organisation_is_given_limits_of_its_own_and_the_standard_ones_again(started: None, trailgate) -> None:
    before = limits_of(trailgate)
    after = limits_of(trailgate, "--set", "api_keys=7", "--set", "trails_per_day=0")
    assert after == before | {"api_keys": "7", "trails_per_day": "0"}
    assert limits_of(trailgate, "--set", "api_keys=standard") == after | {"api_keys": before["api_keys"]}


@pytest.mark.parametrize(
    "text", ["api_keys", "api_keys=", "api_keys=-1", "api_keys=1e3", f"api_keys={2**63}", "x=1", ""]
)
def test_what_is_no_limit_changes_nothing(started: None, trailgate, text: str) -> None:
    before = limits_of(trailgate)
    refused = trailgate("organisations", "limits", "default", "--set", text)
    assert (refused.status, refused.out) == (2, "")
    assert limits_of(trailgate) == before
