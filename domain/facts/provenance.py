"""What provenance is: who built an artifact, from what, and whether anybody signs for it (facts.md 6.3, 6.4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.canonical import canonical_json
from domain.facts.artifacts import ProvenanceStatus

MAX_KEYS = 100
"""Public keys that an organisation may have at a time: a signature that names none is tried with each of them."""


class BuilderType(StrEnum):
    """The kind of system that built it."""

    GITHUB_ACTIONS = "GITHUB_ACTIONS"
    JENKINS = "JENKINS"
    CIRCLE_CI = "CIRCLE_CI"
    GENERIC = "GENERIC"


class SlsaLevel(StrEnum):
    """The SLSA build level; always the reporter's claim."""

    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"


class CheckStatus(StrEnum):
    """The outcome of one check."""

    VERIFIED = "VERIFIED"
    UNVERIFIED = "UNVERIFIED"

    @property
    def provenance_status(self) -> ProvenanceStatus:
        """What provenance is worth whose newest check ended so."""
        verified = self is CheckStatus.VERIFIED
        return ProvenanceStatus.PROVENANCE_VERIFIED if verified else ProvenanceStatus.PROVENANCE_UNVERIFIED


@dataclass(frozen=True, slots=True)
class Build:
    """How an artifact was built, as far as somebody says."""

    builder_id: str | None = None
    build_config_uri: str | None = None
    source_repository_uri: str | None = None
    source_commit_sha: str | None = None
    build_started_on: datetime | None = None
    build_finished_on: datetime | None = None

    def filled(self, stated: "Build") -> "Build":
        """The same, with what it leaves open taken from a statement."""
        own = self.values()
        return Build(**(stated.values() | {name: value for name, value in own.items() if value is not None}))

    def unstated(self, stated: "Build") -> list[str]:
        """The names of what is claimed here but not said by a statement."""
        said = stated.values()
        claimed = [(name, value) for name, value in self.values().items() if value is not None]
        return [name for name, value in claimed if _comparable(name, value) != _comparable(name, said[name])]

    def values(self) -> dict[str, Any]:
        """Every field by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def repository_address(uri: str) -> str:
    """A repository without what tools add: `git+` in front, `@ref`, `.git` and a slash behind.

    Both forms are SPDX download locations. The `@` of a user name stands before the path and stays.
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
    """Provenance as it is claimed of one digest.

    `envelope` is the text of a DSSE envelope; `signature` is base64, over `statement`.
    """

    digest: str
    build: Build
    builder_type: BuilderType
    slsa_level: SlsaLevel = SlsaLevel.L0
    signature: str | None = None
    envelope: str | None = None

    def statement(self) -> bytes:
        """The bytes that a detached signature (`provenanceSignature`) signs.

        They are the UTF-8 JSON of one object with exactly these nine members, sorted by name, without any blank and
        without a line end: `artifactDigest` (`sha256:` and 64 lower-case digits), `buildConfigUri`, `buildFinishedOn`,
        `buildStartedOn`, `builderId`, `builderType`, `slsaLevel`, `sourceCommitSha`, `sourceRepositoryUri`. What is not
        given is `null`, but `slsaLevel` is `"L0"`; times are UTC with six digits, as in `2026-01-31T12:00:00.000000Z`;
        characters beyond ASCII stand as they are (all of it: domain/canonical.py). For a build of which only the
        builder is told:

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
    """A key to be registered. `key_id` is what signatures call it, `public_key` its SPKI PEM."""

    name: str
    key_id: str
    algorithm: KeyAlgorithm
    public_key: str


@dataclass(frozen=True, slots=True)
class ProvenanceKey:
    """A public key whose signatures count. `key_id` is what signatures call it, `public_key` its SPKI PEM."""

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
    """What one look at a claim found, and why. `key` made the good signature; without one nothing is verified."""

    status: CheckStatus
    reason: str
    key: ProvenanceKey | None = None
    predicate_type: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A finding as it was recorded. `signer` is the `key_id` of the key."""

    n: int
    status: CheckStatus
    reason: str
    key_id: UUID | None
    signer: str | None
    predicate_type: str | None
    created_at: datetime

    def repeats(self, finding: ProvenanceFinding) -> bool:
        """Whether the finding says nothing that this check does not."""
        key_id = finding.key.id if finding.key else None
        found = (finding.status, finding.reason, key_id, finding.predicate_type)
        return found == (self.status, self.reason, self.key_id, self.predicate_type)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Recorded provenance of an artifact with its newest check. `report_id` is the artifact's id on the wire."""

    id: UUID
    report_id: UUID
    trail_id: UUID
    claim: ProvenanceClaim
    created_at: datetime
    check: Check
