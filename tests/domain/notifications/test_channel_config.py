"""What a channel must be told: what is refused, and that what is shown gives no secret away."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.notifications.channel_config import (
    MASK,
    MAX_RECIPIENTS,
    MAX_URL,
    address_of,
    checked_config,
    label_of,
    shown_config,
    unmasked,
)
from domain.notifications.rules import Channel

SLACK_URL = "https://hooks.slack.com/services/T01/B02/xyzzy"
POSTING = [Channel.WEBHOOK, Channel.SLACK]


def refused(channel: Channel, config: dict[str, Any]) -> tuple[str, str]:
    """The field and the reason."""
    with pytest.raises(Invalid) as caught:
        checked_config(channel, config)
    [detail] = caught.value.details
    return detail.field, detail.message


# URLs


@pytest.mark.parametrize("channel", POSTING)
@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "HTTPS://Example.com/a?b=c#d",
        "http://localhost:8080/hook",
        "http://ci_receiver:8080/hook",
        "https://bücher.example/ä",
        "https://example.com./x",
        "http://127.0.0.1/x",
        "http://[::1]:8080/x",
        "https://example.com/@user",
        "https://example.com/" + "a" * (MAX_URL - 20),
    ],
)
def test_urls_that_are_taken(channel: Channel, url: str) -> None:
    assert checked_config(channel, {"webhookUrl": url}) == {"webhookUrl": url}


@pytest.mark.parametrize("channel", POSTING)
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "is required"),
        ("", "is required"),
        ("  ", "is required"),
        (5, "is required"),
        (["https://example.com"], "is required"),
        ("ftp://example.com/x", "must begin"),
        ("javascript:alert(1)", "must begin"),
        ("file:///etc/passwd", "must begin"),
        ("example.com/x", "must begin"),
        ("//example.com/x", "must begin"),
        ("https:///x", "no host"),
        ("https://", "no host"),
        ("https://?x", "no host"),
        ("https://a..b/x", "no host"),
        ("https://-a.com/x", "no host"),
        ("https://exa%6dple.com/x", "no host"),
        ("https://example.com:0/x", "no host"),
        ("https://[fe80::1%25eth0]/x", "no host"),
        ("https://" + "a" * 64 + ".com/", "no host"),
        ("https://user:password@example.com/x", "user name"),
        ("https://user@example.com/x", "user name"),
        ("https://@example.com/x", "user name"),
        ("https://good.com\\@evil.com/x", "backslashes"),
        ("https://example.com/a b", "spaces"),
        ("https://example.com/\r\nHost: evil", "control"),
        ("\thttps://example.com/", "spaces"),
        ("https://example.com:99999/", "is not a URL"),
        ("https://example.com:port/", "is not a URL"),
        ("https://[::1/x", "is not a URL"),
        ("https://[not-an-address]/x", "is not a URL"),
        ("https://example.com/" + "a" * MAX_URL, "more than 2048"),
        (f"https://example.com/{MASK}", "is masked"),
    ],
)
def test_urls_that_are_refused(channel: Channel, url: Any, reason: str) -> None:
    field, message = refused(channel, {"webhookUrl": url})
    assert field == "channelConfig.webhookUrl"
    assert reason in message


@pytest.mark.parametrize("url", ["ftp://example.com/xyzzy", "https://u:xyzzy@example.com", "https://h:x/xyzzy y"])
def test_a_refusal_does_not_quote_the_url(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked_config(Channel.SLACK, {"webhookUrl": url})
    assert "xyzzy" not in caught.value.message


@given(st.text())
def test_any_text_is_a_url_or_is_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            config = checked_config(Channel.WEBHOOK, {"webhookUrl": url})
        except Invalid:
            continue
        assert shown_config(config)["webhookUrl"].endswith(f"/{MASK}")


# Recipients


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("ada@example.org", ["ada@example.org"]),
        (" ada@example.org , bob+ci@mail.example.org ", ["ada@example.org", "bob+ci@mail.example.org"]),
        (["b@x.org", "a@x.org", "b@x.org"], ["b@x.org", "a@x.org"]),
        (["root@localhost"], ["root@localhost"]),
        (["o'hara.x_y-z@x.org"], ["o'hara.x_y-z@x.org"]),
    ],
)
def test_recipients_that_are_taken(given_: Any, kept: list[str]) -> None:
    assert checked_config(Channel.EMAIL, {"to": given_}) == {"to": kept}


@pytest.mark.parametrize("missing", [{}, {"to": None}, {"to": []}, {"to": 5}, {"to": {"a": 1}}])
def test_recipients_are_required(missing: dict[str, Any]) -> None:
    field, message = refused(Channel.EMAIL, missing)
    assert field == "channelConfig.to"
    assert "is required" in message


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nX: y",
        "ada@example.org\0",
        "ada @example.org",
        "Ada <ada@example.org>",
        "<ada@example.org>",
        "ada(comment)@example.org",
        '"ada lovelace"@example.org',
        '"ada"@example.org',
        "ada@[127.0.0.1]",
        "ada@exam ple.org",
        "ada@-example.org",
        "ada@example..org",
        ".ada@example.org",
        "ada.@example.org",
        "a..b@example.org",
        "ädä@example.org",
        "ada@example.org;bob@example.org",
        "ada@example.org:x",
        "a" * 250 + "@x.org",
        5,
        None,
    ],
)
def test_what_is_no_address_is_named_by_its_place(address: Any) -> None:
    field, message = refused(Channel.EMAIL, {"to": ["bob@example.org", address]})
    assert field == "channelConfig.to.1"
    assert "is not an e-mail address" in message


def test_how_many_recipients() -> None:
    addresses = [f"a{n}@example.org" for n in range(MAX_RECIPIENTS + 1)]
    assert len(checked_config(Channel.EMAIL, {"to": addresses[1:]})["to"]) == MAX_RECIPIENTS
    assert refused(Channel.EMAIL, {"to": addresses}) == ("channelConfig.to", "has more than 20 addresses")


@given(st.text(max_size=60))
def test_no_address_smuggles_a_header_or_a_second_one(text: str) -> None:
    try:
        [address] = checked_config(Channel.EMAIL, {"to": [f"{text}@example.org"]})["to"]
    except Invalid:
        return
    assert address.isascii()
    assert not set(address) & set(' \r\n\0,;:<>()[]"\\')
    assert address.count("@") == 1


# What is kept and shown


def test_in_app_needs_nothing() -> None:
    assert checked_config(Channel.IN_APP, {}) == {}


@pytest.mark.parametrize("channel", Channel)
def test_secrets_are_taken_out(channel: Channel) -> None:
    config = {"webhookUrl": SLACK_URL, "to": ["a@x.org"], "secret": "s"}
    assert checked_config(channel, config) == {"webhookUrl": SLACK_URL, "to": ["a@x.org"]}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (SLACK_URL, "https://hooks.slack.com/…"),
        ("http://Example.com:8080?token=xyzzy", "http://example.com:8080/…"),
        ("https://[::1]:8443/xyzzy", "https://[::1]:8443/…"),
        ("https://example.com", "https://example.com/…"),
        ("xyzzy", "…"),
        (["xyzzy"], "…"),
    ],
)
def test_of_a_url_the_host_is_shown(url: Any, shown: str) -> None:
    assert shown_config({"webhookUrl": url}) == {"webhookUrl": shown}


def test_other_keys_are_named_and_not_shown() -> None:
    config = {"token": "xyzzy", "deep": {"password": "xyzzy"}, "to": ["ada@example.org"]}
    assert shown_config(config) == {"token": "…", "deep": "…", "to": ["ada@example.org"]}


def test_a_mask_that_comes_back_means_what_it_hides() -> None:
    kept = {"webhookUrl": SLACK_URL, "token": "t", "to": ["a@x.org"]}
    shown = shown_config(kept)
    assert unmasked(shown, shown, kept) == kept
    changed = {**shown, "to": ["b@x.org"], "new": 1}
    assert unmasked(changed, shown, kept) == {**kept, "to": ["b@x.org"], "new": 1}
    assert unmasked({"token": "u"}, shown, kept) == {"token": "u"}


def test_a_mask_of_something_else_is_refused() -> None:
    kept = {"webhookUrl": SLACK_URL}
    sent = {"webhookUrl": "https://elsewhere.example.com/…"}
    assert refused(Channel.SLACK, unmasked(sent, shown_config(kept), kept))[0] == "channelConfig.webhookUrl"


@given(st.dictionaries(st.sampled_from(["webhookUrl", "to", "a", "b"]), st.text() | st.integers() | st.none()))
def test_what_was_read_can_always_be_sent_back(config: dict[str, Any]) -> None:
    shown = json.loads(json.dumps(shown_config(config)))
    assert unmasked(shown, shown, config) == config


# Destinations


def test_addresses_tell_destinations_apart_and_labels_hide_them() -> None:
    for channel in POSTING:
        assert address_of(channel, {"webhookUrl": SLACK_URL}) == SLACK_URL
        assert label_of(channel, {"webhookUrl": SLACK_URL}) == "https://hooks.slack.com/…"
    assert address_of(Channel.EMAIL, {"to": ["b@x.org", "a@x.org"]}) == "a@x.org,b@x.org"
    assert label_of(Channel.EMAIL, {"to": ["b@x.org", "a@x.org"]}) == "a@x.org, b@x.org"
    assert address_of(Channel.IN_APP, {}) == label_of(Channel.IN_APP, {"webhookUrl": SLACK_URL}) == "in-app"
