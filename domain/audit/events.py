"""Audit events: their names, their actors, and the record that each one seals."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit.records import RecordForm


class AuditName(StrEnum):
    """Every name of an audit event. API dialects map these names to their own and back."""

    ORGANISATION_CREATED = "organisation.created"
    ORGANISATION_UPDATED = "organisation.updated"
    ORGANISATION_DELETED = "organisation.deleted"
    PRINCIPAL_CREATED = "principal.created"
    PRINCIPAL_UPDATED = "principal.updated"
    PRINCIPAL_DELETED = "principal.deleted"
    PRINCIPAL_ERASED = "principal.erased"
    MEMBERSHIP_CREATED = "membership.created"
    MEMBERSHIP_UPDATED = "membership.updated"
    MEMBERSHIP_DELETED = "membership.deleted"
    API_KEY_CREATED = "api_key.created"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    SSO_CONFIG_CREATED = "sso_config.created"
    SSO_CONFIG_UPDATED = "sso_config.updated"
    SSO_CONFIG_DELETED = "sso_config.deleted"
    SSO_IDENTITY_CREATED = "sso_identity.created"
    SSO_IDENTITY_UPDATED = "sso_identity.updated"
    SSO_IDENTITY_DELETED = "sso_identity.deleted"
    WORKLOAD_IDENTITY_CREATED = "workload_identity.created"
    WORKLOAD_IDENTITY_UPDATED = "workload_identity.updated"
    WORKLOAD_IDENTITY_DELETED = "workload_identity.deleted"
    INVITATION_CREATED = "invitation.created"
    INVITATION_RESENT = "invitation.resent"
    INVITATION_ACCEPTED = "invitation.accepted"
    INVITATION_REVOKED = "invitation.revoked"
    SESSION_STARTED = "session.started"
    SESSION_REVOKED = "session.revoked"
    API_KEY_ERASED = "api_key.erased"
    FLOW_CREATED = "flow.created"
    FLOW_UPDATED = "flow.updated"
    FLOW_DELETED = "flow.deleted"
    TRAIL_CREATED = "trail.created"
    TRAIL_UPDATED = "trail.updated"
    ATTESTATION_RECORDED = "attestation.recorded"
    ATTESTATION_PROCESSED = "attestation.processed"
    ARTIFACT_REPORTED = "artifact.reported"
    ARTIFACT_DEPLOYED = "artifact.deployed"
    ARTIFACT_UPDATED = "artifact.updated"
    ARTIFACT_REMOVED = "artifact.removed"
    ENVIRONMENT_CREATED = "environment.created"
    ENVIRONMENT_UPDATED = "environment.updated"
    ENVIRONMENT_DELETED = "environment.deleted"
    ENVIRONMENT_STALE = "environment.stale"
    ENVIRONMENT_REPORTED = "environment.reported"
    SNAPSHOT_RECORDED = "snapshot.recorded"
    BASELINE_CREATED = "baseline.created"
    BASELINE_REPLACED = "baseline.replaced"
    DRIFT_DETECTED = "drift.detected"
    DRIFT_CHANGED = "drift.changed"
    DRIFT_RESOLVED = "drift.resolved"
    DRIFT_CHECKED = "drift.checked"
    ALLOWLIST_ADDED = "allowlist.added"
    ALLOWLIST_REMOVED = "allowlist.removed"
    ALLOWLIST_USED = "allowlist.used"
    EVIDENCE_UPLOADED = "evidence.uploaded"
    EVIDENCE_ACCESSED = "evidence.accessed"
    PROVENANCE_RECORDED = "provenance.recorded"
    PROVENANCE_VERIFIED = "provenance.verified"
    PROVENANCE_KEY_CREATED = "provenance_key.created"
    PROVENANCE_KEY_DELETED = "provenance_key.deleted"
    GATE_ALLOWED = "gate.allowed"
    GATE_BLOCKED = "gate.blocked"
    POLICY_CREATED = "policy.created"
    POLICY_UPDATED = "policy.updated"
    POLICY_DELETED = "policy.deleted"
    POLICY_ATTACHMENT_CREATED = "policy_attachment.created"
    POLICY_ATTACHMENT_DELETED = "policy_attachment.deleted"
    POLICY_EVALUATED = "policy.evaluated"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_GRANTED = "approval.granted"
    APPROVAL_REJECTED = "approval.rejected"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_OVERRIDDEN = "approval.overridden"
    APPROVAL_RESOLVED = "approval.resolved"
    OPA_BUNDLE_CREATED = "opa_bundle.created"
    OPA_BUNDLE_ACTIVATED = "opa_bundle.activated"
    OPA_BUNDLE_DEACTIVATED = "opa_bundle.deactivated"
    OPA_BUNDLE_DELETED = "opa_bundle.deleted"
    SECURITY_SCAN_RECORDED = "security_scan.recorded"
    SECURITY_THRESHOLD_CREATED = "security_threshold.created"
    SECURITY_THRESHOLD_UPDATED = "security_threshold.updated"
    SECURITY_THRESHOLD_DELETED = "security_threshold.deleted"
    WEBHOOK_CONFIG_CREATED = "webhook_config.created"
    WEBHOOK_CONFIG_ROTATED = "webhook_config.rotated"
    WEBHOOK_CONFIG_DELETED = "webhook_config.deleted"
    WEBHOOK_CONFIG_RECONCILED = "webhook_config.reconciled"
    NOTIFICATION_RULE_CREATED = "notification_rule.created"
    NOTIFICATION_RULE_UPDATED = "notification_rule.updated"
    NOTIFICATION_RULE_ROTATED = "notification_rule.rotated"
    NOTIFICATION_RULE_DELETED = "notification_rule.deleted"
    SIGNING_KEY_ROTATED = "signing_key.rotated"
    ACCESS_DENIED = "access.denied"

    @property
    def v1(self) -> str:
        """The OpenFactstore spelling, such as `ATTESTATION_RECORDED`."""
        return self.value.replace(".", "_").upper()


ERASURES = frozenset({AuditName.PRINCIPAL_ERASED, AuditName.API_KEY_ERASED})
"""Each records that the content of earlier events of its record was erased."""

V1_NAMES: Mapping[str, AuditName] = {name.v1: name for name in AuditName}
"""Audit names by their OpenFactstore spelling."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, with which credential, in which request and region. Ids only: ledger leaves contain no names."""

    principal_id: UUID
    credential_id: UUID | None = None
    request_id: str | None = None
    region: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one record.

    `record` is the row after the change, as `form` declares it; `payload` is what the audit page shows.
    """

    name: AuditName
    actor: Actor
    form: RecordForm
    record: Mapping[str, Any]
    payload: Mapping[str, Any]
    trail_id: UUID | None = None
    environment_id: UUID | None = None
    digest: str | None = None
