"""JSON text as programs really send it: with a byte order mark, or cut in the middle of a character."""

import re

_BOM = b"\xef\xbb\xbf"
_ESCAPED_BACKSLASH, _PLACEHOLDER = b"\\\\", b"\0\0"
"""Two NUL bytes stand for an escaped backslash meanwhile: JSON text cannot contain them."""
_LONE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
"""A high surrogate without a low one behind it, or a low one without a high one before it. The common beginning makes
the search as fast as that for a plain text."""


def without_mark(text: bytes) -> bytes:
    """Return the text without its byte order mark, which parsers may ignore (RFC 8259, section 8.1)."""
    return text.removeprefix(_BOM)


def readable(text: bytes) -> bytes:
    r"""Return the text without its byte order mark, and with U+FFFD in place of lone surrogates such as `\ud83d`.

    Senders in JavaScript write them when they shorten a text in the middle of an emoji, and most parsers then refuse
    the whole document. Malformed text stays malformed.
    """
    plain = without_mark(text)
    if b"\\" not in plain or not _LONE.search(plain) or b"\0" in plain:
        return plain
    return _LONE.sub(rb"\\ufffd", plain.replace(_ESCAPED_BACKSLASH, _PLACEHOLDER)).replace(
        _PLACEHOLDER, _ESCAPED_BACKSLASH
    )
