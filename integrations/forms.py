"""Read one field of a URL-encoded form (WHATWG URL Standard, section 5.1) of many megabytes.

`urllib.parse` decodes escapes in Python, several million of them for seconds. The decoder of quoted-printable text does
the same in C: it differs in the character that begins an escape, and in what follows from line breaks and doubled or
false escapes, which are refused here.
"""

from binascii import a2b_qp

from integrations.contract import BadDelivery

MAX_FIELDS = 8
_PIECE = 1 << 20
"""Bytes decoded at once: other threads run in between."""
_ESCAPE = 3
"""Bytes of an escape, such as `%22`."""


def form_field(form: bytes, name: str) -> bytes:
    """Return the decoded value of the first field of this name. Raises BadDelivery for a malformed or missing field."""
    prefix = f"{name}=".encode()
    if form.count(b"&") >= MAX_FIELDS:
        raise _malformed()
    for field in form.split(b"&"):
        if field.startswith(prefix):
            return _decoded(field[len(prefix) :])
    raise BadDelivery("Field required", name)


def _decoded(value: bytes) -> bytes:
    if b"\n" in value or b"\r" in value or not value.isascii():
        raise _malformed()
    pieces, start = [], 0
    while start < len(value):
        end = _end_of_piece(value, start + _PIECE)
        pieces.append(_decoded_piece(value[start:end]))
        start = end
    return b"".join(pieces)


def _end_of_piece(value: bytes, end: int) -> int:
    """Return a place near `end` that is not inside an escape."""
    escape = value.rfind(b"%", end - _ESCAPE + 1, end)
    return end if escape < 0 else escape + _ESCAPE


def _decoded_piece(piece: bytes) -> bytes:
    escapes = piece.count(b"%")
    literal = piece.replace(b"+", b" ").replace(b"=", b"%3D")
    decoded = a2b_qp(literal.replace(b"%", b"="))
    if len(decoded) != len(piece) - escapes * (_ESCAPE - 1):
        raise _malformed()  # a false escape has another length
    return decoded


def _malformed() -> BadDelivery:
    return BadDelivery("the body is not a valid form")
