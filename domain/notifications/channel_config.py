"""Channel configurations: how to validate them, mask their secrets, and identify their destinations.

A configuration is a JSON object. `webhookUrl` is the URL that WEBHOOK and SLACK post to, `to` the recipients of EMAIL.
`secret` is removed from it and stored separately (domain/notifications/signing.py). Other keys are stored but always
masked.
"""

import re
from collections.abc import Mapping, Sequence
from email.errors import MessageError
from email.headerregistry import Address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from domain.addresses import REMEDY, Network, early_refusal
from domain.errors import Invalid
from domain.notifications.rules import Channel

FIELD = "channelConfig"
URL, RECIPIENTS, SECRET = "webhookUrl", "to", "secret"

MAX_URL = 2048
MAX_RECIPIENTS = 20
MAX_ADDRESS = 254
"""RFC 5321, section 4.5.3.1.3, without the angle brackets."""
MASK = "…"
IN_APP_ADDRESS = "in-app"

_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.IGNORECASE)
_UNFIT = re.compile(r"[\s\\\x00-\x1f\x7f-\x9f]")
_POSTING = (Channel.WEBHOOK, Channel.SLACK)


def checked_config(channel: Channel, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Validate a configuration and return it without its `secret`. Raises Invalid, naming the key but never the URL."""
    kept = {key: value for key, value in sent.items() if key != SECRET}
    if channel in _POSTING:
        if problem := _url_problem(kept.get(URL)):
            raise Invalid.of(f"{FIELD}.{URL}", problem)
    elif channel is Channel.EMAIL:
        kept[RECIPIENTS] = _recipients(kept.get(RECIPIENTS))
    return kept


def check_reachable(config: Mapping[str, Any], allowed: Sequence[Network]) -> None:
    """Raise Invalid for a URL that no request can reach; `allowed` are the private networks that may be reached.

    A URL that is malformed, or masked because it stays as it is, is left to `checked_config`.
    """
    url = config.get(URL)
    if _url_problem(url):
        return
    parts = urlsplit(str(url))
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    if reason := early_refusal(parts.hostname or "", port, tls=tls, allowed=allowed):
        raise Invalid.of(f"{FIELD}.{URL}", f"may not be reached: {reason}. {REMEDY}")


def shown_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Mask the secrets of a configuration: a URL keeps only its host, recipients stay visible."""
    return {key: _shown(key, value) for key, value in config.items()}


def unmasked(sent: Mapping[str, Any], shown: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Put stored values back where a client sent the masked value that it had read, as in a read-modify-write."""
    return {key: kept[key] if key in kept and value == shown.get(key) else value for key, value in sent.items()}


def address_of(channel: Channel, config: Mapping[str, Any]) -> str:
    """Return the text that identifies a destination of the channel."""
    if channel in _POSTING:
        return str(config[URL])
    return ",".join(sorted(config[RECIPIENTS])) if channel is Channel.EMAIL else IN_APP_ADDRESS


def label_of(channel: Channel, config: Mapping[str, Any]) -> str:
    """Return the text that shows a destination to people, with secrets masked."""
    if channel in _POSTING:
        return str(_shown(URL, config[URL]))
    return ", ".join(sorted(config[RECIPIENTS])) if channel is Channel.EMAIL else IN_APP_ADDRESS


def _shown(key: str, value: Any) -> Any:
    if key == RECIPIENTS:
        return value
    if key == URL and _url_problem(value) is None:
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.netloc.lower()}/{MASK}"
    return MASK


def _url_problem(url: Any) -> str | None:
    if not isinstance(url, str) or not url.strip():
        return "is required: the URL to post to"
    if len(url) > MAX_URL:
        return f"has more than {MAX_URL} characters"
    if MASK in url:
        return "is masked; send the whole URL, or omit channelConfig to keep the stored one"
    if _UNFIT.search(url):
        return "must not contain spaces, backslashes or control characters"
    try:
        parts = urlsplit(url)
        return _parts_problem(parts)
    except ValueError:
        return "is not a URL"


def _parts_problem(parts: SplitResult) -> str | None:
    """Raises ValueError for a port or an IPv6 address that is malformed."""
    if parts.scheme not in ("http", "https"):
        return "must begin with https:// or http://"
    if "@" in parts.netloc:
        return "must not contain a user name or password"
    if not _is_host(parts.hostname or "") or parts.port == 0:
        return "has no host that can be reached; check the host name and the port"
    return None


def _is_host(host: str) -> bool:
    """Whether it is a host name, an IPv4 address, or an IPv6 address, which urlsplit has already checked."""
    if ":" in host:
        return "%" not in host
    try:
        ascii_name = host.removesuffix(".").encode("idna").decode()
    except UnicodeError:
        return False
    return bool(_HOST_NAME.fullmatch(ascii_name))


def _recipients(given: Any) -> list[str]:
    field = f"{FIELD}.{RECIPIENTS}"
    texts: Sequence[Any] = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else ()
    if not texts:
        raise Invalid.of(field, "is required: give e-mail addresses, as a list or separated by commas")
    if len(texts) > MAX_RECIPIENTS:
        raise Invalid.of(field, f"has more than {MAX_RECIPIENTS} addresses")
    addresses = [text.strip() if isinstance(text, str) else "" for text in texts]
    for n, address in enumerate(addresses):
        if not is_mail_address(address):
            raise Invalid.of(f"{field}.{n}", "is not an e-mail address like ada@example.org")
    return list(dict.fromkeys(addresses))


def is_mail_address(text: str) -> bool:
    """Whether it is a bare address: no display name, comment, quoted part or address literal (RFC 5322, 3.4.1)."""
    if not text.isascii() or not text.isprintable() or len(text) > MAX_ADDRESS:
        return False
    try:
        address = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        return False
    whole = f"{address.username}@{address.domain}" == text
    return whole and '"' not in text and " " not in text and bool(_HOST_NAME.fullmatch(address.domain))
