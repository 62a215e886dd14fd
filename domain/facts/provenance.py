"""Provenance: who built an artifact, from which source, and whether a registered key signed that claim."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.canonical import canonical_json
from domain.facts.artifacts import ProvenanceStatus

MAX_KEYS = 100
"""Public keys that an organisation may have; a signature without a key id is checked with each of them."""


class BuilderType(StrEnum):
    """The system that built the artifact."""

    GITHUB_ACTIONS = "GITHUB_ACTIONS"
    JENKINS = "JENKINS"
    CIRCLE_CI = "CIRCLE_CI"
    GENERIC = "GENERIC"


class SlsaLevel(StrEnum):
    """The SLSA build level that the reporter claims."""

    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class CheckStatus(StrEnum):
    """The outcome of one verification."""

    VERIFIED = "VERIFIED"
    UNVERIFIED = "UNVERIFIED"

    @property
    def provenance_status(self) -> ProvenanceStatus:
        """The status of provenance whose newest check has this outcome."""
        verified = self is CheckStatus.VERIFIED
        return ProvenanceStatus.PROVENANCE_VERIFIED if verified else ProvenanceStatus.PROVENANCE_UNVERIFIED


@dataclass(frozen=True, slots=True)
class Build:
    """How an artifact was built, as claimed or stated; None for unknown values."""

    builder_id: str | None = None
    build_config_uri: str | None = None
    source_repository_uri: str | None = None
    source_commit_sha: str | None = None
    build_started_on: datetime | None = None
    build_finished_on: datetime | None = None

    def filled(self, stated: "Build") -> "Build":
        """Return a copy whose missing values are taken from a statement."""
        own = self.values()
        return Build(**(stated.values() | {name: value for name, value in own.items() if value is not None}))

    def unstated(self, stated: "Build") -> list[str]:
        """Return the names of the claimed fields that a statement does not confirm."""
        confirmed = stated.values()
        claimed = [(name, value) for name, value in self.values().items() if value is not None]
        return [name for name, value in claimed if _comparable(name, value) != _comparable(name, confirmed[name])]

    def values(self) -> dict[str, Any]:
        """Return every field by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def repository_address(uri: str) -> str:
    """Strip what tools add to a repository URI: the prefix `git+`, the suffixes `@ref` and `.git`, a trailing slash.

    Both forms are SPDX download locations. An `@` before the path belongs to a user name and stays.
    """
    address = uri.removeprefix("git+")
    scheme, separator, rest = address.rpartition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}{slash}{path.partition('@')[0]}".rstrip("/").removesuffix(".git")


_SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "source_repository_uri": repository_address,
    "source_commit_sha": str.lower,
}


def _comparable(name: str, value: Any) -> Any:
    return _SPELLINGS[name](value) if name in _SPELLINGS and value is not None else value


@dataclass(frozen=True, slots=True)
class ProvenanceClaim:
    """A claim about the provenance of one digest.

    `envelope` is the text of a DSSE envelope; `signature` is a base64 signature of `statement`.
    """

    digest: str
    build: Build
    builder_type: BuilderType
    slsa_level: SlsaLevel = SlsaLevel.L0
    signature: str | None = None
    envelope: str | None = None

    def statement(self) -> bytes:
        """Return the bytes that a detached signature (`provenanceSignature`) must sign.

        They are the UTF-8 JSON of one object with exactly these nine members, sorted by name, without whitespace and
        without a line end: `artifactDigest` (`sha256:` and 64 lower-case digits), `buildConfigUri`, `buildFinishedOn`,
        `buildStartedOn`, `builderId`, `builderType`, `slsaLevel`, `sourceCommitSha`, `sourceRepositoryUri`. A missing
        value is `null`, except that a missing `slsaLevel` is `"L0"`. Times are UTC with six fractional digits, as in
        `2026-01-31T12:00:00.000000Z`. Characters beyond ASCII are not escaped (domain/canonical.py has all rules). If
        only the builder is known:

            {"artifactDigest":"sha256:…","buildConfigUri":null,"buildFinishedOn":null,"buildStartedOn":null,
             "builderId":"ci.example.com","builderType":"GENERIC","slsaLevel":"L0","sourceCommitSha":null,
             "sourceRepositoryUri":null}

        in one line.
        """
        build = self.build
        return canonical_json(
            {
                "artifactDigest": self.digest,
                "builderId": build.builder_id,
                "builderType": self.builder_type,
                "buildConfigUri": build.build_config_uri,
                "sourceRepositoryUri": build.source_repository_uri,
                "sourceCommitSha": build.source_commit_sha,
                "buildStartedOn": build.build_started_on,
                "buildFinishedOn": build.build_finished_on,
                "slsaLevel": self.slsa_level,
            }
        )


class KeyAlgorithm(StrEnum):
    """How a registered key signs: Ed25519, ECDSA on P-256 with SHA-256, or RSA-PSS with SHA-256."""

    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256-sha256"
    RSA_PSS = "rsa-pss-sha256"


@dataclass(frozen=True, slots=True)
class NewProvenanceKey:
    """A key to register. `key_id` is the id that signatures use for it, `public_key` its SPKI PEM."""

    name: str
    key_id: str
    algorithm: KeyAlgorithm
    public_key: str


@dataclass(frozen=True, slots=True)
class ProvenanceKey:
    """A registered public key. `key_id` is the id that signatures use for it, `public_key` its SPKI PEM."""

    id: UUID
    org_id: UUID
    name: str
    key_id: str
    algorithm: KeyAlgorithm
    public_key: str
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProvenanceFinding:
    """The outcome of verifying a claim, and why. `key` is the key of the valid signature; None if UNVERIFIED."""

    status: CheckStatus
    reason: str
    key: ProvenanceKey | None = None
    predicate_type: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A recorded finding. `signer` is the `key_id` of the key."""

    n: int
    status: CheckStatus
    reason: str
    key_id: UUID | None
    signer: str | None
    predicate_type: str | None
    created_at: datetime

    def repeats(self, finding: ProvenanceFinding) -> bool:
        """Whether the finding equals this check, so that it need not be recorded again."""
        key_id = finding.key.id if finding.key else None
        found = (finding.status, finding.reason, key_id, finding.predicate_type)
        return found == (self.status, self.reason, self.key_id, self.predicate_type)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Recorded provenance of an artifact with its newest check. `report_id` is the artifact's id in the API."""

    id: UUID
    report_id: UUID
    trail_id: UUID
    claim: ProvenanceClaim
    created_at: datetime
    check: Check
