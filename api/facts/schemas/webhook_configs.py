"""Webhook configs, deliveries and receipts on the wire (integrations.md 13, 14.1)."""

from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from api.http.calls import Call
from api.http.texts import Short, Url
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.errors import Invalid
from domain.facts.webhook_configs import NewWebhookConfig, WebhookConfig
from integrations import SENDERS
from storage.inbox.queries import DeliveryRow

MAX_GRACE_HOURS = 24 * 7

Token = Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[!-~]+$")]
"""What goes into an HTTP header: visible ASCII."""
Secret = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^\s*\S[\s\S]*$")]


class WebhookConfigIn(WireIn):
    """A sender to be let in. The secret is what both sides know; it is never shown again."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"source": "GITHUB", "secret": "a long random text", "flowId": "0190a8c0-0000-7000-8000-000000000001"}
            ]
        }
    }

    source: Annotated[Short, Field(description=f"One of {', '.join(SENDERS)}, in any case")]
    secret: Secret
    flow_id: UUID

    def to_command(self) -> NewWebhookConfig:
        """What the command takes. Raises Invalid for a source that is not known."""
        source = self.source.upper()
        if source not in SENDERS:
            raise Invalid.of("source", f"must be one of {', '.join(SENDERS)}")
        return NewWebhookConfig(source, self.flow_id, self.secret)


class RotationIn(WireIn):
    """A new secret; the one before stays valid for a while, so that the sender can be changed without a gap."""

    secret: Secret
    grace_hours: Annotated[
        int, Field(strict=True, ge=0, le=MAX_GRACE_HOURS, description="How long the old secret stays valid")
    ] = 24


class WebhookConfigOut(WireModel):
    """A config. `url` is what to enter at the sender."""

    id: UUID
    source: str
    flow_id: UUID
    is_active: bool
    url: str
    previous_secret_until: Instant | None = shows("previous_until")
    version: int
    created_at: Instant

    @classmethod
    def of(cls, config: WebhookConfig, call: Call) -> Self:
        """With the address at which clients reach the receiver."""
        base = call.services.settings.address
        return cls.filled(config, url=f"{base}/api/v1/webhooks/{config.source.lower()}/{config.id}")


class ReconciliationIn(WireIn):
    """Where the sender tells what it delivered, and the token for asking it.

    Both are given together always: a token never goes to an address that it was not meant for.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "hookUrl": "https://api.github.com/repos/example/app/hooks/42",
                    "token": "a-token-that-may-write-webhooks",
                }
            ]
        }
    }

    hook_url: Annotated[
        Url, Field(description="The hook's address in the sender's API, ending in /hooks/ and its number")
    ]
    token: Token


class ReconciliationOut(WireModel):
    """When a sender's list of deliveries was compared with ours, and is next; never the token.

    `lastRunAt` is when a comparison last came to its end, `lastError` what was wrong with the last one.
    """

    webhook_config_id: UUID = shows("config_id")
    hook_url: str
    next_run_at: Instant
    last_run_at: Instant | None
    last_error: str | None
    created_at: Instant


class DeliveryOut(WireModel):
    """One delivery. `status` is PENDING, SUCCESS or FAILED; `duplicates` counts the copies that came as well."""

    id: UUID
    receipt_id: UUID = shows("id")
    webhook_config_id: UUID = shows("config_id")
    delivery_id: str
    source: str
    event: str | None
    event_type: str | None
    status: str
    status_message: str | None
    payload_hash: str
    duplicates: int
    trail_id: UUID | None
    received_at: Instant
    processed_at: Instant | None

    @classmethod
    def of(cls, delivery: DeliveryRow, _call: Call) -> Self:
        """As kept; the operator's error text stays inside."""
        return cls.filled(delivery, payload_hash=_payload_hash(delivery))


class ReceiptOut(DeliveryOut):
    """A delivery with what it recorded."""

    attestation_ids: list[UUID]

    @classmethod
    def settled(cls, delivery: DeliveryRow, recorded: Sequence[UUID]) -> Self:
        """With the ids of the attestations that came of it."""
        return cls.filled(delivery, payload_hash=_payload_hash(delivery), attestation_ids=list(recorded))


def _payload_hash(delivery: DeliveryRow) -> str:
    return f"sha256:{delivery.body_sha256.hex()}"


class ReceiptQuery(WireIn):
    """`wait` holds the answer back until the delivery is settled, at most so many seconds."""

    wait: Annotated[float, Field(ge=0, le=30, description="Seconds to wait for the outcome")] = 0
