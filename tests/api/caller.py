"""A client as people write one: one key, JSON in and out, and the few calls that most tests begin with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from hmac import digest
from typing import Any
from uuid import UUID, uuid4

from aiohttp.test_utils import TestClient
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.http.calls import SERVICES
from api.http.transport.streams import EVENT_STREAM
from domain.audit.events import Actor
from domain.identity.api_keys import NewApiKey
from domain.identity.organisations import NewOrganisation
from domain.identity.permissions import Permission
from domain.identity.principals import NewPrincipal
from domain.notifications.triggers import Severity
from domain.tenant import Tenant
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.organisations import create_organisation
from storage.identity.commands.principals import create_principal
from storage.notifications.commands.inapp import NewNotification, notify
from storage.services import Services

V1, V2 = "/api/v1", "/api/v2"
ROOTED = (V1, V2, "/health", "/ready", "/actuator", "/metrics")
"""What is not below `/api/v1`."""
SECRET = "a long random text"
COMMIT = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
DIGEST = "sha256:" + "ab" * 32
BUILT_DIGEST = "sha256:" + "cd" * 32
"""Of the artifact whose provenance is recorded."""
NOBODY = Actor(UUID(int=0))


@dataclass(frozen=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def fields(self) -> list[str]:
        """The fields that a refusal names."""
        return [detail["field"] for detail in self.json["details"]]


@dataclass(frozen=True)
class Caller:
    """Whoever holds a key; `None` holds none."""

    client: TestClient[Any, Any]
    key: str | None
    tenant: Tenant = field(default=Tenant(UUID(int=0), "default"))

    async def send(self, method: str, path: str, **request: Any) -> Answer:
        headers = {"X-Api-Key": self.key} if self.key else {}
        headers |= request.pop("headers", {})
        url = path if path.startswith(ROOTED) else V1 + path
        async with self.client.request(method, url, headers=headers, **request) as response:
            endless = response.content_type == EVENT_STREAM
            return Answer(response.status, response.headers.copy(), "" if endless else await response.text())

    async def get(self, path: str, status: int = 200, **request: Any) -> Answer:
        return _expected(await self.send("GET", path, **request), status)

    async def post(self, path: str, body: Any = None, status: int = 201, **request: Any) -> Answer:
        sent = {"json": body} if body is not None else {}
        return _expected(await self.send("POST", path, **sent, **request), status)

    async def make_flow(self, **fields: Any) -> Any:
        return (await self.post("/flows", {"name": unique("flow"), **fields})).json

    async def make_trail(self, flow_id: str, **fields: Any) -> Any:
        return (await self.post("/trails", trail_body(flow_id, **fields))).json

    async def attest(self, trail_id: str, type_: str = "BUILD", status: str = "PASSED", **fields: Any) -> Any:
        body = {"type": type_, "status": status, **fields}
        return (await self.post(f"/trails/{trail_id}/attestations", body)).json

    async def report_artifact(self, trail_id: str, digest: str = DIGEST, **fields: Any) -> Any:
        body = {"imageName": "app", "imageTag": "1.0", "sha256Digest": digest, **fields}
        return (await self.post(f"/trails/{trail_id}/artifacts", body)).json

    async def upload(self, attestation_id: str, content: bytes = b"a") -> Any:
        return (await self.post(f"/evidence/{attestation_id}", data=content)).json

    async def record_provenance(self, artifact: Any, **fields: Any) -> Any:
        body = {"builderId": "ci.example.com", "builderType": "GENERIC", **fields}
        return (await self.post(f"/trails/{artifact['trailId']}/artifacts/{artifact['id']}/provenance", body)).json

    async def make_provenance_key(self) -> Any:
        pem = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return (await self.post("/provenance-keys", {"name": unique("key"), "publicKeyPem": pem.decode()})).json

    async def make_notification(self, title: str = "A title") -> Any:
        """As the relay settles a message of an IN_APP rule."""
        organisation = (await self.get(f"/organisations/{self.tenant.org_slug}")).json
        tenant, new = Tenant(UUID(organisation["id"]), organisation["slug"]), NewNotification(title, "", Severity.INFO)
        async with self.client.app[SERVICES].database.transaction() as tx:
            await notify(tx, tenant, [new])
        return (await self.get("/notifications?size=1")).json[0]

    async def make_rule(self, channel: str = "WEBHOOK", **fields: Any) -> Any:
        config = {} if channel == "IN_APP" else {"webhookUrl": f"https://hooks.example.com/{unique('path')}"}
        body = {"name": unique("rule"), "triggerEvent": "ATTESTATION_FAILED", "channelType": channel}
        return (await self.post("/notification-rules", {**body, "channelConfig": config, **fields})).json

    async def make_message(self, rule_id: str) -> Any:
        """A test message of the rule; nobody sends it, for no worker runs."""
        await self.post(f"/notification-rules/{rule_id}/test", status=202)
        return (await self.get(f"/deliveries?ruleId={rule_id}&size=1")).json[0]

    async def make_config(self, flow_id: str, source: str = "GITHUB", secret: str = SECRET) -> Any:
        return (await self.post("/webhook-configs", {"source": source, "secret": secret, "flowId": flow_id})).json

    async def reconcile(self, config_id: str, status: int = 200, **fields: Any) -> Answer:
        body = {"hookUrl": "https://api.github.com/repos/example/app/hooks/42", "token": "t-0", **fields}
        path = f"/webhook-configs/{config_id}/reconciliation"
        return _expected(await self.send("PUT", path, json=body), status)

    async def status_of(self, trail_id: str) -> str:
        return str((await self.get(f"/trails/{trail_id}")).json["status"])


def _expected(answer: Answer, status: int) -> Answer:
    assert answer.status == status, answer.text
    return answer


def unique(what: str) -> str:
    return f"{what}-{uuid4().hex[:12]}"


def trail_body(flow_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "flowId": flow_id,
        "gitCommitSha": COMMIT,
        "gitBranch": "main",
        "gitAuthor": "Ada Lovelace",
        "gitAuthorEmail": "ada@example.com",
        **fields,
    }


def sign(body: bytes, secret: str = SECRET) -> str:
    """As GitHub signs."""
    return "sha256=" + digest(secret.encode(), body, sha256).hex()


@dataclass(frozen=True)
class Holder:
    """A principal with a key of its own."""

    principal_id: UUID
    key_id: UUID
    key: str


async def make_holder(
    services: Services,
    tenant: Tenant,
    role: str,
    permissions: list[Permission] | None = None,
    expires_at: datetime | None = None,
    *,
    scopes: list[str] | None = None,
) -> Holder:
    """As `trailgate keys create` does: there is no route for it yet."""
    async with services.database.transaction() as tx:
        principal_id = await create_principal(tx, tenant, NewPrincipal("service", unique(role), role), NOBODY)
        new = NewApiKey(principal_id, "test", permissions, expires_at, scopes=scopes)
        made, text = await create_api_key(tx, tenant, new, NOBODY)
    return Holder(principal_id, made.id, text)


async def found_organisation(client: TestClient[Any, Any], services: Services) -> Caller:
    """A new organisation, seen by its administrator."""
    async with services.database.transaction() as tx:
        slug = unique("org")
        organisation = await create_organisation(tx, NewOrganisation(slug, "An organisation"), NOBODY)
    holder = await make_holder(services, organisation.tenant, "admin")
    return Caller(client, holder.key, organisation.tenant)
