"""Sending one message through its channel: its text, its outcome and the time of its next attempt."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from uuid import UUID

import structlog
from pydantic import SecretStr

from domain.identity.invitations import INVITATION_EVENT
from domain.notifications.deliveries import MessageStatus
from domain.notifications.inapp import MAX_TITLE
from domain.notifications.rules import Channel
from domain.notifications.triggers import Severity
from domain.retries import DELIVERY, ErrorClass, next_delay
from integrations.channels import ChannelTarget, Outgoing, Send, SendFailed, SendResult
from integrations.email.client import EmailClient
from integrations.slack.client import SlackClient
from integrations.webhook.client import WebhookClient
from storage.database import TRANSIENT
from storage.notifications.commands.inapp import NewNotification
from storage.notifications.queries.rules import RuleTarget
from storage.outbox.claims import ClaimedMessage
from storage.outbox.settlement import Attempt, MessageOutcome
from storage.services import Services
from workers.metrics import RELAY_SECONDS
from workers.notifications.invitation_mails import invitation_mail
from workers.notifications.prepared import Prepared, Unsendable
from workers.notifications.templates import TemplateFailed, Templates

RETRIED = frozenset({ErrorClass.TRANSIENT, ErrorClass.THROTTLED})

MAX_CLAIMS = len(DELIVERY.steps) + 5
"""More claims than the schedule has attempts: workers claimed the message and died before they settled it."""
NEVER_SETTLED = f"Sending began {MAX_CLAIMS} times and never finished; an operator can replay it."
UNREAD = "The database could not be read."
UNREADABLE = "The rule's secrets cannot be decrypted; enter its channel configuration again, then replay this delivery."

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The outcome of a message, and the in-app notification that the settling transaction has to write for it."""

    message: ClaimedMessage
    outcome: MessageOutcome
    notification: NewNotification | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    """The failure of the last attempt."""

    error: SendFailed
    ended: datetime


class Notifier:
    """Sends claimed messages through every channel; a new channel is a line in `_channels`."""

    def __init__(self, services: Services, templates: Templates) -> None:
        self._services = services
        self._templates = templates
        settings = services.settings
        self._channels: Mapping[str, Send] = {
            Channel.WEBHOOK: WebhookClient(services.outbound),
            Channel.SLACK: SlackClient(services.outbound),
            Channel.EMAIL: EmailClient(_text(settings.smtp_url), settings.smtp_from, settings.outbound_timeout),
            Channel.IN_APP: _in_app,
        }

    async def deliver(self, claim_id: UUID, message: ClaimedMessage, rule: RuleTarget | None) -> DeliveryResult:
        """Send a message; if the first attempt fails quickly to connect, try once more immediately.

        Raises nothing: an unexpected error makes the message a dead letter with the reason.
        """
        try:
            prepared = await self._prepared(message, rule)
        except Unsendable as unsendable:
            outcome = _outcome(claim_id, message, unsendable.status, error=unsendable.reason)
            return DeliveryResult(message, outcome)
        except TRANSIENT:
            failure = _Failure(SendFailed(ErrorClass.TRANSIENT, UNREAD), self._services.clock.now())
            return DeliveryResult(message, _failed(claim_id, message, [], failure))
        attempts, failed = await self._attempts(prepared, message)
        if failed is not None:
            return DeliveryResult(message, _failed(claim_id, message, attempts, failed))
        sent = _outcome(claim_id, message, MessageStatus.SENT, attempts)
        in_app = prepared.channel == Channel.IN_APP
        return DeliveryResult(message, sent, _notification(prepared.outgoing, message) if in_app else None)

    async def _prepared(self, message: ClaimedMessage, rule: RuleTarget | None) -> Prepared:
        """Return the message as it is to be sent. Raises Unsendable."""
        if message.attempts > MAX_CLAIMS:
            raise Unsendable(MessageStatus.FAILED, NEVER_SETTLED)
        if message.event == INVITATION_EVENT:
            return await invitation_mail(self._services, message)
        if rule is None:
            raise Unsendable(MessageStatus.FAILED, UNREADABLE)
        if rule.archived:
            raise Unsendable(MessageStatus.SKIPPED, "The rule was deleted.")
        outgoing = await self._filled_in(message, rule)
        return Prepared(outgoing, ChannelTarget(rule.config, rule.signing_secrets), rule.channel)

    async def _attempts(self, prepared: Prepared, message: ClaimedMessage) -> tuple[list[Attempt], _Failure | None]:
        attempts: list[Attempt] = []
        while True:
            attempt, error = await self._attempt(prepared)
            attempts.append(attempt)
            if error is None:
                return attempts, None
            again = error.quick and message.attempts == 1 and len(attempts) == 1
            if not again:
                return attempts, _Failure(error, self._services.clock.now())

    async def _attempt(self, prepared: Prepared) -> tuple[Attempt, SendFailed | None]:
        started_at, started = self._services.clock.now(), monotonic()
        receipt, error = SendResult(), None
        try:
            receipt = await self._channels[prepared.channel](prepared.outgoing, prepared.target, started_at)
        except SendFailed as failed:
            failed.reason, failed.response = prepared.shown(failed.reason), prepared.shown(failed.response)
            error = failed
        except Exception as broken:
            log.exception("relay.broken", message=str(prepared.outgoing.id))
            error = SendFailed(ErrorClass.POISON, f"It could not be sent ({type(broken).__name__}).")
        seconds = monotonic() - started
        RELAY_SECONDS.labels(prepared.channel).observe(seconds)
        duration = round(seconds * 1000)
        if error is None:
            return Attempt(started_at, duration, None, receipt.status_code, None, receipt.response or None), None
        response = error.response or None
        return Attempt(started_at, duration, error.error_class, error.status_code, error.reason, response), error

    async def _filled_in(self, message: ClaimedMessage, rule: RuleTarget) -> Outgoing:
        """Return the message with the rule's templates applied; if they fail, the default text with the reason."""
        payload = message.payload
        outgoing = Outgoing(
            id=message.id,
            event=message.event,
            title=payload["title"],
            message=payload["message"],
            severity=payload["severity"],
            created_at=message.created_at,
            payload=payload,
        )
        sources = {"title": rule.title_template, "message": rule.message_template}
        wanted = {name: source for name, source in sources.items() if source is not None}
        if not wanted:
            return outgoing
        try:
            texts = await self._templates.render(wanted, {**payload, "occurredAt": message.created_at.isoformat()})
        except TemplateFailed as error:
            return replace(outgoing, message=f"{outgoing.message}\n(This rule's template failed: {error})")
        title, text = texts.get("title", outgoing.title), texts.get("message", outgoing.message)
        return replace(outgoing, title=" ".join(title.split())[:MAX_TITLE], message=text)


async def _in_app(_message: Outgoing, _target: ChannelTarget, _now: datetime, /) -> SendResult:
    """Send nothing: the settling transaction writes the notification, so that it exists exactly once."""
    return SendResult()


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _outcome(
    claim_id: UUID,
    message: ClaimedMessage,
    status: MessageStatus,
    attempts: list[Attempt] | None = None,
    *,
    error: str | None = None,
    due_at: datetime | None = None,
    gone: bool = False,
) -> MessageOutcome:
    return MessageOutcome(
        message_id=message.id,
        org_id=message.org_id,
        destination_id=message.destination_id,
        subject=message.subject,
        claim_id=claim_id,
        status=status,
        attempts=attempts or (),
        due_at=due_at,
        error=error,
        gone=gone,
    )


def _failed(claim_id: UUID, message: ClaimedMessage, attempts: list[Attempt], failure: _Failure) -> MessageOutcome:
    """Retry after the schedule's wait, or dead-letter. A failed probe keeps its due time, if a retry may help."""
    error = failure.error
    wait = _wait(message, error)
    due_at = failure.ended + wait if wait is not None else None
    if message.scheduled_at and error.error_class in RETRIED:
        due_at = max(message.scheduled_at, failure.ended)
    status = MessageStatus.FAILED if due_at is None else MessageStatus.PENDING
    return _outcome(claim_id, message, status, attempts, error=error.reason, due_at=due_at, gone=error.gone)


def _wait(message: ClaimedMessage, error: SendFailed) -> timedelta | None:
    draw = random.random()  # noqa: S311 - jitter, not a secret
    return next_delay(DELIVERY, max(1, message.attempts), error.error_class, error.retry_after, draw)


def _notification(outgoing: Outgoing, message: ClaimedMessage) -> NewNotification:
    entity = outgoing.payload.get("entityId")
    return NewNotification(
        title=outgoing.title,
        message=outgoing.message,
        severity=Severity(outgoing.severity),
        entity_type=outgoing.payload.get("entityType"),
        entity_id=UUID(entity) if entity else None,
        message_id=message.id,
    )
