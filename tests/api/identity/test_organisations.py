"""Organisations on the wire: what they are called, and who sees them."""

import asyncio
from typing import Any

import pytest

from domain.identity.slugs import RESERVED
from tests.api.caller import Caller, unique
from tests.api.test_paging import next_of
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_organisation_has_every_field_of_the_entity(admin: Caller) -> None:
    slug = unique("org")
    made = (await admin.post("/organisations", {"slug": slug, "name": "Acme"})).json
    assert made == {
        "id": made["id"],
        "slug": slug,
        "name": "Acme",
        "description": "",
        "type": "SHARED",
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert_times(made, "createdAt", "updatedAt")
    assert (await admin.get(f"/organisations/{slug}")).json == made
    assert (await admin.get(f"/organisations/{made['id']}")).json == made
    page: str | None = "/organisations"
    listed: list[Any] = []
    while page:
        answer = await admin.get(page)
        listed, page = listed + answer.json, next_of(answer)
    assert made in listed


@pytest.mark.parametrize(
    ("type_", "answered"), [("personal", "PERSONAL"), ("Shared", "SHARED"), ("PERSONAL", "PERSONAL"), (None, "SHARED")]
)
async def test_a_type_is_taken_in_any_case(admin: Caller, type_: str | None, answered: str) -> None:
    body = {"slug": unique("org"), "name": "Acme", "type": type_, "description": None}
    assert (await admin.post("/organisations", body)).json["type"] == answered


UUIDS = [
    "0190a8c0-0000-7000-8000-000000000001",
    "0190a8c000007000800000000000000f",
    "00000000-0000-0000-0000-000000000000",
]
MISSHAPEN = ["", "-a", "A", "Acme", "a_b", "a.b", "a b", " a", "a\n", "\u00e9", "x" * 64, "a/b", "%61"]


@pytest.mark.parametrize("slug", [*UUIDS, *MISSHAPEN])
async def test_a_misshapen_or_uuid_shaped_slug_is_400(admin: Caller, slug: str) -> None:
    assert (await admin.post("/organisations", {"slug": slug, "name": "x"}, status=400)).fields == ["slug"]


async def test_every_reserved_slug_is_400(admin: Caller) -> None:
    named = {"api", "changes", "scans", "reports", "provenance", "ui", "health", "ready", "metrics", "webhooks"}
    assert named | {"login", "auth", "actuator", "docs", "static"} <= RESERVED
    for slug in sorted(RESERVED):
        refused = await admin.post("/organisations", {"slug": slug, "name": "x"}, status=400)
        assert refused.fields == ["slug"], slug


@pytest.mark.parametrize("slug", ["a", "0", "x" * 63, "a--b", "a-"])
async def test_the_limits_themselves_are_allowed(admin: Caller, slug: str) -> None:
    answer = await admin.send("POST", "/organisations", json={"slug": slug, "name": "x"}, headers={"X-Dry-Run": "true"})
    assert answer.status in {200, 409}


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"name": None}, "name"), ({"name": " "}, "name"), ({"slug": None}, "slug"), ({"type": "CLUB"}, "type")],
)
async def test_a_refusal_names_the_field(admin: Caller, fields: Any, named: str) -> None:
    body = {"slug": unique("org"), "name": "x", **fields}
    assert (await admin.post("/organisations", body, status=400)).fields == [named]


async def test_a_taken_slug_is_409_also_in_a_race(admin: Caller) -> None:
    await admin.post("/organisations", {"slug": "default", "name": "x"}, status=409)
    body = {"slug": unique("org"), "name": "x"}
    answers = await asyncio.gather(*(admin.send("POST", "/organisations", json=body) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]


async def test_others_see_their_own_alone(api: Caller) -> None:
    [own] = (await api.get("/organisations")).json
    assert own["slug"] == api.tenant.org_slug
    assert (await api.get(f"/organisations/{own['slug']}")).json == own
    foreign = await api.get("/organisations/default", status=404)
    missing = await api.get("/organisations/nobody", status=404)
    assert foreign.json["message"].replace("default", "nobody") == missing.json["message"]
    await api.post("/organisations", {"slug": unique("org"), "name": "x"}, status=403)


async def test_a_slug_in_capitals_is_404_and_says_why(admin: Caller, api: Caller) -> None:
    shouted = api.tenant.org_slug.upper()
    for caller in (admin, api):
        missing = await caller.get(f"/organisations/{shouted}", 404)
        assert missing.json["message"] == f"There is no organisation '{shouted}'. Slugs are in lower case."


async def test_the_list_of_organisations_says_its_total(admin: Caller, api: Caller) -> None:
    """Every array takes `page` and `size` and carries X-Total-Count."""
    answer = await api.get("/organisations")
    assert answer.headers["X-Total-Count"] == "1"
    assert len((await admin.get("/organisations?size=1")).json) == 1


async def test_an_organisation_is_changed_but_not_its_slug(admin: Caller) -> None:
    made = (await admin.post("/organisations", {"slug": unique("org"), "name": "Acme"})).json
    path = f"/organisations/{made['slug']}"
    changed = await admin.send("PUT", path, json={"name": "Acme Group", "slug": "x"}, headers={"If-Match": '"1"'})
    assert changed.json == {**made, "name": "Acme Group", "version": 2, "updatedAt": changed.json["updatedAt"]}
    assert (await admin.send("PUT", path, json={"name": "x"}, headers={"If-Match": '"1"'})).status == 412
    unchanged = await admin.send("PUT", f"/organisations/{made['id']}", json={"name": "Acme Group"})
    assert unchanged.json == changed.json


async def test_an_organisation_is_deleted_when_nothing_belongs_to_it(admin: Caller) -> None:
    made = (await admin.post("/organisations", {"slug": unique("org"), "name": "Acme"})).json
    path, headers = f"/organisations/{made['slug']}", {"X-Trailgate-Organisation": made["slug"]}
    flow = (await admin.post("/flows", {"name": "f"}, headers=headers)).json
    account = (await admin.post("/service-accounts", {"name": "ci"}, headers=headers)).json
    refused = await admin.send("DELETE", path)
    assert (refused.status, refused.json["message"]) == (
        409,
        "The organisation still has 1 flows, 1 service accounts: delete these first.",
    )
    for one in (f"/flows/{flow['id']}", f"/service-accounts/{account['id']}"):
        assert (await admin.send("DELETE", one, headers=headers)).status == 204
    assert (await admin.send("DELETE", path)).status == 204
    await admin.get(path, status=404)
    await admin.post("/organisations", {"slug": made["slug"], "name": "Another"})


async def test_the_first_organisation_stays(admin: Caller) -> None:
    assert (await admin.send("DELETE", "/organisations/default")).status == 409


async def test_the_organisation_in_the_path_counts_and_not_the_header(admin: Caller, api: Caller) -> None:
    made = (await admin.post("/organisations", {"slug": unique("org"), "name": "Acme"})).json
    other = {"X-Trailgate-Organisation": "default"}
    assert (await admin.get(f"/organisations/{made['id']}/members", headers=other)).json == []
    for path in (f"/organisations/{made['slug']}", f"/organisations/{made['slug']}/members"):
        await api.get(path, status=404)
