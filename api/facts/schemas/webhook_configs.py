"""Webhook configs, deliveries and receipts on the wire (integrations.md 13, 14.1)."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from api.http.texts import Short, Url
from api.http.wire import Instant, WireIn, WireModel
from domain.facts.reconciliations import Reconciliation
from domain.facts.webhook_configs import WebhookConfig
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
    previous_secret_until: Instant | None
    created_at: Instant

    @classmethod
    def of(cls, config: WebhookConfig, address: str) -> "WebhookConfigOut":
        """`address` is the base URL that clients use."""
        return cls(
            id=config.id,
            source=config.source,
            flow_id=config.flow_id,
            is_active=config.is_active,
            url=f"{address}/api/v1/webhooks/{config.source.lower()}/{config.id}",
            previous_secret_until=config.previous_until,
            created_at=config.created_at,
        )


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

    webhook_config_id: UUID
    hook_url: str
    next_run_at: Instant
    last_run_at: Instant | None
    last_error: str | None
    created_at: Instant

    @classmethod
    def of(cls, reconciliation: Reconciliation) -> "ReconciliationOut":
        """As stored."""
        return cls(
            webhook_config_id=reconciliation.config_id,
            hook_url=reconciliation.hook_url,
            next_run_at=reconciliation.next_run_at,
            last_run_at=reconciliation.last_run_at,
            last_error=reconciliation.last_error,
            created_at=reconciliation.created_at,
        )


class DeliveryOut(WireModel):
    """One delivery. `status` is PENDING, SUCCESS or FAILED; `duplicates` counts the copies that came as well."""

    id: UUID
    receipt_id: UUID
    webhook_config_id: UUID
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
    def of(cls, row: DeliveryRow) -> "DeliveryOut":
        """As stored; the operator's error text stays inside."""
        return cls(
            id=row.id,
            receipt_id=row.id,
            webhook_config_id=row.config_id,
            delivery_id=row.delivery_id,
            source=row.source,
            event=row.event,
            event_type=row.event_type,
            status=row.status,
            status_message=row.status_message,
            payload_hash=f"sha256:{row.body_sha256.hex()}",
            duplicates=row.duplicates,
            trail_id=row.trail_id,
            received_at=row.received_at,
            processed_at=row.processed_at,
        )


class ReceiptOut(DeliveryOut):
    """A delivery with what it recorded."""

    attestation_ids: list[UUID]


class ReceiptQuery(WireIn):
    """`wait` holds the answer back until the delivery is settled, at most so many seconds."""

    wait: Annotated[float, Field(ge=0, le=30, description="Seconds to wait for the outcome")] = 0
