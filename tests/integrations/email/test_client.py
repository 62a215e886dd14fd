import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from hypothesis import given
from hypothesis import strategies as st

from domain.retries import ErrorClass
from integrations.channels import ChannelTarget, Outgoing, SendFailed, SendResult
from integrations.email.client import EmailClient, mail_of
from tests.integrations.messages import ATTESTATION, MESSAGE, NOW, TRAIL, message
from tests.storage.receiving import self_signed

SENDER = "Trailgate, the gate <trailgate@ci.example>"
ADA, BEN = "ada@example.org", "ben@example.net"


@dataclass
class Mailbox:
    """A mail server's mind: what it took, and what it answers to a recipient, to a mail and to the end."""

    port: int = 0
    recipients: dict[str, str] = field(default_factory=dict)
    data: str = "250 2.0.0 queued as 4711"
    sender: str = "250 OK"
    quit: str = "221 Bye"
    wait: float = 0.0
    taken: list[Envelope] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.sender

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        reply = self.recipients.get(address, "250 OK")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.wait)
        if self.data.startswith("250"):
            self.taken.append(envelope)
            self.encrypted.append(session.ssl is not None)
        return self.data

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if not self.quit:
            await asyncio.sleep(30)
        return self.quit

    def log_in(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"p@ss", handled=False)

    def mail(self) -> EmailMessage:
        [envelope] = self.taken
        assert isinstance(envelope.content, bytes)
        return parsed(envelope.content)


def content_of(envelope: Envelope) -> bytes:
    assert isinstance(envelope.content, bytes)
    return envelope.content


def parsed(raw: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=policy.default).parsebytes(raw)


@asynccontextmanager
async def serving(mailbox: Mailbox, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Mailbox]:
    """The mailbox behind aiosmtpd; `tls` from the first byte, unless the options ask for STARTTLS."""

    def protocol() -> SMTP:
        return SMTP(mailbox, hostname="mail.example", loop=asyncio.get_running_loop(), **options)

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    async with server:
        mailbox.port = server.sockets[0].getsockname()[1]
        yield mailbox


async def send(
    mailbox: Mailbox, *to: str, told: Outgoing = MESSAGE, scheme: str = "smtp", login: str = "", seconds: float = 5
) -> SendResult:
    client = EmailClient(f"{scheme}://{login}127.0.0.1:{mailbox.port}", SENDER, seconds)
    return await client(told, ChannelTarget({"to": list(to) or [ADA]}), NOW)


async def failure(mailbox: Mailbox, *to: str, **options: Any) -> SendFailed:
    with pytest.raises(SendFailed) as failed:
        await send(mailbox, *to, **options)
    assert "p@ss" not in failed.value.reason
    return failed.value


async def test_a_mail_arrives() -> None:
    async with serving(Mailbox()) as mailbox:
        receipt = await send(mailbox, ADA, BEN)
    assert receipt == SendResult(250, "2.0.0 queued as 4711")
    [envelope] = mailbox.taken
    assert envelope.mail_from == "trailgate@ci.example"
    assert envelope.rcpt_tos == [ADA, BEN]
    mail = mailbox.mail()
    assert mail["Subject"] == "Attestation unit-tests failed"
    assert mail["From"] == '"Trailgate, the gate" <trailgate@ci.example>'
    assert mail["To"] == f"{ADA}, {BEN}"
    assert mail["Message-ID"] == f"<{MESSAGE.id}@ci.example>"
    assert mail["Date"].datetime == MESSAGE.created_at
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == [
        "3 of 120 tests failed.",
        "",
        "Type: Attestation failed",
        "Severity: Warning",
        f"Attestation: {ATTESTATION}",
        f"Trail id: {TRAIL}",
        "Attestation: unit-tests",
    ]


async def test_the_id_is_the_same_in_every_attempt() -> None:
    async with serving(Mailbox()) as mailbox:
        await send(mailbox)
        await send(mailbox)
    first, second = (parsed(content_of(envelope)) for envelope in mailbox.taken)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


@pytest.mark.parametrize(
    "title", ["Hi\r\nBcc: eve@evil.example", "Hi\nBcc: eve@evil.example\n\nbody", "Hi\x0b\x85\u2028Bcc: x@y"]
)
async def test_no_title_makes_a_header(title: str) -> None:
    async with serving(Mailbox()) as mailbox:
        await send(mailbox, told=message(title=title, data={"flow": title}))
    assert mailbox.mail()["Bcc"] is None
    assert "Bcc" in mailbox.mail()["Subject"]
    assert mailbox.taken[0].rcpt_tos == [ADA]


async def test_any_text_arrives_as_it_was() -> None:
    text = "Grüße \N{ROCKET}\n.\n..\nFrom here\n" + "x" * 2000 + "\n\ttabbed  "
    title = "Prüfung " * 60
    async with serving(Mailbox()) as mailbox:
        await send(mailbox, told=message(title=title, message=text))
    assert mailbox.mail().get_content().replace("\r\n", "\n").startswith(text)
    assert mailbox.mail()["Subject"] == " ".join(title.split())[:250]
    raw = mailbox.taken[0].content
    assert isinstance(raw, bytes)
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998  # RFC 5322, section 2.1.1


@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=3),
)
def test_every_message_makes_a_mail(title: str, text: str, data: dict[str, str]) -> None:
    sender = Address("Trailgate, the gate", "trailgate", "ci.example")
    raw = mail_of(message(title=title, message=text, data=data), sender, [ADA]).as_bytes()
    read = parsed(raw)
    assert sorted(read.keys()) == sorted(
        [
            *("Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted"),
            *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
        ]
    )


async def test_a_long_domain_leaves_the_id_readable() -> None:
    domain = ".".join(["a-rather-long-label"] * 6)
    async with serving(Mailbox()) as mailbox:
        client = EmailClient(f"smtp://127.0.0.1:{mailbox.port}", f"t@{domain}", 5)
        await client(MESSAGE, ChannelTarget({"to": f"{ADA}, {BEN}"}), NOW)
    raw = mailbox.taken[0].content
    assert isinstance(raw, bytes)
    assert f"<{MESSAGE.id}@{domain}>".encode() in raw
    assert mailbox.taken[0].rcpt_tos == [ADA, BEN]


async def test_without_a_mail_server_there_is_no_mail() -> None:
    with pytest.raises(SendFailed) as failed:
        await EmailClient(None, SENDER, 5)(MESSAGE, ChannelTarget({"to": ADA}), NOW)
    assert failed.value.error_class is ErrorClass.PERMANENT
    assert failed.value.reason == "E-mail is not configured: set TRAILGATE_SMTP_URL."


async def test_some_recipients_refused_is_said_and_not_sent_again() -> None:
    async with serving(Mailbox(recipients={BEN: "550 5.1.1 no such user"})) as mailbox:
        receipt = await send(mailbox, ADA, BEN)
    assert receipt.response == f"2.0.0 queued as 4711\n{BEN} was refused: 550 5.1.1 no such user"
    assert mailbox.taken[0].rcpt_tos == [ADA]


@pytest.mark.parametrize(
    ("ben", "error_class"),
    [("550 5.1.1 no such user", ErrorClass.PERMANENT), ("450 4.2.0 greylisted", ErrorClass.TRANSIENT)],
)
async def test_all_recipients_refused_is_as_final_as_the_mildest_refusal(ben: str, error_class: ErrorClass) -> None:
    async with serving(Mailbox(recipients={ADA: "553 5.1.3 bad", BEN: ben})) as mailbox:
        failed = await failure(mailbox, ADA, BEN)
    assert failed.error_class is error_class
    assert failed.reason == f"The mail server refused every recipient: {ADA}, {BEN}."
    assert f"{BEN}: {ben}" in failed.response
    assert failed.status_code == 553


@pytest.mark.parametrize(
    ("reply", "error_class"),
    [
        ("451 4.3.0 try later", ErrorClass.TRANSIENT),
        ("452 4.2.2 mailbox full", ErrorClass.TRANSIENT),
        ("554 5.7.1 spam", ErrorClass.PERMANENT),
        ("552 5.3.4 too big", ErrorClass.PERMANENT),
    ],
)
@pytest.mark.parametrize("step", ["sender", "data"])
async def test_a_refused_mail_is_as_final_as_its_code(step: str, reply: str, error_class: ErrorClass) -> None:
    async with serving(replace(Mailbox(), **cast("dict[str, Any]", {step: reply}))) as mailbox:
        failed = await failure(mailbox)
    assert failed.error_class is error_class
    assert (failed.status_code, failed.response) == (int(reply[:3]), reply[4:])
    assert failed.reason == f"The mail server refused the message: {reply[:3]}."


async def test_a_server_that_is_not_there() -> None:
    async with serving(Mailbox()) as mailbox:
        pass
    failed = await failure(mailbox)
    assert failed.error_class is ErrorClass.TRANSIENT
    assert failed.reason == "The mail server cannot be reached."
    assert failed.quick


async def test_a_server_that_takes_too_long() -> None:
    async with serving(Mailbox(wait=5)) as mailbox:
        failed = await failure(mailbox, seconds=0.2)
    assert failed.error_class is ErrorClass.TRANSIENT
    assert failed.reason == "The mail server did not answer in time."
    assert not failed.quick


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"554 go away\r\n", "The mail server refused the session: 554."),
        (b"", "The mail server cannot be reached."),
        (b"220 hello\r\n", "The mail server closed the connection."),
    ],
)
async def test_a_server_that_will_not_talk(greeting: bytes, reason: str) -> None:
    def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        failed = await failure(Mailbox(port=server.sockets[0].getsockname()[1]))
    assert (failed.error_class, failed.reason) == (ErrorClass.TRANSIENT, reason)


@pytest.mark.parametrize("farewell", ["421 overloaded", "500 what?", ""])
async def test_a_farewell_that_fails_does_not_send_the_mail_again(
    farewell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.email.client._FAREWELL", 0.1)
    async with serving(Mailbox(quit=farewell)) as mailbox:
        assert (await send(mailbox)).status_code == 250


async def test_starttls_and_the_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, tls = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mailbox = Mailbox()
    options: dict[str, Any] = {"tls_context": tls, "auth_required": True, "authenticator": mailbox.log_in}
    async with serving(mailbox, **options):
        await send(mailbox, scheme="smtp+starttls", login="mailer%40ci:p%40ss@")
    assert mailbox.logins == [(b"mailer@ci", b"p@ss")]
    assert mailbox.encrypted == [True]


async def test_a_refused_login_is_ours_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, tls = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mailbox = Mailbox()
    async with serving(mailbox, tls_context=tls, auth_required=True, authenticator=mailbox.log_in):
        failed = await failure(mailbox, scheme="smtp+starttls", login="mailer:wrong@")
    assert failed.error_class is ErrorClass.TRANSIENT
    assert failed.reason == "The mail server refused the session: 535."
    assert not mailbox.taken


async def test_tls_from_the_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, tls = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with serving(Mailbox(), tls) as mailbox:
        await send(mailbox, scheme="smtps")
    assert len(mailbox.taken) == 1


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
async def test_a_certificate_that_nobody_vouches_for(scheme: str, tmp_path: Path) -> None:
    _, tls = self_signed(tmp_path)
    at_once, by_command = (tls, {}) if scheme == "smtps" else (None, {"tls_context": tls})
    async with serving(Mailbox(), at_once, **by_command) as mailbox:
        failed = await failure(mailbox, scheme=scheme)
    assert failed.error_class is ErrorClass.TRANSIENT
    assert failed.reason == "TLS with the mail server failed; check its certificate."
    assert not mailbox.taken


async def test_nothing_is_sent_in_clear_where_starttls_is_required() -> None:
    async with serving(Mailbox()) as mailbox:
        failed = await failure(mailbox, scheme="smtp+starttls")
    assert failed.error_class is ErrorClass.TRANSIENT
    assert failed.reason == "The mail server does not offer the TLS or login that TRAILGATE_SMTP_URL asks for."
    assert not mailbox.taken


async def test_a_rule_without_recipients_is_given_up_before_any_connection() -> None:
    client = EmailClient("smtp://127.0.0.1:9", SENDER, 5)
    with pytest.raises(SendFailed) as failed:
        await client(MESSAGE, ChannelTarget({"to": ""}), NOW)
    assert failed.value.error_class is ErrorClass.PERMANENT
