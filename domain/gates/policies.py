"""Policies: what must be true of an artifact before it is deployed.

A deployment policy is about a flow, and about one environment or all of them. An attachable policy is about whatever it
is attached to: environments and flows. Both are made of the same settings, which compile to one set of rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.facts.requirements import Requirement
from domain.gates.policy_documents import parse_policy_document
from domain.gates.rules import Check, Rule, RuleSet

MAX_TYPES = 200
MAX_BUNDLES = 10
MAX_POLICIES = 100
"""Policies that may be attached to one environment or one flow, and active deployment policies of one flow."""


class PolicyKind(StrEnum):
    """How it is said what a policy applies to."""

    ATTACHABLE = "attachable"
    DEPLOYMENT = "deployment"


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What a policy demands. `yaml` is a policy file, whose rules count beside the others.

    With `verify_provenance` a registered key must have signed the provenance. `opa_bundles` are names of bundles whose
    active versions must allow the artifact.
    """

    name: str
    description: str = ""
    is_active: bool = True
    enforce_provenance: bool = False
    verify_provenance: bool = False
    enforce_approvals: bool = False
    enforce_trail_compliance: bool = False
    require_signature: bool = False
    block_failed_scans: bool = False
    required_types: Sequence[str] = ()
    opa_bundles: Sequence[str] = ()
    yaml: str | None = None

    def changed(self, change: dict[str, Any]) -> "PolicySettings":
        """Return the settings with the changed fields."""
        return replace(self, **change)

    def compiled(self) -> RuleSet:
        """Return the rules. Raises Invalid for a policy file that cannot be read."""
        own = tuple(self._flagged())
        written = parse_policy_document(self.yaml) if self.yaml is not None else ()
        return RuleSet(tuple(dict.fromkeys((*own, *written))))

    def _flagged(self) -> Iterator[Rule]:
        for kind in self.required_types:
            yield Rule(Check.ATTESTATION, Requirement(kind))
        if self.verify_provenance or self.enforce_provenance:
            yield Rule(Check.VERIFIED_PROVENANCE if self.verify_provenance else Check.PROVENANCE)
        flags = {
            Check.SIGNATURE: self.require_signature,
            Check.APPROVAL: self.enforce_approvals,
            Check.TRAIL_COMPLIANCE: self.enforce_trail_compliance,
            Check.SECURITY_SCANS: self.block_failed_scans,
        }
        yield from (Rule(check) for check, enforced in flags.items() if enforced)
        for bundle in self.opa_bundles:
            yield Rule(Check.OPA, bundle=bundle)


@dataclass(frozen=True, slots=True)
class NewPolicy:
    """A policy to create. Only a deployment policy has a flow, and may have an environment."""

    kind: PolicyKind
    settings: PolicySettings
    flow_id: UUID | None = None
    environment_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with its newest version."""

    id: UUID
    org_id: UUID
    kind: PolicyKind
    version: int
    settings: PolicySettings
    flow_id: UUID | None
    environment_id: UUID | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A policy to attach, to either an environment or a flow."""

    policy_id: UUID
    environment_id: UUID | None = None
    flow_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A policy that is attached to an environment or to a flow."""

    id: UUID
    org_id: UUID
    policy_id: UUID
    environment_id: UUID | None
    flow_id: UUID | None
    version: int
    created_at: datetime
