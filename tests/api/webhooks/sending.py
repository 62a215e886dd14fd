"""Senders as they are: GitHub with its headers, Standard Webhooks with its own library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from standardwebhooks.webhooks import Webhook

from tests.api.caller import SECRET, Answer, Caller, sign
from tests.paths import FIXTURES

STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REFUSED = "This delivery could not be authenticated."


def recorded(name: str) -> bytes:
    """A payload as GitHub sent it."""
    return (FIXTURES / "github" / f"{name}.json").read_bytes()


def proof(source: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The least that a sender must send to be believed."""
    if source == "AZURE_DEVOPS":
        return {"X-Trailgate-Token": secret}
    if source == "BITBUCKET":
        return {"X-Hub-Signature": sign(body, secret), "X-Event-Key": "repo:push"}
    return {"X-Hub-Signature-256": sign(body, secret)}


def github_headers(body: bytes, event: str | None = "workflow_run", secret: str = SECRET) -> dict[str, str]:
    headers = {
        "X-Hub-Signature-256": sign(body, secret),
        "X-GitHub-Delivery": str(uuid4()),
        "Content-Type": "application/json",
    }
    return headers | ({"X-GitHub-Event": event} if event else {})


def standard_headers(
    body: bytes, at: datetime | None = None, secret: str = STANDARD_SECRET, message_id: str | None = None
) -> dict[str, str]:
    message_id, moment = message_id or f"msg_{uuid4().hex}", at or datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, body.decode()),
        "Content-Type": "application/json",
    }


def gitlab_headers(event: str = "Pipeline Hook", delivery_id: str | None = None) -> dict[str, str]:
    """Of one attempt, without the proof; a repeated attempt keeps the delivery's id alone."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitLab/18.9.0",
        "Idempotency-Key": delivery_id or str(uuid4()),
        "X-Gitlab-Event": event,
        "X-Gitlab-Webhook-UUID": str(uuid4()),
        "X-Gitlab-Event-UUID": str(uuid4()),
    }


def generic(event_type: str = "build.succeeded", **fields: Any) -> bytes:
    return json.dumps({"eventType": event_type, "gitCommitSha": uuid4().hex, **fields}).encode()


@dataclass(frozen=True)
class Sender:
    """A config and who owns it; deliveries go through the config's own path."""

    owner: Caller
    flow_id: str
    config_id: str
    source: str

    @property
    def path(self) -> str:
        return f"/webhooks/{self.source.lower()}/{self.config_id}"

    async def deliver(self, body: bytes, headers: Mapping[str, str], status: int = 202) -> Answer:
        stranger = Caller(self.owner.client, None)
        return await stranger.post(self.path, status=status, data=body, headers=dict(headers))

    async def receipt(self, accepted: Answer) -> Any:
        return (await self.owner.get(f"/receipts/{accepted.json['receiptId']}")).json

    async def deliveries(self) -> Any:
        return (await self.owner.get(f"/webhook-configs/{self.config_id}/deliveries")).json


async def let_in(owner: Caller, source: str = "GITHUB", secret: str = SECRET, flow_id: str | None = None) -> Sender:
    """A config in a flow of its own, or in the one named."""
    flow = flow_id or (await owner.make_flow())["id"]
    config = await owner.make_config(flow, source, secret)
    return Sender(owner, flow, config["id"], source)
