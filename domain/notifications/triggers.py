"""Triggers and the notices they raise. Only this module decides which fact raises which trigger.

A command that records such a fact calls the trigger's function and passes the notice to
`storage.notifications.commands.notices.raise_notices` within its own transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

MAX_TOLD = 2000
"""Characters of the reasons that a notice tells."""
MAX_LISTED = 10
"""Artifacts that a notice names."""
_HOURS = 120
"""Minutes from which a duration is told in hours."""


class Trigger(StrEnum):
    """The event that makes a rule send a message."""

    ATTESTATION_FAILED = "ATTESTATION_FAILED"
    GATE_BLOCKED = "GATE_BLOCKED"
    DRIFT_DETECTED = "DRIFT_DETECTED"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    TRAIL_NON_COMPLIANT = "TRAIL_NON_COMPLIANT"
    APPROVAL_REJECTED = "APPROVAL_REJECTED"
    BREAK_GLASS_USED = "BREAK_GLASS_USED"


CONCERNING_FLOWS = frozenset(Trigger) - {Trigger.DRIFT_DETECTED}
CONCERNING_ENVIRONMENTS = frozenset(Trigger) - {Trigger.ATTESTATION_FAILED, Trigger.TRAIL_NON_COMPLIANT}
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


def gate_blocked(
    verdict_id: UUID,
    digest: str,
    name: str,
    reason: str,
    *,
    environment: str | None,
    flow_id: UUID | None,
    environment_id: UUID | None,
) -> Notice:
    """Make the notice of an artifact that the gate does not let through, to the environment if one is named.

    `name` is the digest if nobody reported the artifact.
    """
    to = f" to {environment}" if environment else ""
    which = digest if name == digest else f"{name} ({digest})"
    return Notice(
        Trigger.GATE_BLOCKED,
        Severity.CRITICAL,
        title=f"Deployment of {name}{to} was blocked",
        message=f"The gate does not let {which} through{to}: {reason[:MAX_TOLD]}",
        entity_type="VERDICT",
        entity_id=verdict_id,
        subject=f"digest:{digest}",
        flow_id=flow_id,
        environment_id=environment_id,
        data={"sha256Digest": digest, "artifact": name, "environment": environment, "decision": "BLOCKED"},
    )


def drift_detected(environment_id: UUID, name: str, differing: Sequence[str], *, blocks: bool) -> Notice:
    """Make the notice of an environment that runs other artifacts than its baseline; `differing` are their names.

    `blocks`: the environment's policy closes the gate meanwhile.
    """
    return _of_environment(
        environment_id,
        Severity.CRITICAL if blocks else Severity.WARNING,
        title=f"{name} drifted from its baseline",
        message=f"What runs in {name} is not what its baseline approves: {_listed(differing)}."
        + (" Deployments to it are blocked until it is back in line." if blocks else ""),
        data={"environment": name, "status": "DRIFTED", "artifacts": list(differing[:MAX_LISTED])},
    )


def drift_resolved(environment_id: UUID, name: str, since: datetime, until: datetime) -> Notice:
    """Make the notice of an environment that runs what its baseline approves again."""
    return _of_environment(
        environment_id,
        Severity.INFO,
        title=f"{name} is back in line with its baseline",
        message=f"What runs in {name} is what its baseline approves, after {_spelled(until - since)} of drift.",
        data={"environment": name, "status": "IN_SYNC", "driftedSince": since.isoformat()},
    )


def environment_stale(environment_id: UUID, name: str, minutes: int, since: datetime) -> Notice:
    """Make the notice of an environment about which nothing was reported for too long."""
    return _of_environment(
        environment_id,
        Severity.WARNING,
        title=f"{name} is stale",
        message=f"Nothing was reported about {name} for {_minutes(minutes)}: nobody knows whether it drifted.",
        data={"environment": name, "status": "STALE", "staleSince": since.isoformat()},
    )


def environment_reported(environment_id: UUID, name: str) -> Notice:
    """Make the notice of a stale environment that is reported again."""
    return _of_environment(
        environment_id,
        Severity.INFO,
        title=f"{name} is reported again",
        message=f"What runs in {name} is known again.",
        data={"environment": name, "status": "REPORTED"},
    )


@dataclass(frozen=True, slots=True)
class ApprovalSubject:
    """What a notice of an approval names. `requester` is the name of whoever requested it."""

    id: UUID
    trail_id: UUID
    flow_id: UUID
    flow_name: str
    digest: str | None
    environment_id: UUID | None
    requester: str


def approval_required(
    subject: ApprovalSubject, wanted: Sequence[str], deadline: datetime | None, *, reminds: bool = False
) -> Notice:
    """Make the notice of an approval that waits for people; `wanted` says for whom, if it is not for anybody."""
    until = f" until {deadline:%Y-%m-%d %H:%M} UTC" if deadline else ""
    return _of_approval(
        Trigger.APPROVAL_REQUIRED,
        Severity.WARNING if reminds else Severity.INFO,
        subject,
        title=f"An approval of {subject.flow_name} is {'still ' if reminds else ''}waiting",
        message=f"{subject.requester} asks for the approval of {_subject(subject)}{until}, "
        f"by {_listed(wanted) if wanted else 'anybody who may decide'}.",
        data={"status": "PENDING_APPROVAL", "deadline": deadline, "requiredApprovers": list(wanted[:MAX_LISTED])},
    )


def approval_rejected(subject: ApprovalSubject, by: str, comments: str | None) -> Notice:
    """Make the notice of an approval that somebody rejected."""
    return _of_approval(
        Trigger.APPROVAL_REJECTED,
        Severity.WARNING,
        subject,
        title=f"An approval of {subject.flow_name} was rejected",
        message=f"{by} rejected {_subject(subject)}{f': {comments}' if comments else '.'}",
        data={"status": "REJECTED", "decidedBy": by},
    )


def approval_expired(subject: ApprovalSubject, deadline: datetime) -> Notice:
    """Make the notice of an approval that was not decided in time, which comes to the same as a rejection."""
    return _of_approval(
        Trigger.APPROVAL_REJECTED,
        Severity.WARNING,
        subject,
        title=f"An approval of {subject.flow_name} expired",
        message=f"{_subject(subject)} was not approved until {deadline:%Y-%m-%d %H:%M} UTC; request it again.",
        data={"status": "EXPIRED", "deadline": deadline},
    )


def break_glass_used(subject: ApprovalSubject, by: str, reason: str) -> Notice:
    """Make the notice of an approval that somebody granted against its rule."""
    return _of_approval(
        Trigger.BREAK_GLASS_USED,
        Severity.CRITICAL,
        subject,
        title=f"Break glass: an approval of {subject.flow_name} was overridden",
        message=f"{by} approved {_subject(subject)} without those who have to approve: {reason}",
        data={"status": "APPROVED", "decidedBy": by, "reason": reason},
    )


def _subject(subject: ApprovalSubject) -> str:
    what = f"the artifact {subject.digest} of" if subject.digest else "all of"
    where = f", for the environment {subject.environment_id}" if subject.environment_id else ""
    return f"{what} the trail {subject.trail_id} of the flow {subject.flow_name}{where}"


def _of_approval(
    trigger: Trigger, severity: Severity, subject: ApprovalSubject, *, title: str, message: str, data: Mapping[str, Any]
) -> Notice:
    about = {
        "approvalId": str(subject.id),
        "trailId": str(subject.trail_id),
        "flow": subject.flow_name,
        "artifactSha256": subject.digest,
        "requestedBy": subject.requester,
    }
    return Notice(
        trigger,
        severity,
        title=title,
        message=message[:1].upper() + message[1:],
        entity_type="APPROVAL",
        entity_id=subject.id,
        subject=f"trail:{subject.trail_id}",
        flow_id=subject.flow_id,
        environment_id=subject.environment_id,
        data={**about, **data},
    )


def _of_environment(
    environment_id: UUID, severity: Severity, *, title: str, message: str, data: Mapping[str, Any]
) -> Notice:
    return Notice(
        Trigger.DRIFT_DETECTED,
        severity,
        title=title,
        message=message,
        entity_type="ENVIRONMENT",
        entity_id=environment_id,
        subject=f"environment:{environment_id}",
        environment_id=environment_id,
        data={"environmentId": str(environment_id), **data},
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MAX_LISTED])
    return shown if len(names) <= MAX_LISTED else f"{shown} and {len(names) - MAX_LISTED} more"


def _spelled(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    return _minutes(minutes) if minutes < _HOURS else f"{minutes // 60} hours {_minutes(minutes % 60)}"


def _minutes(number: int) -> str:
    return "1 minute" if number == 1 else f"{number} minutes"
