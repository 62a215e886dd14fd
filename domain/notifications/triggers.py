"""Triggers and the notices they raise. Only this module decides which fact raises which trigger.

A command that records such a fact calls the trigger's function and passes the notice to
`storage.notifications.commands.notices.raise_notices` within its own transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class Trigger(StrEnum):
    """The event that makes a rule send a message."""

    ATTESTATION_FAILED = "ATTESTATION_FAILED"
    GATE_BLOCKED = "GATE_BLOCKED"
    DRIFT_DETECTED = "DRIFT_DETECTED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    TRAIL_NON_COMPLIANT = "TRAIL_NON_COMPLIANT"
    APPROVAL_REJECTED = "APPROVAL_REJECTED"


CONCERNING_FLOWS = frozenset(Trigger) - {Trigger.DRIFT_DETECTED}
CONCERNING_ENVIRONMENTS = frozenset({Trigger.GATE_BLOCKED, Trigger.DRIFT_DETECTED})
"""The triggers whose notices name a flow, and those whose notices name an environment."""


class Severity(StrEnum):
    """The severity of a notice."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class Notice:
    """One event to notify. A destination receives the notices of one `subject` in the order they were raised."""

    trigger: Trigger
    severity: Severity
    title: str
    message: str
    entity_type: str
    entity_id: UUID
    subject: str
    flow_id: UUID | None = None
    environment_id: UUID | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def attestation_failed(attestation_id: UUID, trail_id: UUID, flow_id: UUID, label: str, details: str | None) -> Notice:
    """Make the notice of an attestation whose newest result is FAILED. `label` is its name, else its type."""
    return Notice(
        Trigger.ATTESTATION_FAILED,
        Severity.WARNING,
        title=f"Attestation {label} failed",
        message=details or f"The attestation {label} was reported as FAILED.",
        entity_type="ATTESTATION",
        entity_id=attestation_id,
        subject=f"trail:{trail_id}",
        flow_id=flow_id,
        data={"trailId": str(trail_id), "attestation": label},
    )


def trail_non_compliant(trail_id: UUID, flow_id: UUID, flow_name: str) -> Notice:
    """Make the notice of a trail whose status became NON_COMPLIANT."""
    return Notice(
        Trigger.TRAIL_NON_COMPLIANT,
        Severity.CRITICAL,
        title=f"A trail of {flow_name} is not compliant",
        message=f"The trail {trail_id} of the flow {flow_name} turned NON_COMPLIANT.",
        entity_type="TRAIL",
        entity_id=trail_id,
        subject=f"trail:{trail_id}",
        flow_id=flow_id,
        data={"trailId": str(trail_id), "flow": flow_name},
    )
