"""Delivery ids, and how bodies become models."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from integrations.contract import BadDelivery
from integrations.deliveries import (
    Address,
    Commit,
    DeliveryId,
    Maybe,
    Meaning,
    Payload,
    Shown,
    Text,
    Url,
    VendorTime,
    attested,
    delivery_id,
    identity_of,
    meaning_of,
    read,
    repository_path,
    utc_time,
)

NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
NAMES = ("x-first-id", "x-second-id")


class Inner(Payload):
    sha: Commit | None = None
    count: int = 0


class Outer(Payload):
    inner: Inner = Field(default_factory=Inner)
    text: Text = ""
    url: Url = ""
    at: VendorTime = None
    many: list[Inner] = Field(default_factory=list)


def test_the_first_header_that_is_set_names_the_delivery() -> None:
    assert delivery_id({"x-second-id": "b", "x-first-id": "a"}, NAMES, b"", NOW) == "a"
    assert delivery_id({"x-second-id": "b", "x-first-id": ""}, NAMES, b"", NOW) == "b"


@pytest.mark.parametrize("good", ["~", " ", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "x" * 255])
def test_printable_ids_are_taken_as_they_are(good: str) -> None:
    assert delivery_id({"x-first-id": good}, NAMES, b"", NOW) == good


@pytest.mark.parametrize("bad", ["x" * 256, "é", "a\nb", "a\x00", "\x7f"])
def test_other_ids_are_refused_by_name(bad: str) -> None:
    with pytest.raises(BadDelivery, match="x-first-id") as refused:
        delivery_id({"x-first-id": bad}, NAMES, b"", NOW)
    assert refused.value.field == "x-first-id"


def test_without_an_id_body_and_window_are_the_id() -> None:
    start = NOW.timestamp() // 300
    assert delivery_id({}, NAMES, b"body", NOW) == f"sha256:{sha256(b'body').hexdigest()}:{start:.0f}"


@given(st.binary(max_size=20), st.binary(max_size=20), st.integers(0, 299), st.integers(0, 10**6))
def test_the_fallback_tells_bodies_and_windows_apart(one: bytes, other: bytes, within: int, later: int) -> None:
    first = delivery_id({}, NAMES, one, NOW)
    assert delivery_id({}, NAMES, one, NOW + timedelta(seconds=within)) == first
    assert (delivery_id({}, NAMES, other, NOW) == first) == (one == other)
    assert delivery_id({}, NAMES, one, NOW + timedelta(seconds=300 + later)) != first


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"inner": {"sha": 5}}', "inner.sha"),
        (b'{"inner": {"sha": "main"}}', "inner.sha"),
        (b'{"inner": {"sha": "abcdef"}}', "inner.sha"),
        (b'{"inner": {"sha": "abcdef1\\n"}}', "inner.sha"),
        (b'{"inner": {"count": "5"}}', "inner.count"),
        (b'{"inner": {"count": true}}', "inner.count"),
        (b'{"inner": []}', "inner"),
        (b'{"inner": null}', "inner"),
        (b'{"many": [{}, {"count": {}}]}', "many.1.count"),
        (b'{"text": "a\\u0000"}', "text"),
        (b'{"text": "%s"}' % (b"x" * 256), "text"),
        (b'{"url": "javascript:alert(1)"}', "url"),
        (b'{"url": "https://a b"}', "url"),
        (b"[]", ""),
        (b"", ""),
        (b"{", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b"9" * 100_000, ""),
    ],
)
def test_what_is_wrong_is_named_by_its_path(body: bytes, field: str) -> None:
    with pytest.raises(BadDelivery) as refused:
        read(Outer, body)
    assert refused.value.field == field
    assert refused.value.message.startswith(f"{field}: " if field else "")


def test_the_message_does_not_repeat_the_input() -> None:
    with pytest.raises(BadDelivery) as refused:
        read(Outer, b'{"inner": {"sha": "hunter2-is-my-password"}}')
    assert "hunter2" not in refused.value.message


def test_a_byte_order_mark_and_half_a_character_are_read() -> None:
    assert read(Outer, b'\xef\xbb\xbf{"text": "a\\ud83d"}').text == "a\ufffd"


def test_commits_are_lower_case_and_unknown_fields_ignored() -> None:
    assert read(Outer, b'{"inner": {"sha": "ABCDEF7"}, "more": NaN}').inner.sha == "abcdef7"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-03T10:04:17Z", datetime(2026, 3, 3, 10, 4, 17, tzinfo=UTC)),
        ("2026-03-03T11:04:17.25+01:00", datetime(2026, 3, 3, 10, 4, 17, 250000, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_utc(text: str, time: datetime) -> None:
    read_time = utc_time(text)
    assert (read_time, read_time.tzinfo) == (time, UTC)


@pytest.mark.parametrize("text", ["2026-03-03T10:04:17", "yesterday", "", "0001-01-01T00:00:00+10:00", "1772532257"])
def test_unreadable_times_are_refused_where_asked_for_and_absent_in_vendors_payloads(text: str) -> None:
    with pytest.raises(ValueError):
        utc_time(text)
    assert read(Outer, b'{"at": "%s"}' % text.encode()).at is None


@pytest.mark.parametrize("value", [b"1772532257", b"null", b"{}", b"true"])
def test_times_that_are_no_text_are_absent(value: bytes) -> None:
    assert read(Outer, b'{"at": %s}' % value).at is None


class Optional(Payload):
    """Parts that no event needs."""

    text: Maybe[Shown] = None
    inner: Maybe[Inner] = None
    many: Maybe[tuple[Inner, ...]] = None


@pytest.mark.parametrize("odd", [b"7", b"true", b'[{"sha": 5}]', b'{"sha": "main"}', b"null", b'[{"sha": "main"}]'])
def test_an_odd_part_that_is_not_needed_is_absent(odd: bytes) -> None:
    body = b'{"text": %s, "inner": %s, "many": %s}'
    assert read(Optional, body % (b"7", odd, odd)) in (Optional(), Optional(inner=Inner()))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("nul \\u0000", "nul \N{REPLACEMENT CHARACTER}"),
        ("", ""),
    ],
)
def test_a_text_to_be_shown_is_made_fit(text: str, kept: str) -> None:
    assert read(Optional, f'{{"text": "{text}"}}'.encode()).text == kept


def test_an_overlong_name_is_shortened_where_it_is_shown() -> None:
    [hint] = attested("BUILD", "PASSED", "n" * 300, "fine")
    assert hint.name == "n" * 254 + "…"


def test_a_state_that_nobody_knows_passes_nothing() -> None:
    known = {"good": Meaning("succeeded", "PASSED")}
    assert meaning_of("good", known).unknown is None
    unknown = meaning_of("splendid", known)
    assert (unknown.ending, unknown.status, unknown.unknown) == ("unknown", "PENDING", "splendid")


def test_an_identity_is_readable() -> None:
    assert identity_of("check", "ci-app", None, 7, "", "unit tests") == "check | ci-app | 7 | unit tests"


parts = st.lists(st.text("ab|\0 ", min_size=1, max_size=4) | st.text("a", min_size=230, max_size=260), max_size=3)


@given(parts, parts)
def test_identities_are_equal_only_if_their_parts_are(some: list[str], others: list[str]) -> None:
    one, other = identity_of("job", *some), identity_of("job", *others)
    assert (one == other) == (some == others)
    assert len(one) <= 240
    assert "\0" not in one


class Named(Payload):
    id: DeliveryId = "d-1"
    address: Address = ""


@pytest.mark.parametrize("good", ["~", " ", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "x" * 255])
def test_an_id_in_the_body_may_be_what_one_in_a_header_may(good: str) -> None:
    assert read(Named, b'{"id": "%s"}' % good.encode()).id == delivery_id({"x-first-id": good}, NAMES, b"", NOW)


@pytest.mark.parametrize("bad", ["", "x" * 256, "\u00e9", "a\\nb", "a\\n", "\\u0000"])
def test_other_ids_in_the_body_are_refused_by_name(bad: str) -> None:
    with pytest.raises(BadDelivery) as refused:
        read(Named, f'{{"id": "{bad}"}}'.encode())
    assert refused.value.field == "id"


@pytest.mark.parametrize("bad", ["x" * 2049, "a\\u0000"])
def test_addresses_are_bounded(bad: str) -> None:
    with pytest.raises(BadDelivery, match="address"):
        read(Named, f'{{"address": "{bad}"}}'.encode())


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://github.com/northwind-labs/parcel-tracker", "northwind-labs/parcel-tracker"),
        ("https://github.com/northwind-labs/parcel-tracker.git", "northwind-labs/parcel-tracker"),
        ("https://github.com/northwind-labs/parcel-tracker/", "northwind-labs/parcel-tracker"),
        ("https://ada:s3cret@git.northwind.example/labs/tracker.git", "labs/tracker"),
        ("git@gitlab.com:labs/depot/tracker.git", "labs/depot/tracker"),
        ("ssh://git@git.northwind.example:7999/labs/tracker.git", "labs/tracker"),
        ("git+ssh://git@git.northwind.example/labs/tracker", "labs/tracker"),
        ("https://github.com/labs/github.io", "labs/github.io"),
        ("/srv/git/tracker.git", None),
        ("https://github.com", None),
        ("https://github.com/", None),
        ("https://github.com/a b", None),
        ("https://github.com/" + "x" * 256, None),
        ("tracker", None),
        ("", None),
        (None, None),
    ],
)
def test_a_repository_is_known_by_its_path_alone(address: str | None, path: str | None) -> None:
    assert repository_path(address) == path


@given(st.text("ht+:/@.git a\0", max_size=300) | st.text(max_size=50))
def test_no_address_gives_a_path_that_cannot_be_stored(address: str) -> None:
    path = repository_path(address)
    assert path is None or (0 < len(path) <= 255 and "\0" not in path)
