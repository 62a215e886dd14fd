"""One of everything that has an id, each made when it is first asked for, with what it stands on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import Any
from uuid import UUID

from api.http.binding import Endpoint
from api.http.calls import SERVICES
from domain.identity.organisations import NewOrganisation
from domain.identity.permissions import Permission
from domain.identity.sessions import NewSession, SignInMethod
from domain.tenant import Tenant
from storage.identity.commands.organisations import create_organisation
from storage.identity.commands.sessions import start_session
from tests.api.caller import BUILT_DIGEST, NOBODY, Caller, sign, unique
from tests.api.table import ENDPOINTS, body_of, creation_of, url_of, wanted_by

Make = Callable[["Things"], Awaitable[Any]]


def once(make: Make) -> Make:
    """Of each kind one thing."""

    @wraps(make)
    async def made(things: "Things") -> Any:
        if make.__name__ not in things.made:
            things.made[make.__name__] = await make(things)
        return things.made[make.__name__]

    return made


class Things:
    """What one caller has made, by kind."""

    def __init__(self, api: Caller) -> None:
        self.api = api
        self.made: dict[str, Any] = {}

    async def ids(self, *wanted: str) -> dict[str, str]:
        """What these path parameters take; those of nothing that can be made are passed over."""
        found = {name: await self._id(name) for name in wanted}
        return {name: value for name, value in found.items() if value}

    async def _id(self, name: str) -> str | None:
        if name in IDS:
            make, field = IDS[name]
            return str((await make(self))[field])
        creation = creation_of(name)
        if creation and name not in self.made:
            self.made[name] = (await self.another(creation))["id"]
        return self.made.get(name)

    async def another(self, creation: Endpoint) -> Any:
        """One more of what this route makes, out of the body that the document shows, under a name of its own."""
        known = await self.ids(*wanted_by(creation))
        body = body_of(creation, known)
        name = {"name": unique("name")} if "name" in body else {}
        return (await self.api.post(url_of(creation, **known), body | name, creation.route.status)).json

    @once
    async def flow(self) -> Any:
        return await self.api.make_flow()

    @once
    async def empty_flow(self) -> Any:
        return await self.api.make_flow()

    @once
    async def environment(self) -> Any:
        """One with a snapshot that is its baseline."""
        environment = (await self.api.post("/environments", {"name": unique("environment")})).json
        await self.report(environment["id"], BUILT_DIGEST)
        await self.api.post(f"/environments/{environment['id']}/baselines", {})
        known = (await self.api.get(f"/environments/{environment['id']}")).json
        return {**known, "digest": BUILT_DIGEST}

    async def report(self, environment_id: str, digest: str, name: str = "app") -> Any:
        """One more snapshot of an environment, each time."""
        body = {"artifacts": [{"artifactName": name, "artifactSha256": digest}]}
        return (await self.api.post(f"/environments/{environment_id}/snapshots", body)).json

    @once
    async def member_environment(self) -> Any:
        """A member of the logical environment."""
        member = (await self.api.post("/environments", {"name": unique("environment")})).json
        logical = (await self.ids("logical_environment_id"))["logical_environment_id"]
        await self.api.post(f"/logical-environments/{logical}/members/{member['id']}", status=200)
        return member

    @once
    async def trail(self) -> Any:
        return await self.api.make_trail((await self.flow())["id"])

    @once
    async def attestation(self) -> Any:
        return await self.api.attest((await self.trail())["id"])

    @once
    async def security_scan(self) -> Any:
        return (await self.api.post(f"/trails/{(await self.trail())['id']}/security-scans", {"tool": "trivy"})).json

    @once
    async def flow_with_thresholds(self) -> Any:
        flow = await self.flow()
        await self.api.post(f"/flows/{flow['id']}/security-thresholds", {})
        return flow

    @once
    async def evidence(self) -> Any:
        return await self.api.upload((await self.attestation())["id"])

    @once
    async def artifact(self) -> Any:
        return await self.api.report_artifact((await self.trail())["id"])

    @once
    async def built_artifact(self) -> Any:
        """One whose provenance is recorded."""
        built = await self.api.report_artifact((await self.trail())["id"], BUILT_DIGEST)
        await self.api.record_provenance(built)
        return built

    @once
    async def verdict(self) -> Any:
        await self.built_artifact()
        body = {"flowId": (await self.flow())["id"], "sha256Digest": BUILT_DIGEST}
        return (await self.api.post("/assert", body, 200)).json

    async def another_approval(self) -> Any:
        """One more that its requester may decide, each time."""
        path = f"/trails/{(await self.trail())['id']}/approvals"
        return (await self.api.post(path, {"allowRequester": True})).json

    async def another_overridden_approval(self) -> Any:
        """One more, each time."""
        path = f"/approvals/{(await self.another_approval())['id']}/break-glass"
        return (await self.api.post(path, {"reason": "an incident"}, 200)).json

    @once
    async def approval(self) -> Any:
        return await self.another_approval()

    @once
    async def overridden_approval(self) -> Any:
        return await self.another_overridden_approval()

    @once
    async def gate_result(self) -> Any:
        await self.built_artifact()
        body = {"flowId": (await self.flow())["id"], "artifactSha256": BUILT_DIGEST}
        return (await self.api.post("/gate/evaluate", body, 200)).json

    @once
    async def provenance_key(self) -> Any:
        return await self.api.make_provenance_key()

    @once
    async def config(self) -> Any:
        """One that is reconciled."""
        config = await self.api.make_config((await self.flow())["id"])
        await self.api.reconcile(config["id"])
        return config

    @once
    async def receipt(self) -> Any:
        body = b'{"zen": "Keep it simple."}'
        headers = {"X-Hub-Signature-256": sign(body), "X-GitHub-Event": "ping"}
        path = f"/webhooks/github/{(await self.config())['id']}"
        return (await self.api.post(path, status=202, data=body, headers=headers)).json

    async def opa_bundle(self) -> Any:
        """One more each time, which is not active."""
        body = {"name": unique("bundle"), "version": "1", "regoContent": "package release\nallow = true"}
        return (await self.api.post("/opa/bundles", body)).json

    @once
    async def inactive_bundle(self) -> Any:
        return await self.opa_bundle()

    @once
    async def active_bundle(self) -> Any:
        made = await self.opa_bundle()
        return (await self.api.send("PUT", f"/opa/bundles/{made['id']}/activate")).json

    @once
    async def opa_decision(self) -> Any:
        body = {"artifactName": "app", "bundle": (await self.active_bundle())["name"]}
        return (await self.api.post("/opa/evaluate", body, 200)).json

    @once
    async def event(self) -> Any:
        await self.flow()
        return (await self.api.get("/audit?size=1")).json["events"][0]

    @once
    async def message(self) -> Any:
        """One of a rule's."""
        return await self.api.make_message((await self.api.make_rule())["id"])

    @once
    async def notification(self) -> Any:
        return await self.api.make_notification()

    @once
    async def organisation(self) -> Any:
        return {"slug": self.api.tenant.org_slug}

    async def empty_organisation(self) -> Any:
        """One that nothing belongs to; the caller has no access to it."""
        async with self.api.client.app[SERVICES].database.transaction() as tx:
            made = await create_organisation(tx, NewOrganisation(unique("org"), "Empty"), NOBODY)
        return {"slug": made.slug}

    @once
    async def organisation_with_sso(self) -> Any:
        """The caller's, with an identity provider that nobody reaches."""
        slug = self.api.tenant.org_slug
        body = {"provider": "OKTA", "issuerUrl": "https://idp.example.com:9", "clientId": "trailgate"}
        await self.api.post(f"/organisations/{slug}/sso", body)
        return {"slug": slug}

    async def new_user(self) -> Any:
        """Another person each time, who is no member yet."""
        return (await self.api.post("/users", {"email": f"{unique('ada')}@example.com", "name": "Ada"})).json

    @once
    async def member(self) -> Any:
        body = {"userId": (await self.new_user())["id"], "role": "MEMBER"}
        return (await self.api.post(f"/organisations/{self.api.tenant.org_slug}/members", body)).json

    async def another_session(self, user_id: str) -> Any:
        """One more session of a person, each time."""
        me, new = (await self.api.get("/me")).json, NewSession(UUID(user_id), SignInMethod.API_KEY)
        tenant = Tenant(UUID(me["organisationId"]), me["organisation"])
        async with self.api.client.app[SERVICES].database.transaction() as tx:
            session, _ = await start_session(tx, tenant, new, timedelta(hours=1), NOBODY)
        return {"id": session.id}

    @once
    async def session(self) -> Any:
        return await self.another_session((await self.member())["userId"])

    @once
    async def service_account(self) -> Any:
        return (await self.api.post("/service-accounts", {"name": unique("ci")})).json

    @once
    async def key(self) -> Any:
        path = f"/service-accounts/{(await self.service_account())['id']}/api-keys"
        return (await self.api.post(path, {"label": "build"})).json


IDS: Mapping[str, tuple[Make, str]] = {
    "environment_id": (Things.environment, "id"),
    "physical_env_id": (Things.environment, "id"),
    "member_env_id": (Things.member_environment, "id"),
    "index": (Things.environment, "lastSnapshotIndex"),
    "running_digest": (Things.environment, "digest"),
    "flow_id": (Things.flow, "id"),
    "empty_flow_id": (Things.empty_flow, "id"),
    "trail_id": (Things.trail, "id"),
    "attestation_id": (Things.attestation, "id"),
    "security_scan_id": (Things.security_scan, "id"),
    "flow_with_thresholds": (Things.flow_with_thresholds, "id"),
    "evidence_id": (Things.evidence, "id"),
    "sha256": (Things.evidence, "sha256Hash"),
    "artifact_id": (Things.artifact, "id"),
    "digest": (Things.built_artifact, "sha256Digest"),
    "verdict_id": (Things.verdict, "verdictId"),
    "gate_result_id": (Things.gate_result, "id"),
    "approval_id": (Things.approval, "id"),
    "overridden_approval_id": (Things.overridden_approval, "id"),
    "provenance_key_id": (Things.provenance_key, "id"),
    "config_id": (Things.config, "id"),
    "receipt_id": (Things.receipt, "receiptId"),
    "bundle_id": (Things.inactive_bundle, "id"),
    "active_bundle": (Things.active_bundle, "name"),
    "decision_id": (Things.opa_decision, "id"),
    "event_id": (Things.event, "id"),
    "record_id": (Things.trail, "id"),
    "rule_id": (Things.message, "ruleId"),
    "message_id": (Things.message, "id"),
    "destination_id": (Things.message, "destinationId"),
    "notification_id": (Things.notification, "id"),
    "organisation": (Things.organisation, "slug"),
    "empty_organisation": (Things.empty_organisation, "slug"),
    "organisation_with_sso": (Things.organisation_with_sso, "slug"),
    "user_id": (Things.member, "userId"),
    "new_user_id": (Things.new_user, "id"),
    "service_account_id": (Things.service_account, "id"),
    "session_id": (Things.session, "id"),
    "owner_id": (Things.service_account, "id"),
    "key_id": (Things.key, "id"),
    "api_key_id": (Things.key, "id"),
}
"""By the name of the path parameter that takes it: what is to be made, and which of its fields.

What is not named here is made by a POST to its collection.
"""


async def make_world(api: Caller, *wanted: str) -> dict[str, str]:
    """What the path parameters of these names take."""
    return await Things(api).ids(*wanted)


async def make_whole_world(api: Caller) -> dict[str, str]:
    """What every path parameter takes."""
    return await make_world(api, *IDS, *(name for one in ENDPOINTS for name in wanted_by(one)))


TO_SIGN_IN = 4
"""Requests of `caller_for`, at most."""


async def caller_for(endpoint: Endpoint, api: Caller, admin: Caller) -> Caller:
    """Who may use a route: an administrator, of the platform where it needs one, a person, or a person's session."""
    if endpoint.route.permission is Permission.PLATFORM_MANAGE:
        return admin
    if endpoint.route.name not in {"start_session", "sign_out"}:
        return api
    member = await Things(api).member()
    body = {"ownerId": member["userId"], "ownerType": "USER", "label": "laptop"}
    person = replace(api, key=(await api.post("/api-keys", body)).json["plainTextKey"])
    return person if endpoint.route.name == "start_session" else await signed_in(person)


async def signed_in(person: Caller) -> Caller:
    """The person with a session in place of the key."""
    return replace(person, key=(await person.post("/sessions")).json["token"])
