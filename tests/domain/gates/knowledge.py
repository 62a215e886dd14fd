"""Short ways to write down policies and what is known of an artifact."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome, Resolution
from domain.facts.requirements import Requirement, RequirementSet
from domain.gates.evaluation import Evidence, PolicyVersion
from domain.gates.rules import Check, Rule, RuleSet
from tests.domain.facts.evidence import APP, NOON, types

PRODUCTION, STAGING = UUID(int=1), UUID(int=2)
PAYMENTS, ORDERS = UUID(int=11), UUID(int=12)
POLICY = UUID(int=21)


def policy(*rules: Rule, **fields: Any) -> PolicyVersion:
    return PolicyVersion(POLICY, 3, "release", RuleSet(rules), **fields)


def unreadable() -> PolicyVersion:
    return PolicyVersion(POLICY, 3, "release", RuleSet.from_json("garbage"))


def wants(kind: str, condition: str | None = None, *, name: str | None = None, **fields: Any) -> Rule:
    return Rule(Check.ATTESTATION, Requirement(kind, name, condition), **fields)


def known(*latest: Any, flow: UUID = PAYMENTS, **fields: Any) -> Evidence:
    """What the trail of one flow shows of the artifact."""
    return replace(Evidence(flow, UUID(int=flow.int + 100), APP, types(), latest), **fields)


def approval(
    resolution: Resolution = Resolution.APPROVED,
    *,
    minute: int = 0,
    digest: str | None = None,
    environment: UUID | None = None,
    roles: tuple[str, ...] = (),
) -> ApprovalOutcome:
    at = NOON + timedelta(minutes=minute)
    return ApprovalOutcome(UUID(int=minute), UUID(int=111), resolution, digest, environment, roles, at)


def unread_template() -> Any:
    """What a flow asks for whose template cannot be read."""
    return replace(types(), requirements=RequirementSet(problem="the stored template cannot be read"))
