"""Evidence on the wire (facts.md 7.3, 20.2)."""

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
from api.http.uploads import BINARY, base_name
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.errors import Invalid, Rejected
from domain.facts.digests import normalise_digest
from domain.facts.evidence import Evidence, NewEvidence
from storage.blobs.store import Measured
from storage.facts.queries.evidence import EvidenceTarget

UNNAMED = "file"
"""The name of a file that came without one: that of the form's part (facts.md 7.3)."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HASH_FIELD = re.compile(r"(?:^|,)\s*sha-256=:?([A-Za-z0-9+/=]+):?\s*(?:,|$)", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}(?:;[\x20-\x7e]*)?", re.ASCII)
_MAX_MEDIA_TYPE = 255


def _digest(text: str) -> str:
    digest = normalise_digest(text)
    if not _DIGEST.fullmatch(digest):
        raise ValueError("is no SHA-256: write 64 hexadecimal digits")
    return digest


def _declared(text: str) -> str:
    """Hexadecimal, or a `Digest` header's `sha-256=` with base64 (RFC 3230) or hexadecimal digits."""
    found = _HASH_FIELD.search(text)
    if found is None or _DIGEST.fullmatch(normalise_digest(found[1])):
        return _digest(found[1] if found else text)
    try:
        return _digest(base64.b64decode(found[1], validate=True).hex())
    except binascii.Error as error:
        raise ValueError("is no SHA-256: base64 is broken") from error


def _reference(text: str) -> str:
    """What people may be shown as a link: a web address without a password in it."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a whole http or https address")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password: everybody who reads this would get them")
    if not text.isprintable() or " " in text:
        raise ValueError("must not hold blanks or control characters")
    return text


Digest = Annotated[str, StringConstraints(max_length=200), AfterValidator(_digest)]
"""A SHA-256 as `sha256:` and 64 lower-case hexadecimal digits, however it was spelled."""

DeclaredDigest = Annotated[
    Annotated[str, StringConstraints(max_length=500), AfterValidator(_declared)] | None,
    Header("X-Content-SHA256", aliases=("Digest",)),
]
"""The SHA-256 that the file, not the form around it, is said to have."""


class EvidenceForm(BaseModel):
    """A file, and optionally the SHA-256 it must have."""

    file: Upload
    sha256: Digest | None = None

    def check(self, declared: str | None) -> None:
        """Raises Invalid for an empty file, and Rejected for one that is not what it was said to be."""
        if not self.file.size:
            raise Invalid.of("file", "empty file")
        for name, digest in (("sha256", self.sha256), ("X-Content-SHA256", declared)):
            if digest is not None and digest != self.digest:
                raise Rejected(f"{name}: the file that arrived has the SHA-256 {self.file.sha256}, not {digest[7:]}")

    @property
    def digest(self) -> str:
        """The file's own."""
        return f"sha256:{self.file.sha256}"

    def to_command(self, target: EvidenceTarget, actor: Actor) -> NewEvidence:
        """What the command takes."""
        return NewEvidence(
            trail_id=target.trail_id,
            attestation_id=target.attestation_id,
            digest=self.digest,
            name=self.file.file_name or UNNAMED,
            size=self.file.size,
            media_type=_media_type(self.file.content_type),
            actor=actor,
        )


class ReferenceIn(WireIn):
    """Evidence that is kept elsewhere: its address, and what its content must prove to be.

    `evidenceUrl` is another name for `externalUrl`. Nobody fetches it: hash and size are the reporter's word.
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
        """What the command takes. Without a name it is the last part of the address."""
        named = self.file_name or unquote(urlsplit(self.external_url).path)
        return NewEvidence(
            trail_id=target.trail_id,
            attestation_id=target.attestation_id,
            digest=self.sha256_hash,
            name=base_name(named) or UNNAMED,
            size=self.file_size_bytes,
            media_type=_media_type(self.content_type or ""),
            actor=actor,
            external_url=self.external_url,
        )


def _media_type(text: str) -> str:
    return text if len(text) <= _MAX_MEDIA_TYPE and _MEDIA_TYPE.fullmatch(text) else BINARY


class EvidenceOut(WireModel):
    """A recorded file; `externalUrl` is null for one whose content is kept here."""

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
        """With the bare digits of its digest."""
        return cls.filled(evidence, sha256_hash=evidence.digest.removeprefix("sha256:"))


class EvidenceVerificationOut(WireModel):
    """Whether the stored content is what was recorded. `actualSha256` is null where there is nothing to hash."""

    verified: bool
    expected_sha256: str
    actual_sha256: str | None
    size_bytes: int | None
    message: str
    checked_at: Instant

    @classmethod
    def compared(cls, evidence: Evidence, found: Measured | None, checked_at: datetime) -> Self:
        """The comparison of what was recorded with what was found."""
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
        return "The stored content is what was recorded."
    if evidence.external_url is not None:
        return "The content is kept elsewhere and is not fetched: compare its SHA-256 yourself."
    return "The stored content is missing." if found is None else "The stored content was altered."
