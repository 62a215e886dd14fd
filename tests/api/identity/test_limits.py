"""Limits on the wire: what remains of them, and which one a refusal is due to."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.identity.permissions import ROLES, Permission
from domain.identity.quotas import Quota
from domain.tenant import Tenant
from storage.identity.commands.quotas import set_limits
from storage.services import Services
from tests.api.caller import NOBODY, Caller, make_holder, trail_body, unique
from tests.api.times import assert_times
from tests.api.uploading import FORM, Attested, form_body, objects, staged

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def limit(api: Caller, services: Services, **limits: int) -> None:
    found = (await api.get(f"/organisations/{api.tenant.org_slug}")).json
    tenant = Tenant(UUID(found["id"]), found["slug"])
    async with services.database.transaction() as tx:
        await set_limits(tx, tenant, {Quota(name): number for name, number in limits.items()}, NOBODY)


async def quota(api: Caller, name: str) -> Any:
    return next(one for one in (await api.get("/limits")).json["quotas"] if one["name"] == name)


async def test_the_limits_say_what_is_used_and_what_remains(api: Caller, app_services: Services) -> None:
    await limit(api, app_services, trails_per_day=5)
    await api.make_trail((await api.make_flow())["id"])
    shown = await quota(api, "trails_per_day")
    assert_times(shown, "resetsAt")
    resets = datetime.fromisoformat(shown.pop("resetsAt"))
    assert timedelta() < resets - datetime.now(UTC) <= timedelta(days=1)
    assert shown == {
        "name": "trails_per_day",
        "description": "Trails opened in one day (UTC)",
        "unit": "trails",
        "limit": 5,
        "used": 1,
        "remaining": 4,
        "period": "DAY",
    }
    total = await quota(api, "api_keys")
    assert (total["used"], total["period"], total["resetsAt"]) == (1, None, None)


async def test_every_quota_and_fixed_limit_is_listed(api: Caller, admin: Caller, app_services: Services) -> None:
    shown = (await api.get("/limits")).json
    assert shown["organisation"] == api.tenant.org_slug
    assert [one["name"] for one in shown["quotas"]] == list(Quota)
    fixed = {one["name"]: one["limit"] for one in shown["fixed"]}
    assert fixed["webhook_body_bytes"] == app_services.settings.webhook_max_body
    assert fixed["streams_per_key"] == app_services.settings.streams_per_key
    assert fixed["evidence_file_bytes"] == app_services.settings.evidence_max_size
    of_default = {one["name"] for one in (await admin.get("/limits")).json["fixed"]}
    assert of_default - fixed.keys() == {"webhook_configs_per_source"}


@pytest.mark.parametrize("role", sorted(role for role, granted in ROLES.items() if Permission.FACTS_READ in granted))
async def test_every_role_that_reads_reads_the_limits(api: Caller, app_services: Services, role: str) -> None:
    holder = await make_holder(app_services, api.tenant, role)
    assert (await Caller(api.client, holder.key, api.tenant).get("/limits")).status == 200


def assert_due_to(answer: Any, name: str) -> None:
    assert answer.json["limit"] == name
    assert name in answer.json["message"]


async def test_an_error_of_another_kind_has_no_limit(api: Caller) -> None:
    assert (await api.get(f"/flows/{uuid4()}", 404)).json["limit"] is None


async def test_more_evidence_than_the_quota_is_413_and_keeps_nothing(api: Caller, app_services: Services) -> None:
    attested = await Attested.made(api)
    await limit(api, app_services, evidence_bytes=10)
    await attested.send(b"123456")
    kept = objects(app_services.blobs)
    refused = await attested.send(unique("evidence").encode(), status=413)
    assert_due_to(refused, "evidence_bytes")
    assert (await quota(api, "evidence_bytes"))["used"] == 6
    assert (objects(app_services.blobs), staged(app_services.blobs)) == (kept, [])
    await attested.send(b"7890")
    assert (await quota(api, "evidence_bytes"))["remaining"] == 0


async def test_a_dry_run_uses_nothing_and_is_refused_alike(api: Caller, app_services: Services) -> None:
    attested = await Attested.made(api)
    await limit(api, app_services, evidence_bytes=3)
    for content, status in ((b"123", 200), (b"1234", 413)):
        headers = {**FORM, "X-Dry-Run": "true"}
        await api.post(attested.path, status=status, data=form_body(content), headers=headers)
    assert (await quota(api, "evidence_bytes"))["used"] == 0


async def test_more_trails_than_the_quota_are_429_until_tomorrow(api: Caller, app_services: Services) -> None:
    flow = (await api.make_flow())["id"]
    await limit(api, app_services, trails_per_day=1)
    await api.make_trail(flow)
    refused = await api.post("/trails", trail_body(flow), 429)
    assert_due_to(refused, "trails_per_day")
    assert 0 < int(refused.headers["Retry-After"]) <= 24 * 3600
    assert (await api.get("/trails")).headers["X-Total-Count"] == "1"


async def test_more_configs_and_rules_than_the_quota_are_409(api: Caller, app_services: Services) -> None:
    flow = (await api.make_flow())["id"]
    await limit(api, app_services, webhook_configs=0, notification_rules=0)
    config = {"source": "GITHUB", "secret": "s" * 20, "flowId": flow}
    assert_due_to(await api.post("/webhook-configs", config, 409), "webhook_configs")
    rule = {"name": "r", "triggerEvent": "ATTESTATION_FAILED", "channelType": "IN_APP", "channelConfig": {}}
    assert_due_to(await api.post("/notification-rules", rule, 409), "notification_rules")


async def test_notifications_beyond_the_quota_are_listed_as_one_and_counted(
    api: Caller, app_services: Services
) -> None:
    trail = (await api.make_trail((await api.make_flow())["id"]))["id"]
    rule = await api.make_rule("IN_APP")
    await limit(api, app_services, messages_per_hour=1)
    items = [{"trailId": trail, "evidenceType": "SCAN", "tool": "t", "passed": False} for _ in range(4)]
    assert (await api.post("/evidence/collect", {"items": items})).json["accepted"] == 4
    shown = (await api.get("/limits")).json
    assert shown["suppressedMessages"] == 3
    listed = (await api.get(f"/notification-rules/{rule['id']}/deliveries")).json
    assert len(listed) == 2
    refused = await api.post(f"/notification-rules/{rule['id']}/test", status=429)
    assert_due_to(refused, "messages_per_hour")
