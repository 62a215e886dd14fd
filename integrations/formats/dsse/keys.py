"""Public keys in SPKI PEM, and the verification of signatures with them."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from domain.errors import Invalid
from domain.facts.provenance import KeyAlgorithm

FIELD = "publicKeyPem"
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_RSA_EXPONENT = 2**32
"""A larger exponent makes every verification as expensive as a signature."""
_BEGIN = "-----BEGIN PUBLIC KEY-----"
_RAW_P256 = 64
"""Bytes of r and s concatenated (IEEE P1363); a DER signature of this length is possible but extremely unlikely."""
_PSS = PSS(MGF1(SHA256()), PSS.AUTO)

Key = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a supported kind. `fingerprint` is the hexadecimal SHA-256 of its SPKI DER."""

    key: Key
    algorithm: KeyAlgorithm
    pem: str
    fingerprint: str

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made the signature. ECDSA signatures may be DER or r and s concatenated."""
        try:
            match self.key:
                case Ed25519PublicKey():
                    self.key.verify(signature, message)
                case EllipticCurvePublicKey():
                    self.key.verify(_der(signature), message, ECDSA(SHA256()))
                case RSAPublicKey():
                    self.key.verify(signature, message, _PSS, SHA256())
        except InvalidSignature:
            return False
        return True


@lru_cache(maxsize=1024)
def read_public_key(pem: str) -> PublicKey:
    """Parse a `BEGIN PUBLIC KEY` block (RFC 7468, section 13) and normalise its PEM.

    Raises Invalid for anything else. The message never contains the text, which may be a private key.
    """
    text = pem.strip()
    if "PRIVATE" in text:
        raise Invalid.of(FIELD, "is a private key; replace that key pair and register only the new public key")
    if not text.startswith(_BEGIN) or text.count("-----BEGIN") > 1:
        raise Invalid.of(FIELD, f"must be one block that begins with {_BEGIN}")
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid.of(FIELD, "is not a readable public key") from error
    algorithm, known = _algorithm(key)
    der = known.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    written = known.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return PublicKey(known, algorithm, written, sha256(der).hexdigest())


def _algorithm(key: object) -> tuple[KeyAlgorithm, Key]:
    match key:
        case Ed25519PublicKey():
            return KeyAlgorithm.ED25519, key
        case EllipticCurvePublicKey(curve=SECP256R1()):
            return KeyAlgorithm.ECDSA_P256, key
        case RSAPublicKey():
            _check_rsa(key)
            return KeyAlgorithm.RSA_PSS, key
    raise Invalid.of(FIELD, "must be an Ed25519, ECDSA P-256 or RSA key")


def _check_rsa(key: RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise Invalid.of(FIELD, f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {key.key_size}")
    if key.public_numbers().e > MAX_RSA_EXPONENT:
        raise Invalid.of(FIELD, "an RSA key's exponent must have at most 32 bits")


def _der(signature: bytes) -> bytes:
    if len(signature) != _RAW_P256:
        return signature
    middle = _RAW_P256 // 2
    return encode_dss_signature(int.from_bytes(signature[:middle]), int.from_bytes(signature[middle:]))
