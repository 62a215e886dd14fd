"""Lists take a bounded number of SQL statements whatever the page size."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from asyncpg.connection import LoggedQuery

from api.http.binding import Endpoint
from api.http.calls import SERVICES
from domain.environments.allow_list import NewUse
from domain.gates.opa import NewBundle
from domain.gates.policies import NewAttachment, NewPolicy, PolicyKind, PolicySettings
from domain.gates.rego import Module, Source
from domain.notifications.triggers import Severity
from domain.tenant import Tenant
from storage.environments.commands.allow_list_uses import record_uses
from storage.gates.commands.attachments import attach_policy
from storage.gates.commands.opa_bundles import create_bundle
from storage.gates.commands.policies import create_policy
from storage.ledger import marks
from storage.notifications.commands.inapp import NewNotification, notify
from storage.services import Services
from tests.api.caller import BUILT_DIGEST, DIGEST, NOBODY, Caller, unique
from tests.api.table import WITH_BODY, asking_url, wanted_by, with_parameter
from tests.api.walks import TO_MAKE, Walk
from tests.api.webhooks.sending import github_headers
from tests.api.world import Things
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = 30
MOST = 4
"""The parent's existence, the page, and at most two for its total."""
JUDGED = {"list_artifacts", "list_environments", "list_trail_artifacts", "get_environment_compliance"}
MOST_TO_JUDGE = 5
"""What runs or where, three for what is known of it, and one for the policies of the environments."""
LISTS = with_parameter("size")
BESIDE = {marks._SEEN, marks._WAITING, marks._ERASED}
"""Statements that raise the high-water mark of a ledger; they come by time, not with a request."""


@asynccontextmanager
async def statements(services: Services) -> AsyncIterator[list[str]]:
    """Every statement that the pool's connections run meanwhile, beside those that ask for the high-water mark."""
    seen: list[str] = []

    def note(query: LoggedQuery) -> None:
        if query.query not in BESIDE and "typeinfo_tree" not in query.query:  # asyncpg looks a type up once
            seen.append(query.query)

    connections = await all_connections(services, lambda connection: connection.add_query_logger(note))
    try:
        yield seen
    finally:
        assert await all_connections(services, lambda connection: connection.remove_query_logger(note)) == connections


async def all_connections(services: Services, change: Any) -> int:
    """Holds every connection the pool may have, so that none is missed."""
    async with AsyncExitStack() as held:
        for _ in range(services.settings.database_pool):
            change(await held.enter_async_context(services.database.pool.acquire()))
    return services.settings.database_pool


async def an_artifact(things: Things) -> None:
    await things.api.report_artifact((await things.trail())["id"], imageTag=unique("tag"))


async def an_attestation(things: Things) -> None:
    await things.api.attest((await things.trail())["id"])


async def a_checkpoint(things: Things) -> None:
    """With the entries that it signs."""
    await an_attestation(things)
    await Sealer()(things.api.client.app[SERVICES])


async def a_config(things: Things) -> None:
    await things.api.make_config((await things.flow())["id"])


async def a_delivery(things: Things) -> None:
    body = json.dumps({"n": unique("delivery")}).encode()
    path = f"/webhooks/github/{(await things.config())['id']}"
    await things.api.post(path, status=202, data=body, headers=github_headers(body, "ping"))


async def a_baseline(things: Things) -> None:
    await things.api.post(f"/environments/{(await things.environment())['id']}/baselines", {})


async def a_deployment(things: Things) -> None:
    """Beside a removal, and drift that is not as before."""
    digest = f"sha256:{unique('').strip('-'):0>64}"
    await things.report((await things.environment())["id"], digest)


async def the_same_artifact_again(things: Things) -> None:
    await things.report((await things.environment())["id"], BUILT_DIGEST, unique("app"))


async def one_more_that_runs(things: Things) -> None:
    """Beside all before it: an artifact that a trail has reported."""
    digest = (await things.artifact())["sha256Digest"]
    running = things.made.setdefault("running", [])
    running.append({"artifactName": unique("app"), "artifactSha256": digest})
    await things.api.post(f"/environments/{(await things.environment())['id']}/snapshots", {"artifacts": running})


async def an_environment_with_an_artifact(things: Things) -> None:
    digest = (await things.artifact())["sha256Digest"]
    made = await things.api.post("/environments", {"name": unique("environment")})
    await things.report(made.json["id"], digest)


async def a_file(things: Things) -> None:
    await things.api.upload((await things.attestation())["id"])


async def a_gap(things: Things) -> None:
    flow = things.made.get("strict") or await things.api.make_flow(requiredAttestations=["BUILD"])
    things.made["strict"] = flow
    await things.api.make_trail(flow["id"])


async def a_message(things: Things) -> None:
    await things.api.post(f"/notification-rules/{(await things.message())['ruleId']}/test", status=202)


async def a_notification(things: Things) -> None:
    async with things.api.client.app[SERVICES].database.transaction() as tx:
        await notify(tx, things.api.tenant, [NewNotification("A title", "", Severity.INFO)])


async def an_opa_bundle(things: Things) -> None:
    """As if it was compiled, which takes a process."""
    new = NewBundle(unique("bundle"), "1", Source((Module("gate.rego", "package gate\nallow = true"),)), ())
    me = (await things.api.get("/me")).json
    async with things.api.client.app[SERVICES].database.transaction() as tx:
        await create_bundle(tx, Tenant(UUID(me["organisationId"]), me["organisation"]), new, NOBODY)


async def an_opa_decision(things: Things) -> None:
    body = {"artifactName": "app", "bundle": (await things.active_bundle())["name"]}
    await things.api.post("/opa/evaluate", body, 200)


async def a_provenance_key(things: Things) -> None:
    await things.api.make_provenance_key()


async def a_report(things: Things) -> None:
    await things.api.post(f"/trails/{(await things.trail())['id']}/coverage", {"tool": "jacoco"})


async def a_rule(things: Things) -> None:
    """With a destination of its own."""
    await things.api.make_rule()


async def a_trail(things: Things) -> None:
    await things.api.make_trail((await things.flow())["id"])


async def a_verdict(things: Things) -> None:
    await things.artifact()
    await things.api.post("/assert", {"flowId": (await things.flow())["id"], "sha256Digest": DIGEST}, 200)


async def a_decision(things: Things) -> None:
    await things.artifact()
    await things.api.post("/gate/evaluate", {"artifactSha256": DIGEST}, 200)


async def an_attachment(things: Things) -> None:
    """Of a policy of its own."""
    tenant, flow_id = things.api.tenant, UUID((await things.flow())["id"])
    new = NewPolicy(PolicyKind.ATTACHABLE, PolicySettings(unique("policy")))
    async with things.api.client.app[SERVICES].database.transaction() as tx:
        policy = await create_policy(tx, tenant, new, NOBODY)
        await attach_policy(tx, tenant, NewAttachment(policy.id, flow_id=flow_id), NOBODY)


async def nothing(things: Things) -> None:
    """The list has a row already, and gets no other."""


async def a_key(things: Things) -> None:
    path = f"/service-accounts/{(await things.service_account())['id']}/api-keys"
    await things.api.post(path, {"label": "build"})


async def a_scan(things: Things) -> None:
    await things.api.post(f"/trails/{(await things.trail())['id']}/security-scans", {"tool": "trivy"})


async def a_session(things: Things) -> None:
    await things.another_session((await things.member())["userId"])


async def an_own_session(things: Things) -> None:
    await things.another_session((await things.api.get("/me")).json["id"])


async def a_use(things: Things) -> None:
    """Of the one entry of an allow-list."""
    ids = await things.ids("environment_id", "entry_id")
    use = NewUse(UUID(ids["environment_id"]), UUID(ids["entry_id"]), unique("app"), DIGEST)
    async with things.api.client.app[SERVICES].database.transaction() as tx:
        await record_uses(tx, things.api.tenant, [use], NOBODY)


async def an_approval(things: Things) -> None:
    await things.another_approval()


async def an_overridden_approval(things: Things) -> None:
    await things.another_overridden_approval()


FILL: Mapping[str, Callable[[Things], Awaitable[None]]] = {
    "get_environment_compliance": one_more_that_runs,
    "list_allow_list_uses": a_use,
    "list_approvals": an_approval,
    "list_break_glass_approvals": an_overridden_approval,
    "list_artifact_deployments": the_same_artifact_again,
    "list_artifacts": an_artifact,
    "list_attestation_evidence": a_file,
    "list_attestations": an_attestation,
    "list_audit_events": an_attestation,
    "list_checkpoints": a_checkpoint,
    "list_coverage": a_report,
    "list_baselines": a_baseline,
    "list_destinations": a_rule,
    "list_drift_reports": a_deployment,
    "list_environment_deployments": a_deployment,
    "list_environments": an_environment_with_an_artifact,
    "list_evidence_gaps": a_gap,
    "list_flow_trails": a_trail,
    "list_gate_results": a_decision,
    "list_ledger_entries": a_checkpoint,
    "list_member_sessions": a_session,
    "list_messages": a_message,
    "list_notification_rule_deliveries": a_message,
    "list_owner_api_keys": a_key,
    "list_notification_rules": a_rule,
    "list_notifications": a_notification,
    "list_opa_bundles": an_opa_bundle,
    "list_opa_decisions": an_opa_decision,
    "list_organisations": nothing,
    "list_policy_attachments": an_attachment,
    "list_provenance_keys": a_provenance_key,
    "list_security_scans": a_scan,
    "list_sessions": an_own_session,
    "list_snapshots": a_deployment,
    "list_trail_artifacts": an_artifact,
    "list_trail_attestation_evidence": a_file,
    "list_trail_audit": an_attestation,
    "list_trail_evidence": a_file,
    "list_trails": a_trail,
    "list_verdicts": a_verdict,
    "list_webhook_configs": a_config,
    "list_webhook_deliveries": a_delivery,
}
"""What makes one more row of a list, where that is not a POST to its path."""


async def one_more(endpoint: Endpoint, things: Things) -> None:
    """One more row of this list."""
    if fill := FILL.get(endpoint.route.name):
        await fill(things)
    else:
        [creation] = [one for one in WITH_BODY if one.route.method == "POST" and one.route.path == endpoint.route.path]
        await things.another(creation)


REQUESTS = {"list_break_glass_approvals": 2, "list_environments": 2, "list_members": 2, "list_sessions": 2}
"""How many requests one more row takes, where that is not one."""
STATEMENTS = Walk(LISTS, requests=lambda endpoint: 2 + ROWS * REQUESTS.get(endpoint.route.name, 1) + TO_MAKE)


@STATEMENTS.routes()
async def test_a_list_takes_as_many_statements_for_thirty_rows_as_for_one(
    api: Caller, app_services: Services, endpoint: Endpoint
) -> None:
    things = Things(api)
    for _ in range(ROWS):
        await one_more(endpoint, things)
    url = asking_url(endpoint, **await things.ids(*wanted_by(endpoint)))
    counts, rows = [], []
    for size in (1, ROWS):
        async with statements(app_services) as seen:
            answer = await api.get(f"{url}size={size}")
        counts.append(len([sql for sql in seen if "k.sha256 = ANY" not in sql]))  # the caller is asked for by time
        found = answer.json
        lists = [found] if isinstance(found, list) else [one for one in found.values() if isinstance(one, list)]
        rows.append(len(lists[0]))
    seen_by_its_admin = 1 if endpoint.route.name == "list_organisations" else ROWS
    assert rows == [1, seen_by_its_admin]
    assert counts[0] == counts[1]
    assert 1 <= counts[0] <= MOST + MOST_TO_JUDGE * (endpoint.route.name in JUDGED), seen


async def test_recording_an_attestation_takes_a_handful_of_statements(api: Caller, app_services: Services) -> None:
    """One transaction of set-based statements; the number must not grow with what the trail has already."""
    trail = await api.make_trail((await api.make_flow())["id"])
    counts = []
    for _ in range(2):
        async with statements(app_services) as seen:
            await api.attest(trail["id"])
        counts.append(len(seen))
        for _ in range(ROWS):
            await api.attest(trail["id"])
    assert counts[1] <= counts[0] <= 8, seen
