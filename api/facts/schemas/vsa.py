"""Response models of verification summaries."""

from typing import Annotated, Self

from pydantic import Field

from api.http.wire import WireModel
from integrations.formats.dsse.sign import SignedEnvelope


class EnvelopeSignatureOut(WireModel):
    """A signature: base64, with the id of the key that `GET /api/v1/ledger/keys` lists."""

    keyid: Annotated[str, Field(examples=["d81429a2"])]
    sig: str


class EnvelopeOut(WireModel):
    """A DSSE envelope (DSSE 1.0.2). `payload` is an in-toto Statement v1 in base64."""

    payload_type: Annotated[str, Field(examples=["application/vnd.in-toto+json"])]
    payload: str
    signatures: list[EnvelopeSignatureOut]

    @classmethod
    def signed(cls, envelope: SignedEnvelope) -> Self:
        """Return an envelope with its signature."""
        signature = EnvelopeSignatureOut(keyid=envelope.key_id, sig=envelope.signature)
        return cls(payload_type=envelope.payload_type, payload=envelope.payload, signatures=[signature])
