"""What people are told of. The one place that says which fact raises which trigger (integrations.md 12.2).

A command that makes such a fact calls the function of its trigger and hands the notices to
`storage.notifications.commands.notices.raise_notices`, in its own transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class Trigger(StrEnum):
    """What a rule listens for."""

    ATTESTATION_FAILED = "ATTESTATION_FAILED"
    GATE_BLOCKED = "GATE_BLOCKED"
    DRIFT_DETECTED = "DRIFT_DETECTED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    TRAIL_NON_COMPLIANT = "TRAIL_NON_COMPLIANT"
    APPROVAL_REJECTED = "APPROVAL_REJECTED"


class Severity(StrEnum):
    """How bad it is."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. Notices of one `subject` reach a destination in the order in which they were raised."""

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
    """An attestation was recorded, or judged by a processor, as FAILED. `label` is its name, else its type."""
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
    """A trail turned NON_COMPLIANT."""
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
