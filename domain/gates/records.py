"""The record forms of the gate."""

from domain.audit.records import RecordForm
from domain.identity.permissions import Permission

APPROVAL = RecordForm(
    kind="approval",
    format=1,
    columns=(
        "id",
        "org_id",
        "trail_id",
        "flow_id",
        "digest",
        "environment_id",
        "rule",
        "comments",
        "newest_commit",
        "oldest_commit",
        "requested_by",
        "requester",
        "claimed_by",
        "author",
        "deadline",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)
"""An approval as it was requested; what became of it follows from its decisions and its deadline."""

APPROVAL_DECISION = RecordForm(
    kind="approval_decision",
    format=1,
    columns=(
        "id",
        "org_id",
        "approval_id",
        "decider",
        "resolution",
        "overrides",
        "comments",
        "meets",
        "roles",
        "decided_by",
        "claimed_by",
        "created_at",
    ),
    read=Permission.FACTS_READ,
)

APPROVAL_EXPIRY = RecordForm(kind="approval_expiry", format=1, columns=(), read=Permission.FACTS_READ)
"""An approval that expired undecided. It consists of its event."""
