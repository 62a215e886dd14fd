import re
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.retries import ErrorClass
from integrations.channels import MAX_RESPONSE, ChannelTarget, SendFailed, SendResult
from integrations.transport import answer, retry_after
from integrations.webhook.client import WebhookClient
from storage.outbound import open_outbound
from storage.settings import Settings
from tests.integrations.messages import MESSAGE, NOW
from tests.storage.receiving import LOCAL, Names, answering, receiving, self_signed, speaking

TRANSIENT, THROTTLED, PERMANENT = ErrorClass.TRANSIENT, ErrorClass.THROTTLED, ErrorClass.PERMANENT


async def failure(url: str, settings: Settings = LOCAL, names: Names | None = None) -> SendFailed:
    """How a message to this URL fails; whatever happens, no secret part of the URL is told."""
    async with open_outbound(settings, names) as outbound:
        with pytest.raises(SendFailed) as failed:
            await WebhookClient(outbound)(MESSAGE, ChannelTarget({"webhookUrl": url}), NOW)
    assert not re.search("hush|/hook", failed.value.reason)
    assert failed.value.__cause__ is None
    assert failed.value.__context__ is None or failed.value.__suppress_context__  # its text has the whole URL
    return failed.value


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_any_2xx(status: int) -> None:
    assert answer("hooks.example", status, {}, "thanks", NOW) == SendResult(status, "thanks")


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        *((status, PERMANENT) for status in (300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422)),
        *((status, TRANSIENT) for status in (408, 425, 500, 501, 503, 507, 520, 599)),
        *((status, THROTTLED) for status in (429, 502, 504)),
    ],
)
def test_the_class_of_a_status(status: int, error_class: ErrorClass) -> None:
    with pytest.raises(SendFailed) as failed:
        answer("hooks.example", status, {"Retry-After": "120"}, "no", NOW)
    assert failed.value.error_class is error_class
    assert failed.value.reason == f"hooks.example answered {status}."
    assert (failed.value.status_code, failed.value.response) == (status, "no")
    assert failed.value.gone is (status == 410)
    assert failed.value.retry_after == (None if error_class is PERMANENT else timedelta(seconds=120))
    assert not failed.value.quick


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta()),
        (" 7 ", timedelta(seconds=7)),
        ("9" * 5000, timedelta(seconds=10**9)),
        (format_datetime(NOW.replace(microsecond=0) + timedelta(minutes=3), usegmt=True), None),
        ("Wed, 04 Mar 2026 05:07:08 GMT", timedelta(seconds=60, microseconds=108989)),
        ("Wednesday, 04-Mar-26 05:07:08 GMT", timedelta(seconds=60, microseconds=108989)),
        ("Wed Mar  4 05:07:08 2026", timedelta(seconds=60, microseconds=108989)),
        ("Wed, 04 Mar 2020 05:07:08 GMT", timedelta()),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, wait: timedelta | None) -> None:
    found = retry_after(value, NOW)
    assert found is not None
    assert found == wait if wait is not None else timedelta(minutes=2) < found <= timedelta(minutes=3)


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "٣", "Wed, 99 Mar 2026 05:07:08 GMT", "1 2"])
def test_a_retry_after_without_sense_is_none(value: str | None) -> None:
    assert retry_after(value, NOW) is None


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_reading(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or found >= timedelta()


async def test_a_refused_address_is_given_up_and_named_by_its_range() -> None:
    failed = await failure("https://10.0.0.1/hook?token=hush", Settings())
    assert failed.error_class is PERMANENT
    assert failed.reason.startswith(
        "The address 10.0.0.1 may not be reached: private network. TRAILGATE_OUTBOUND_ALLOW "
    )


async def test_a_name_that_cannot_be_resolved_may_be_one_tomorrow() -> None:
    failed = await failure("https://hooks.example/hook?token=hush", names=Names([]))
    assert failed.error_class is TRANSIENT
    assert failed.reason == "The name hooks.example could not be resolved."
    assert failed.quick


async def test_a_refused_connection_is_worth_one_try_at_once() -> None:
    async with receiving() as gone:
        pass
    failed = await failure(gone.url)
    assert failed.error_class is TRANSIENT
    assert failed.reason == "Connecting to 127.0.0.1 failed."
    assert failed.quick


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    _, tls = self_signed(tmp_path)
    async with speaking(b"HTTP/1.1 200 OK\r\n\r\n", tls=tls) as url:
        failed = await failure(url)
    assert failed.error_class is TRANSIENT
    assert failed.reason == "TLS with 127.0.0.1 failed (self-signed certificate)."


async def test_a_server_that_speaks_no_tls() -> None:
    async with receiving() as receiver:
        failed = await failure(receiver.url.replace("http:", "https:"))
    assert failed.error_class is TRANSIENT
    assert failed.reason == "TLS with 127.0.0.1 failed."


async def test_a_receiver_that_does_not_answer_in_time_is_slowed_down_for() -> None:
    hasty = Settings(outbound_allow="127.0.0.0/8", outbound_timeout=0.2)
    async with speaking(stay=True) as url:
        failed = await failure(url, hasty)
    assert failed.error_class is THROTTLED
    assert failed.reason == "127.0.0.1 did not answer in time."
    assert not failed.quick


async def test_a_receiver_that_never_finishes_its_answer() -> None:
    hasty = Settings(outbound_allow="127.0.0.0/8", outbound_timeout=0.2)
    async with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", stay=True) as url:
        failed = await failure(url, hasty)
    assert failed.error_class is THROTTLED


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]
)
async def test_a_connection_that_is_cut_leaves_open_whether_it_arrived(said: bytes) -> None:
    async with speaking(said) as url:
        failed = await failure(url)
    assert failed.error_class is TRANSIENT
    assert failed.reason == "127.0.0.1 closed the connection."
    assert not failed.quick


@pytest.mark.parametrize(
    "said",
    [b"220 mail.example ESMTP\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n"],
)
async def test_an_answer_that_is_no_http(said: bytes) -> None:
    async with speaking(said) as url:
        failed = await failure(url)
    assert failed.error_class is TRANSIENT
    assert failed.reason == "127.0.0.1 did not answer in HTTP."


async def test_a_redirect_is_given_up() -> None:
    async with receiving() as elsewhere, receiving(answering(307, Location=elsewhere.url)) as receiver:
        failed = await failure(receiver.url)
    assert (failed.error_class, failed.status_code) == (PERMANENT, 307)
    assert not elsewhere.requests


async def test_of_a_long_answer_the_beginning_is_kept_and_the_end_is_not_waited_for() -> None:
    head = b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000000\r\n\r\n"
    async with speaking(head, b"\x00" + b"x" * 2 * MAX_RESPONSE, stay=True) as url:
        failed = await failure(url)
    assert failed.response == "\N{REPLACEMENT CHARACTER}" + "x" * (MAX_RESPONSE - 1)


@pytest.mark.parametrize("host", ["2130706433", "127.1", "xn--zzzzzz-.example"])
async def test_a_host_that_is_none_is_given_up(host: str) -> None:
    failed = await failure(f"https://{host}/hook?token=hush", names=Names([]))
    assert failed.error_class is PERMANENT
