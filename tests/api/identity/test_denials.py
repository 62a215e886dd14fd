"""Who is denied what: all of it is counted by reason, and writes are audited, but not without bound."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from api.identity.denials import AUDITED_PER_ORGANISATION, AUDITED_PER_ROUTE, AuditedDenials
from domain.errors import Denial
from domain.identity.permissions import Permission
from storage.services import Services
from tests.api.caller import Caller, make_holder, unique

pytestmark = pytest.mark.asyncio(loop_scope="session")


def counted(status: int, reason: Denial) -> float:
    labels = {"status": str(status), "reason": reason.value}
    return REGISTRY.get_sample_value("trailgate_denied_total", labels) or 0


async def denials(api: Caller) -> list[Any]:
    return [
        json.loads(event["payload"])
        for event in (await api.get("/audit?size=100&sortDesc=false&eventType=ACCESS_DENIED")).json["events"]
    ]


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, Denial.NO_CREDENTIAL),
        ({"X-Api-Key": "tg_unknown"}, 401, Denial.INVALID_CREDENTIAL),
        ({"Authorization": "Basic eDp5"}, 401, Denial.INVALID_CREDENTIAL),
        ({"X-Api-Key": "{viewer}"}, 403, Denial.PERMISSION),
        ({"X-Api-Key": "{viewer}", "Sec-Fetch-Site": "cross-site"}, 403, Denial.FOREIGN_PAGE),
        ({"X-Api-Key": "{viewer}", "X-Trailgate-Organisation": "default"}, 404, Denial.ORGANISATION),
    ],
)
async def test_a_denial_is_counted_by_its_reason(
    app_services: Services, api: Caller, headers: dict[str, str], status: int, reason: Denial
) -> None:
    viewer = (await make_holder(app_services, api.tenant, "viewer")).key
    sent = {name: value.format(viewer=viewer) for name, value in headers.items()}
    before = counted(status, reason)
    await replace(api, key=None).post("/flows", {"name": "a"}, status=status, headers=sent)
    assert counted(status, reason) == before + 1


async def test_an_organisation_that_a_body_names_is_counted(api: Caller) -> None:
    before = counted(404, Denial.ORGANISATION)
    await api.get("/audit?orgSlug=default", status=404)
    assert counted(404, Denial.ORGANISATION) == before + 1


async def test_what_is_missing_is_no_denial(api: Caller) -> None:
    before = sum(counted(404, reason) for reason in Denial)
    await api.get("/users/0190a8c0-0000-7000-8000-000000000001", status=404)
    assert sum(counted(404, reason) for reason in Denial) == before


async def test_a_denied_write_says_what_was_tried(app_services: Services, api: Caller) -> None:
    viewer = replace(api, key=(await make_holder(app_services, api.tenant, "viewer")).key)
    flow = await api.make_flow()
    assert (await viewer.send("DELETE", f"/flows/{flow['id']}")).status == 403
    assert (await viewer.send("GET", "/users")).status == 403, "a denied read is only counted"
    assert await denials(api) == [
        {
            "reason": "permission",
            "permission": "facts:manage",
            "method": "DELETE",
            "operation": "delete_flow",
            "path": "/api/v1/flows/{flow_id}",
            "furtherOnesAreOnlyCounted": False,
        }
    ]


async def test_handing_on_more_than_one_holds_is_audited(app_services: Services, api: Caller) -> None:
    holder = await make_holder(app_services, api.tenant, "admin", [Permission.IDENTITY_MANAGE])
    narrowed = replace(api, key=holder.key)
    await narrowed.post("/service-accounts", {"name": unique("account"), "role": "ADMIN"}, status=403)
    [denied] = await denials(api)
    assert (denied["operation"], denied["permission"]) == ("create_service_account", "identity:manage")


async def test_a_flood_of_denied_writes_is_counted_and_not_audited(app_services: Services, api: Caller) -> None:
    viewer = replace(api, key=(await make_holder(app_services, api.tenant, "viewer")).key)
    before, many = counted(403, Denial.PERMISSION), AUDITED_PER_ROUTE + 3
    for _ in range(many):
        await viewer.post("/flows", {"name": "a"}, status=403)
    await viewer.post("/users", {"name": "a"}, status=403)
    assert counted(403, Denial.PERMISSION) == before + many + 1
    told = [(one["operation"], one["furtherOnesAreOnlyCounted"]) for one in await denials(api)]
    flows = [("create_flow", n == AUDITED_PER_ROUTE - 1) for n in range(AUDITED_PER_ROUTE)]
    assert told == [*flows, ("create_user", False)], "another route has its own number"


async def test_an_organisation_with_many_keys_has_a_bound_and_the_next_hour_begins_anew() -> None:
    audited, now = AuditedDenials(), datetime(2026, 11, 30, 12, 59, tzinfo=UTC)
    taken = [audited.take("acme", credential, "create_flow", now) for credential in range(AUDITED_PER_ORGANISATION + 5)]
    assert sum(left >= 0 for left in taken) == AUDITED_PER_ORGANISATION
    assert audited.take("other", 1, "create_flow", now) == AUDITED_PER_ROUTE - 1
    assert audited.take("acme", 1, "create_flow", now + timedelta(minutes=1)) == AUDITED_PER_ROUTE - 1
