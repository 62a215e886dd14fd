"""DSSE envelopes (DSSE 1.0.2) of our own."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from integrations.formats.dsse.verify import pae


@dataclass(frozen=True, slots=True)
class SignedEnvelope:
    """An envelope with one signature; payload and signature are base64."""

    payload_type: str
    payload: str
    key_id: str
    signature: str


def sign_envelope(payload_type: str, payload: bytes, key_id: str, sign: Callable[[bytes], bytes]) -> SignedEnvelope:
    """Sign a payload. `sign` returns the signature of the key that is named by `key_id`."""
    signature = sign(pae(payload_type, payload))
    return SignedEnvelope(payload_type, b64encode(payload).decode(), key_id, b64encode(signature).decode())
