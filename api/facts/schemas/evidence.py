"""Request and response models of evidence."""

import base64
import binascii
import re
from datetime import datetime
from typing import Annotated, Self
from urllib.parse import unquote, urlsplit
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, BaseModel, Field, StringConstraints

from api.http.calls import Call, Header, Upload
from api.http.texts import Short
from api.http.transport.uploads import UNNAMED, base_name, known_media_type
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.errors import Invalid, Rejected
from domain.facts.digests import normalise_digest
from domain.facts.evidence import Evidence, NewEvidence
from storage.blobs.store import Measured
from storage.facts.queries.evidence import EvidenceTarget

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HASH_FIELD = re.compile(r"(?:^|,)\s*sha-256=:?([A-Za-z0-9+/=]+):?\s*(?:,|$)", re.IGNORECASE)


def _digest(text: str) -> str:
    digest = normalise_digest(text)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("is not a SHA-256: send 64 hexadecimal digits")
    return digest


def _declared(text: str) -> str:
    """Return the digest of a header: hexadecimal digits, or `sha-256=` with base64 (RFC 3230) or hexadecimal digits."""
    found = _HASH_FIELD.search(text)
    if found is None or _DIGEST.fullmatch(normalise_digest(found[1])):
        return _digest(found[1] if found else text)
    try:
        return _digest(base64.b64decode(found[1], validate=True).hex())
    except binascii.Error as error:
        raise ValueError("is not a SHA-256: the base64 is malformed") from error


def _reference(text: str) -> str:
    """Return a URL that can safely be shown as a link: http or https, without credentials in it."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password, which every reader would see")
    if not text.isprintable() or " " in text:
        raise ValueError("must not contain blanks or control characters")
    return text


Digest = Annotated[str, StringConstraints(max_length=200), AfterValidator(_digest)]
"""A SHA-256, normalised to `sha256:` and 64 lower-case hexadecimal digits."""

DeclaredDigest = Annotated[
    Annotated[str, StringConstraints(max_length=500), AfterValidator(_declared)] | None,
    Header("X-Content-SHA256", aliases=("Digest",)),
]
"""The declared SHA-256 of the file, not of the form around it."""


class EvidenceForm(BaseModel):
    """A file, and optionally its expected SHA-256."""

    file: Upload
    sha256: Digest | None = None

    def check(self, declared: str | None) -> None:
        """Raise Invalid for an empty file, and Rejected for a file with another SHA-256 than declared."""
        if not self.file.size:
            raise Invalid.of("file", "empty file")
        for name, digest in (("sha256", self.sha256), ("X-Content-SHA256", declared)):
            if digest is not None and digest != self.digest:
                raise Rejected(f"{name}: the received file has the SHA-256 {self.file.sha256}, not {digest[7:]}")

    @property
    def digest(self) -> str:
        """The digest of the received file."""
        return f"sha256:{self.file.sha256}"

    def to_command(self, target: EvidenceTarget, actor: Actor) -> NewEvidence:
        """Return the input of the command."""
        return NewEvidence(
            trail_id=target.trail_id,
            attestation_id=target.attestation_id,
            digest=self.digest,
            name=self.file.file_name or UNNAMED,
            size=self.file.size,
            media_type=known_media_type(self.file.content_type),
            actor=actor,
        )


class ReferenceIn(WireIn):
    """Evidence stored elsewhere: its URL, and the hash and size of its content.

    `evidenceUrl` is an alternative name for `externalUrl`. The content is not fetched: hash and size are recorded as
    claimed.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "externalUrl": "https://ci.example.com/runs/1/report.xml",
                    "fileName": "report.xml",
                    "sha256Hash": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
                    "fileSizeBytes": 1,
                    "contentType": "application/xml",
                }
            ]
        }
    }

    external_url: Annotated[str, StringConstraints(max_length=2048), AfterValidator(_reference)] = Field(
        validation_alias=AliasChoices("externalUrl", "evidenceUrl")
    )
    file_name: Short | None = None
    sha256_hash: Digest = Field(validation_alias=AliasChoices("sha256Hash", "sha256"))
    file_size_bytes: int = Field(ge=1, le=2**63 - 1, strict=True)
    content_type: Short | None = None

    def to_command(self, target: EvidenceTarget, actor: Actor) -> NewEvidence:
        """Return the input of the command. The default file name is the last part of the URL."""
        named = self.file_name or unquote(urlsplit(self.external_url).path)
        return NewEvidence(
            trail_id=target.trail_id,
            attestation_id=target.attestation_id,
            digest=self.sha256_hash,
            name=base_name(named) or UNNAMED,
            size=self.file_size_bytes,
            media_type=known_media_type(self.content_type or ""),
            actor=actor,
            external_url=self.external_url,
        )


class EvidenceOut(WireModel):
    """A recorded evidence file. `externalUrl` is null if the content is stored here."""

    id: UUID
    attestation_id: UUID
    trail_id: UUID
    file_name: str = shows("name")
    sha256_hash: str
    file_size_bytes: int = shows("size")
    content_type: str = shows("media_type")
    stored_at: Instant = shows("created_at")
    external_url: str | None

    @classmethod
    def of(cls, evidence: Evidence, _call: Call) -> Self:
        """Return the file, with its hash without `sha256:`."""
        return cls.filled(evidence, sha256_hash=evidence.digest.removeprefix("sha256:"))


class EvidenceVerificationOut(WireModel):
    """Whether the stored content matches the record. `actualSha256` is null if there is no stored content."""

    verified: bool
    expected_sha256: str
    actual_sha256: str | None
    size_bytes: int | None
    message: str
    checked_at: Instant

    @classmethod
    def compared(cls, evidence: Evidence, found: Measured | None, checked_at: datetime) -> Self:
        """Compare the record with the stored content, None if there is none."""
        verified = found is not None and (found.digest, found.size) == (evidence.digest, evidence.size)
        return cls(
            verified=verified,
            expected_sha256=evidence.digest.removeprefix("sha256:"),
            actual_sha256=found.digest.removeprefix("sha256:") if found else None,
            size_bytes=found.size if found else None,
            message=_message(evidence, found, verified=verified),
            checked_at=checked_at,
        )


def _message(evidence: Evidence, found: Measured | None, *, verified: bool) -> str:
    if verified:
        return "The stored content matches the record."
    if evidence.external_url is not None:
        return "The content is stored elsewhere and is not fetched; compare its SHA-256 yourself."
    return "The stored content is missing." if found is None else "The stored content was altered."
