"""Request and response models of webhook configs, deliveries and receipts."""

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
"""Visible ASCII characters, as the token is sent in an HTTP header."""
Secret = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^\s*\S[\s\S]*$")]


class WebhookConfigIn(WireIn):
    """A new webhook config for one sender. The secret is shared with the sender and never returned."""

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
        """Return the input of the command. Raises Invalid for an unknown source."""
        source = self.source.upper()
        if source not in SENDERS:
            raise Invalid.of("source", f"must be one of {', '.join(SENDERS)}")
        return NewWebhookConfig(source, self.flow_id, self.secret)


class RotationIn(WireIn):
    """A new secret. The previous secret stays valid for a grace period, so that the sender can switch meanwhile."""

    model_config = {"json_schema_extra": {"examples": [{"secret": "another long random text", "graceHours": 24}]}}

    secret: Secret
    grace_hours: Annotated[
        int, Field(strict=True, ge=0, le=MAX_GRACE_HOURS, description="Hours for which the previous secret stays valid")
    ] = 24


class WebhookConfigOut(WireModel):
    """A webhook config. `url` is the address to enter at the sender."""

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
        """Return the config with its public URL."""
        base = call.services.settings.address
        return cls.filled(config, url=f"{base}/api/v1/webhooks/{config.source.lower()}/{config.id}")


class ReconciliationIn(WireIn):
    """The API address of the hook at the sender, and the token to query it.

    Both must be given together, so that a token is never sent to an address it was not meant for.
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
        Url, Field(description="The URL of the hook in the sender's API, ending in /hooks/ and the number of the hook")
    ]
    token: Token


class ReconciliationOut(WireModel):
    """The reconciliation of a webhook config, without its token.

    `lastRunAt` is the time of the last completed comparison; `lastError` is the error of the last attempt.
    """

    webhook_config_id: UUID = shows("config_id")
    hook_url: str
    next_run_at: Instant
    last_run_at: Instant | None
    last_error: str | None
    created_at: Instant


class DeliveryOut(WireModel):
    """A delivery. `status` is PENDING, SUCCESS or FAILED; `duplicates` counts its repeated deliveries."""

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
        """Return the delivery, without the error text for operators."""
        return cls.filled(delivery, payload_hash=_payload_hash(delivery))


class ReceiptOut(DeliveryOut):
    """A delivery with the attestations it recorded."""

    attestation_ids: list[UUID]

    @classmethod
    def settled(cls, delivery: DeliveryRow, recorded: Sequence[UUID]) -> Self:
        """Return the delivery with the ids of its attestations."""
        return cls.filled(delivery, payload_hash=_payload_hash(delivery), attestation_ids=list(recorded))


def _payload_hash(delivery: DeliveryRow) -> str:
    return f"sha256:{delivery.body_sha256.hex()}"


class ReceiptQuery(WireIn):
    """`wait` delays the response until the delivery is processed, up to so many seconds."""

    wait: Annotated[float, Field(ge=0, le=30, description="Seconds to wait for the outcome")] = 0
