"""The audit on the wire."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.audit.events import V1_NAMES, Actor, AuditName, Event
from domain.identity.records import DENIAL
from storage.audit.commands import append
from storage.services import Services
from tests.api.caller import Caller, unique
from tests.api.times import assert_times
from tests.api.world import make_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTITY = {
    "id",
    "eventType",
    "environmentId",
    "trailId",
    "artifactSha256",
    "actor",
    "payload",
    "occurredAt",
    "region",
}
"""The fields of version 1."""
OURS = {
    *("actorId", "actorName", "actorKind", "subjectId", "subjectName", "credentialId"),
    *("recordKind", "recordId", "recordVersion", "requestId", "hash"),
}
FOUNDING = 4
"""Events of a new organisation: itself, its administrator, the membership, the key."""


async def events(api: Caller, query: str = "size=100") -> Any:
    return (await api.get(f"/audit?{query}")).json["events"]


async def test_an_event_has_every_field_of_the_entity(api: Caller) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    made = await api.attest(trail["id"], name="unit")
    [event] = await events(api, "eventType=ATTESTATION_RECORDED")
    assert event.keys() == ENTITY | OURS
    assert_times(event, "occurredAt")
    assert json.loads(event["payload"]) == {
        "attestationId": made["id"],
        "trailId": trail["id"],
        "type": "BUILD",
        "status": "PASSED",
        "name": "unit",
    }
    assert (event["trailId"], event["recordId"], event["recordKind"]) == (trail["id"], made["id"], "attestation")
    assert (event["environmentId"], event["artifactSha256"], event["region"]) == (None, None, "us-east-1")
    assert event["occurredAt"] == made["createdAt"]
    assert len(event["hash"]) == 64
    assert (await api.get(f"/audit/{event['id']}")).json == event
    await api.get(f"/audit/{uuid4()}", status=404)


async def test_every_change_is_audited_newest_first(api: Caller) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    await api.upload((await api.attest(trail["id"]))["id"])
    await api.record_provenance(await api.report_artifact(trail["id"]))
    await api.make_provenance_key()
    await api.post("/assert", {"flowId": flow["id"], "sha256Digest": DIGEST}, status=200)
    await api.make_config(flow["id"])
    told = [event["eventType"] for event in await events(api)]
    assert told[0] == "WEBHOOK_CONFIG_CREATED"
    assert sorted(told[:-FOUNDING]) == sorted(
        [
            "FLOW_CREATED",
            "TRAIL_CREATED",
            "ATTESTATION_RECORDED",
            "EVIDENCE_UPLOADED",
            *["ARTIFACT_REPORTED", "ARTIFACT_DEPLOYED"],
            "PROVENANCE_RECORDED",
            "PROVENANCE_VERIFIED",
            "PROVENANCE_KEY_CREATED",
            "GATE_ALLOWED",
            "PRINCIPAL_CREATED",
            "MEMBERSHIP_CREATED",
            "WEBHOOK_CONFIG_CREATED",
        ]
    )
    assert [event["eventType"] for event in await events(api, "size=100&sortDesc=false")] == told[::-1]
    times = [event["occurredAt"] for event in await events(api)]
    assert times == sorted(times, reverse=True)
    assert len(await events(api, f"trailId={trail['id']}")) == 8


async def test_reading_and_refusals_leave_no_event(api: Caller) -> None:
    await make_world(api, "attestation_id")
    before = await events(api)
    await api.post("/flows", {"name": ""}, status=400)
    await api.get(f"/flows/{uuid4()}", status=404)
    await api.get("/flows")
    assert await events(api) == before


async def test_an_event_names_the_request_and_the_region(api: Caller) -> None:
    request_id = unique("request")
    headers = {"X-Request-Id": request_id, "X-Factstore-Region": "eu-central-1"}
    answer = await api.post("/flows", {"name": unique("flow")}, headers=headers)
    assert answer.headers["X-Request-Id"] == request_id
    assert answer.headers["X-Factstore-Region"] == "us-east-1"
    [event] = await events(api, "eventType=FLOW_CREATED")
    assert (event["requestId"], event["region"]) == (request_id, "eu-central-1")


FILTERS = {
    "the v1 name": "eventType=TRAIL_CREATED",
    "our name": "eventType=trail.created",
    "any case": "eventType=Trail_Created",
    "hyphens": "eventType=trail-created",
}


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
async def test_event_types_are_taken_in_every_spelling(api: Caller, query: str) -> None:
    await make_world(api, "attestation_id")
    assert [event["eventType"] for event in await events(api, query)] == ["TRAIL_CREATED"]


async def test_an_unknown_event_type_is_400_and_lists_the_known_ones(api: Caller) -> None:
    refused = await api.get("/audit?eventType=COFFEE_BREWED", status=400)
    assert refused.fields == ["eventType"]
    assert all(name in refused.json["message"] for name in list(V1_NAMES)[:5])


async def test_the_events_of_an_actor(api: Caller) -> None:
    await make_world(api, "attestation_id")
    everything = await events(api)
    actor = everything[0]["actor"]
    own = [event for event in everything if event["actor"] == actor]
    assert len(own) == len(everything) - FOUNDING
    assert await events(api, f"size=100&actor={actor}") == own
    assert await events(api, f"size=100&actorId={everything[0]['actorId']}") == own
    assert await events(api, "actor=nobody-of-that-name") == []
    assert await events(api, f"actorId={uuid4()}") == []


async def test_a_window_of_time_is_inclusive(api: Caller) -> None:
    for _ in range(3):
        await api.make_flow()
        await asyncio.sleep(0.002)
    three = await events(api, "eventType=FLOW_CREATED&sortDesc=false")
    first, second, third = [event["occurredAt"] for event in three]
    query = "eventType=FLOW_CREATED&sortDesc=false"
    assert await events(api, f"{query}&from={second}") == three[1:]
    assert await events(api, f"{query}&to={second}") == three[:2]
    assert await events(api, f"{query}&from={second}&to={second}") == three[1:2]
    offset = (datetime.fromisoformat(second) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f%%2B02:00")
    assert await events(api, f"{query}&from={offset}") == three[1:]
    refused = await api.get(f"/audit?{query}&from={third}&to={first}", status=400)
    assert refused.fields == ["from"]


async def test_several_event_types(api: Caller) -> None:
    await make_world(api, "attestation_id")
    wanted = {"FLOW_CREATED", "TRAIL_CREATED"}
    query = "eventType=flow.created&eventType=TRAIL_CREATED"
    page = (await api.get(f"/audit?{query}")).json
    assert {event["eventType"] for event in page["events"]} == wanted
    assert page["totalElements"] == len(page["events"])
    assert page["events"] == [event for event in await events(api) if event["eventType"] in wanted]
    assert (await api.get(f"/audit?{query}&eventType=tea", status=400)).fields == ["eventType"]


DIGEST = "sha256:" + "ab" * 32


async def tell(api: Caller, services: Services, **about: Any) -> str:
    """An event about an environment or an artifact, as their commands write it."""
    async with services.database.transaction() as tx:
        actor = Actor(UUID(int=0), region=about.pop("region", "test"))
        event = Event(AuditName.ARTIFACT_DEPLOYED, actor, DENIAL, {"id": tx.new_id()}, {}, **about)
        [event_id] = await append(tx, api.tenant, [event])
    return str(event_id)


async def test_the_events_of_an_environment(api: Caller, app_services: Services) -> None:
    one, other = uuid4(), uuid4()
    told = [await tell(api, app_services, environment_id=environment) for environment in (one, other, one)]
    assert [event["id"] for event in await events(api, f"environmentId={one}")] == [told[2], told[0]]
    assert await events(api, f"environmentId={uuid4()}") == []


@pytest.mark.parametrize("spelling", [DIGEST, DIGEST.upper(), "ab" * 32, "AB" * 32])
async def test_the_events_of_an_artifact_in_every_spelling(api: Caller, app_services: Services, spelling: str) -> None:
    told = await tell(api, app_services, digest=DIGEST)
    await tell(api, app_services, digest="sha256:" + "cd" * 32)
    [event] = await events(api, f"artifactSha256={spelling}")
    assert (event["id"], event["artifactSha256"]) == (told, DIGEST)


async def test_a_digest_of_another_kind_is_compared_as_it_is(api: Caller, app_services: Services) -> None:
    told = await tell(api, app_services, digest="sha512:Ab")
    assert [event["id"] for event in await events(api, "artifactSha256=sha512:Ab")] == [told]
    assert await events(api, "artifactSha256=sha512:ab") == []


async def test_the_events_of_a_region(api: Caller, app_services: Services) -> None:
    told = await tell(api, app_services, region="ap-south-1")
    assert [event["id"] for event in await events(api, "region=ap-south-1")] == [told]
    assert await events(api, "region=ap-south") == []


async def test_filters_narrow_together(api: Caller, app_services: Services) -> None:
    one, other = uuid4(), uuid4()
    await tell(api, app_services, environment_id=one)
    await tell(api, app_services, environment_id=other, digest=DIGEST)
    told = await tell(api, app_services, environment_id=one, digest=DIGEST)
    query = f"environmentId={one}&artifactSha256={DIGEST}&eventType=ARTIFACT_DEPLOYED&region=test"
    assert [event["id"] for event in await events(api, query)] == [told]


async def test_the_organisation_may_be_repeated_and_not_contradicted(api: Caller) -> None:
    everything = await events(api)
    assert await events(api, f"size=100&orgSlug={api.tenant.org_slug}") == everything
    await api.get("/audit?orgSlug=default", status=404)


async def test_the_audit_page(api: Caller) -> None:
    for _ in range(3):
        await api.make_flow()
    page = (await api.get("/audit?page=1&size=4")).json
    assert {name: page[name] for name in page if name != "events"} == {
        "page": 1,
        "size": 4,
        "totalElements": FOUNDING + 3,
        "totalPages": 2,
    }
    assert page["events"] == (await events(api))[4:]
    assert (await api.get("/audit")).json["size"] == 20


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("size=0", "size"),
        ("size=101", "size"),
        ("page=-1", "page"),
        ("trailId=x", "trailId"),
        ("environmentId=x", "environmentId"),
        ("from=yesterday", "from"),
        ("to=2026-01-01T00:00:00", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("artifactSha256=" + "x" * 256, "artifactSha256"),
        ("sortDesc=perhaps", "sortDesc"),
    ],
)
async def test_a_refusal_names_the_parameter(api: Caller, query: str, named: str) -> None:
    assert (await api.get(f"/audit?{query}", status=400)).fields == [named]
