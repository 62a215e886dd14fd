"""The e-mail channel: sends notifications through the installation's mail server (RFC 5321, RFC 5322)."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from time import monotonic
from urllib.parse import unquote, urlsplit

import aiosmtplib

from domain.notifications.rules import Channel
from domain.retries import ErrorClass
from integrations.channels import (
    ChannelTarget,
    Outgoing,
    SendFailed,
    SendResult,
    config_of,
    details,
    readable,
    storable,
)

_TLS = {"smtp": (False, False), "smtp+starttls": (False, True), "smtps": (True, False)}
"""By scheme of the setting `smtp_url`: (implicit TLS, STARTTLS)."""

_COMPLETED = 250
_MAX_SUBJECT = 250
_QUICK = 1.0
_FAREWELL = 2.0
"""Seconds: for `quick` (see integrations.channels.SendFailed) and for QUIT."""

_DISCONNECTED = "The mail server closed the connection."
_FAILURES: tuple[tuple[type[Exception], ErrorClass, str], ...] = (
    (aiosmtplib.SMTPNotSupported, ErrorClass.PERMANENT, "The mail server lacks an extension that the message needs."),
    (TimeoutError, ErrorClass.TRANSIENT, "The mail server did not answer in time."),
    (ssl.SSLError, ErrorClass.TRANSIENT, "TLS with the mail server failed; check its certificate."),
    (aiosmtplib.SMTPConnectError, ErrorClass.TRANSIENT, "The mail server cannot be reached."),
    (aiosmtplib.SMTPServerDisconnected, ErrorClass.TRANSIENT, _DISCONNECTED),
    (
        aiosmtplib.SMTPException,
        ErrorClass.TRANSIENT,
        "The mail server does not offer the TLS or login that TRAILGATE_SMTP_URL asks for.",
    ),
)
"""The first entry that matches an error or its cause classifies the failure."""


class EmailClient:
    """Sends messages through the mail server of the setting `smtp_url`; None = e-mail is not configured.

    `sender` is an address, or a name and an address in angle brackets; `seconds` limits a whole attempt.
    """

    def __init__(self, smtp_url: str | None, sender: str, seconds: float) -> None:
        self._url = smtp_url
        self._sender = _mailbox(sender)
        self._seconds = seconds

    async def __call__(self, message: Outgoing, target: ChannelTarget, now: datetime, /) -> SendResult:  # noqa: ARG002
        """Send one message. Raises SendFailed unless the server accepts at least one recipient.

        Refused recipients are listed in the result and not retried, because the others would receive the mail twice.
        """
        if self._url is None:
            raise SendFailed(ErrorClass.PERMANENT, "E-mail is not configured: set TRAILGATE_SMTP_URL.")
        to: Sequence[str] = config_of(Channel.EMAIL, target)["to"]
        mail = mail_of(message, self._sender, to)
        refused, reply = await self._deliver(self._url, mail, to)
        refusals = [f"\n{address} was refused: {answer.code} {answer.message}" for address, answer in refused.items()]
        return SendResult(_COMPLETED, storable(reply + "".join(refusals)))

    async def _deliver(
        self, url: str, mail: EmailMessage, to: Sequence[str]
    ) -> tuple[Mapping[str, aiosmtplib.SMTPResponse], str]:
        server = _server(url, self._sender.domain, self._seconds)
        began = monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                await server.connect()
                outcome = await server.send_message(mail, recipients=to)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _failure(error, quick=monotonic() - began < _QUICK) from error
        else:
            await _quit(server)
            return outcome
        finally:
            server.close()


def mail_of(message: Outgoing, sender: Address, to: Sequence[str]) -> EmailMessage:
    """Write the mail as plain text. Its Message-ID is the same in every attempt, so that duplicates can be dropped."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = _line(message.title)[:_MAX_SUBJECT]
    mail["From"] = sender
    mail["To"] = [_mailbox(address) for address in to]
    mail["Date"] = message.created_at.astimezone(UTC)
    mail["Message-ID"] = f"<{message.id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: prevents automatic replies
    lines = [message.message]
    if not message.is_letter:
        about = [("Type", readable(message.event)), ("Severity", readable(message.severity)), *details(message)]
        lines += ["", *(f"{label}: {_line(value)}" for label, value in about)]
    mail.set_content(storable("\n".join(lines)), cte="quoted-printable")
    return mail


async def _quit(server: aiosmtplib.SMTP) -> None:
    """Send QUIT and ignore a failure: the mail has been accepted and must not be sent again."""
    with suppress(aiosmtplib.SMTPException, OSError):
        await server.quit(timeout=_FAREWELL)


def _server(url: str, local_hostname: str, seconds: float) -> aiosmtplib.SMTP:
    parts = urlsplit(url)
    use_tls, start_tls = _TLS[parts.scheme]
    return aiosmtplib.SMTP(
        hostname=parts.hostname,
        port=parts.port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=use_tls,
        start_tls=start_tls,
        local_hostname=local_hostname,
        timeout=seconds,
    )


def _failure(error: Exception, *, quick: bool) -> SendFailed:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return _all_refused(error.recipients)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refused(error)
    causes = (error, error.__cause__)
    for kind, error_class, reason in _FAILURES:
        if any(isinstance(cause, kind) for cause in causes):
            return SendFailed(error_class, reason, quick=quick and isinstance(error, aiosmtplib.SMTPConnectError))
    return SendFailed(ErrorClass.TRANSIENT, _DISCONNECTED)


def _all_refused(refused: Sequence[aiosmtplib.SMTPRecipientRefused]) -> SendFailed:
    permanent = all(_class_of(one.code) is ErrorClass.PERMANENT for one in refused)
    return SendFailed(
        ErrorClass.PERMANENT if permanent else ErrorClass.TRANSIENT,
        f"The mail server refused every recipient: {', '.join(one.recipient for one in refused)}.",
        status_code=refused[0].code,
        response=storable("\n".join(f"{one.recipient}: {one.code} {one.message}" for one in refused)),
    )


def _refused(error: aiosmtplib.SMTPResponseException) -> SendFailed:
    """Classify a refusal: of the message by its code; of the session as transient, since the operator can fix it."""
    of_the_message = isinstance(error, aiosmtplib.SMTPSenderRefused | aiosmtplib.SMTPDataError)
    return SendFailed(
        _class_of(error.code) if of_the_message else ErrorClass.TRANSIENT,
        f"The mail server refused {'the message' if of_the_message else 'the session'}: {error.code}.",
        status_code=error.code,
        response=storable(error.message),
    )


def _class_of(code: int) -> ErrorClass:
    """Classify a reply by its first digit (RFC 5321, section 4.2.1)."""
    return ErrorClass.PERMANENT if code // 100 == 5 else ErrorClass.TRANSIENT  # noqa: PLR2004


def _mailbox(text: str) -> Address:
    name, _, address = text.rpartition("<")
    return Address(display_name=name.strip(), addr_spec=address.removesuffix(">"))


def _line(text: str) -> str:
    return " ".join(storable(text).split())
