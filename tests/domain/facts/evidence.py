"""Short ways to write down what a trail shows and what a flow asks for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Asked, Candidate, LatestResult
from domain.facts.requirements import ArtifactSlot, Requirement, RequirementSet

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
APP = Candidate("app", DIGEST)


def newest(
    kind: str,
    status: str = "PASSED",
    name: str | None = None,
    *,
    identity: str | None = None,
    minute: int = 0,
    slot: str = "",
    digest: str = "",
) -> LatestResult:
    """The newest attestation of an identity; `minute` counts from noon and makes the id as well."""
    at, identity = NOON + timedelta(minutes=minute), identity or name or f"type:{kind}"
    return LatestResult(identity, name, kind, slot, digest, ResultStatus(status), at, UUID(int=minute), 1)


def named(name: str, kind: str = "*", condition: str | None = None) -> Requirement:
    return Requirement(kind, name, condition)


def template(*trail: Requirement, **artifacts: list[Requirement]) -> Asked:
    slots = tuple(ArtifactSlot(name, tuple(asked)) for name, asked in artifacts.items())
    return Asked(
        RequirementSet(tuple(trail), slots), approval=False, flow_name="payments", flow_tags=(("tier", "gold"),)
    )


def types(*kinds: str, approval: bool = False) -> Asked:
    return Asked(RequirementSet.of_types(kinds), approval, "payments")
