"""Signers of our own, and envelopes as signers make them: what the tests of provenance are fed with."""

import json
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from domain.facts.provenance import ProvenanceKey
from integrations.formats.dsse.keys import read_public_key
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "provenance"
DIGEST = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
OTHER_DIGEST = "sha256:" + "0" * 64
IN_TOTO = "application/vnd.in-toto+json"
ALGORITHMS = ("ed25519", "ecdsa-p256-sha256", "rsa-pss-sha256")


@dataclass(frozen=True)
class Signer:
    """A key pair, and how it signs."""

    private: Any
    sign: Callable[[bytes], bytes]

    @classmethod
    def of(cls, private: Any) -> "Signer":
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return cls(private, private.sign)
        if isinstance(private, ec.EllipticCurvePrivateKey):
            return cls(private, lambda message: private.sign(message, ec.ECDSA(SHA256())))
        return cls(private, lambda message: private.sign(message, pss(32), SHA256()))

    @property
    def pem(self) -> str:
        spki = PublicFormat.SubjectPublicKeyInfo
        return str(self.private.public_key().public_bytes(Encoding.PEM, spki).decode())

    @property
    def private_pem(self) -> str:
        return str(self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())

    @property
    def fingerprint(self) -> str:
        spki = PublicFormat.SubjectPublicKeyInfo
        return sha256(self.private.public_key().public_bytes(Encoding.DER, spki)).hexdigest()

    def registered(self, key_id: str | None = None) -> ProvenanceKey:
        """The same key as we hold it."""
        key = read_public_key(self.pem)
        now = datetime.now(UTC)
        return ProvenanceKey(uuid4(), UUID(int=1), "a key", key_id or key.fingerprint, key.algorithm, key.pem, 1, now)


@cache
def signer(algorithm: str = "ed25519", which: int = 0) -> Signer:
    """One of several key pairs, made once: RSA is slow to make."""
    return new_signer(algorithm)


def new_signer(algorithm: str = "ed25519") -> Signer:
    if algorithm == "ed25519":
        return Signer.of(ed25519.Ed25519PrivateKey.generate())
    if algorithm == "ecdsa-p256-sha256":
        return Signer.of(ec.generate_private_key(ec.SECP256R1()))
    return Signer.of(rsa.generate_private_key(65537, 2048))


def pss(salt: int) -> padding.PSS:
    return padding.PSS(padding.MGF1(SHA256()), salt)


def raw(der: bytes) -> bytes:
    """An ECDSA signature as r and s side by side."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(32) + s.to_bytes(32)


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """The DSSE protocol's PAE, written down a second time."""
    kind = payload_type.encode()
    parts = [b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload]
    return b" ".join(parts)


def statement(version: str = "v1", **changes: Any) -> dict[str, Any]:
    """An in-toto statement about DIGEST with SLSA provenance."""
    found: dict[str, Any] = json.loads((FIXTURES / f"slsa_{version}.json").read_text())
    return found | changes


def about(*digests: str) -> list[dict[str, Any]]:
    """The subjects of a statement."""
    return [{"name": "x", "digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests]


def std(data: bytes) -> str:
    return b64encode(data).decode()


def url_safe(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def envelope(
    payload: Any,
    *signers: Signer,
    payload_type: str = IN_TOTO,
    key_ids: Sequence[str | None] = (),
    encode: Callable[[bytes], str] = std,
) -> dict[str, Any]:
    """What the signers make of a payload; each names itself by its fingerprint unless told otherwise."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    message = signed_bytes(payload_type, body)
    signatures = []
    for n, one in enumerate(signers):
        named = key_ids[n] if n < len(key_ids) else one.fingerprint
        signatures.append({"sig": encode(one.sign(message))} | ({} if named is None else {"keyid": named}))
    return {"payload": encode(body), "payloadType": payload_type, "signatures": signatures}


BUNDLES = (
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
)


def bundle(made: dict[str, Any], media_type: str = BUNDLES[-1]) -> dict[str, Any]:
    """A Sigstore bundle with this envelope, as `cosign attest-blob --bundle` writes it."""
    certificate = {"rawBytes": std(b"a certificate")}
    newest = media_type == BUNDLES[-1]
    material = {"certificate": certificate} if newest else {"x509CertificateChain": {"certificates": [certificate]}}
    return {
        "mediaType": media_type,
        "verificationMaterial": material | {"tlogEntries": [{"logIndex": "25579"}]},
        "dsseEnvelope": made,
    }


def wrapped(data: bytes) -> str:
    """Base64 as `base64` and `openssl enc` write it."""
    return encodebytes(data).decode().replace("\n", "\r\n")
