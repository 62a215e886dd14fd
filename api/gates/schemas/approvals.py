"""Request and response models of approvals."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AliasChoices, BeforeValidator, Field, StringConstraints, model_validator

from api.http.calls import Call
from api.http.digests import Sha256
from api.http.paging import ListQuery
from api.http.texts import Flag, Long, Name, Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.errors import Invalid
from domain.facts.approvals import Resolution
from domain.gates.approvals import MAX_NAMED, ApprovalRule, ApprovalStatus, Decider, NewApproval, NewDecision
from storage.gates.queries.approvals import DecidedApproval
from storage.gates.queries.approvers import Approver


def _filled(texts: Any) -> Any:
    return [text for text in texts if text != ""] if isinstance(texts, list) else texts


_Names = Annotated[list[Name], BeforeValidator(_filled), Field(max_length=MAX_NAMED)]


class _BlankIsAbsent(WireIn):
    """A request in which an empty text is the same as none: scripts send variables that are not set."""

    @model_validator(mode="before")
    @classmethod
    def _drop_blanks(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if not (isinstance(value, str) and not value.strip())}


class ApprovalIn(_BlankIsAbsent):
    """An approval to request, for the whole trail or, with `artifactSha256`, for an artifact that it reported.

    Every one of `requiredApprovers` has to approve, somebody of each of `requiredRoles` and `requiredGroups`, and
    `minimumApprovals` people in all. An approver is named by id, e-mail address or username. Where anybody is named,
    nobody else may decide. A required role that is no role of Trailgate is that of a group. With an environment, the
    approval counts there only. `requestedBy` is returned as claimed; the audit event names the authenticated caller. An
    unknown name is refused: it may be a misspelt demand, without which more people could approve.
    """

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {
            "examples": [
                {
                    "comments": "Release 1.4",
                    "minimumApprovals": 1,
                    "allowRequester": True,
                    "deadline": "2999-01-31T12:00:00Z",
                },
                {
                    "requiredApprovers": ["ada@example.com"],
                    "requiredRoles": ["ADMIN"],
                    "artifactSha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "targetEnvironment": "production",
                },
            ]
        },
    }

    trail_id: Annotated[UUID | None, Field(description="That of the path, if given")] = None
    required_approvers: _Names = []
    required_roles: _Names = []
    required_groups: _Names = []
    minimum_approvals: Annotated[int, Field(strict=True, ge=1, le=MAX_NAMED)] = 1
    allow_requester: Annotated[Flag, Field(description="Whoever requests it may decide it")] = False
    allow_author: Annotated[Flag, Field(description="The author of the commit may decide it")] = False
    artifact_sha256: Annotated[
        Sha256 | None, Field(validation_alias=AliasChoices("artifactSha256", "sha256Digest", "digest"))
    ] = None
    environment_id: UUID | None = None
    target_environment: Annotated[
        Short | None,
        Field(
            validation_alias=AliasChoices("targetEnvironment", "environment"),
            description="Name or id of an environment, in place of environmentId",
        ),
    ] = None
    comments: Annotated[Long | None, Field(validation_alias=AliasChoices("comments", "reason"))] = None
    newest_commit: Short | None = None
    oldest_commit: Short | None = None
    requested_by: Short | None = None
    deadline: Annotated[Instant | None, Field(description="When it expires; null for never")] = None

    def to_command(self, trail_id: UUID, requester: Decider) -> NewApproval:
        """Return the input of the command. Raises Invalid for another trail than that of the path."""
        if self.trail_id not in (None, trail_id):
            raise Invalid.of("trailId", "is not the trail of the path; leave it out")
        rule = ApprovalRule(
            approvers=tuple(dict.fromkeys(self.required_approvers)),
            groups=tuple(self.required_groups),
            minimum=self.minimum_approvals,
            allow_requester=self.allow_requester,
            allow_author=self.allow_author,
        )
        return NewApproval(
            trail_id=trail_id,
            requester=requester.key,
            rule=rule.requiring(self.required_roles),
            digest=self.artifact_sha256,
            environment_id=self.environment_id,
            environment_name=self.target_environment,
            comments=self.comments,
            newest_commit=self.newest_commit,
            oldest_commit=self.oldest_commit,
            claimed_by=self.requested_by,
            deadline=self.deadline,
        )


class GrantIn(_BlankIsAbsent):
    """An approval by the authenticated caller. `approverIdentity` is shown as claimed, and never trusted.

    `approvedBy` and `comment` are other names of the fields.
    """

    model_config = {"json_schema_extra": {"examples": [{"comments": "Tested in staging"}]}}

    approver_identity: Annotated[
        Short | None, Field(validation_alias=AliasChoices("approverIdentity", "approvedBy"))
    ] = None
    comments: Annotated[Long | None, Field(validation_alias=AliasChoices("comments", "comment"))] = None

    def to_command(self, decider: Decider) -> NewDecision:
        """Return the input of the command."""
        return NewDecision(decider, Resolution.APPROVED, self.comments, self.approver_identity)


class RejectionIn(_BlankIsAbsent):
    """A rejection by the authenticated caller. `approverIdentity` is shown as claimed, and never trusted.

    `rejectedBy`, `comment` and `reason` are other names of the fields.
    """

    model_config = {"json_schema_extra": {"examples": [{"comments": "The migration cannot be undone"}]}}

    approver_identity: Annotated[
        Short | None, Field(validation_alias=AliasChoices("approverIdentity", "rejectedBy"))
    ] = None
    comments: Annotated[Long | None, Field(validation_alias=AliasChoices("comments", "comment", "reason"))] = None

    def to_command(self, decider: Decider) -> NewDecision:
        """Return the input of the command."""
        return NewDecision(decider, Resolution.REJECTED, self.comments, self.approver_identity)


class BreakGlassIn(_BlankIsAbsent):
    """Why an approval is granted without those who have to approve."""

    model_config = {
        "json_schema_extra": {"examples": [{"reason": "Incident 4711: payments fail, nobody else is awake"}]}
    }

    reason: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    approver_identity: Short | None = None

    def to_command(self, decider: Decider) -> NewDecision:
        """Return the input of the command."""
        return NewDecision(decider, Resolution.APPROVED, self.reason, self.approver_identity, overrides=True)


class DecisionOut(WireModel):
    """A decision. `approverIdentity` is as claimed, else the caller's name; the other two fields are authenticated."""

    id: UUID
    approval_id: UUID
    approver_identity: str = shows("name")
    decider_id: UUID = shows("decided_by")
    decider_name: str = shows("principal_name")
    decision: Resolution = shows("resolution")
    comments: str | None
    decided_at: Instant = shows("created_at")


class BreakGlassOut(WireModel):
    """Who granted an approval without those who have to approve, when and why."""

    reason: str = shows("comments")
    used_by: str = shows("principal_name")
    used_by_id: UUID = shows("decided_by")
    used_at: Instant = shows("created_at")


class ApprovalOut(WireModel):
    """An approval with its decisions. It is EXPIRED from its deadline on.

    `requiredRoles` and `requiredGroups` contain those that the flow requires. `breakGlass` is null unless somebody
    granted it without those who have to approve.
    """

    id: UUID
    trail_id: UUID
    flow_id: UUID
    status: ApprovalStatus
    required_approvers: list[str]
    required_roles: list[str]
    required_groups: list[str]
    minimum_approvals: int
    allow_requester: bool
    allow_author: bool
    artifact_sha256: str | None
    environment_id: UUID | None
    comments: str | None
    newest_commit: str | None
    oldest_commit: str | None
    requested_by: str
    requested_by_id: UUID
    requested_at: Instant
    deadline: Instant | None
    resolved_at: Instant | None
    decisions: list[DecisionOut]
    break_glass: BreakGlassOut | None

    @classmethod
    def of(cls, record: DecidedApproval, call: Call) -> Self:
        """Return the approval with its status now."""
        return cls.showing(record, call)

    @classmethod
    def showing(cls, record: DecidedApproval, call: Call, **further: Any) -> Self:
        """Return the approval with its status now, and with further fields."""
        approval, rule = record.approval, record.approval.rule
        status = approval.status_at(call.services.clock.now())
        override = next((one for one in record.decisions if one.overrides), None)
        return cls.filled(
            approval,
            status=status,
            required_approvers=list(rule.approvers),
            required_roles=[role.upper() for role in rule.roles],
            required_groups=list(rule.groups),
            minimum_approvals=rule.minimum,
            allow_requester=rule.allow_requester,
            allow_author=rule.allow_author,
            artifact_sha256=approval.digest,
            requested_by=approval.requester_name,
            requested_by_id=approval.requested_by,
            requested_at=approval.created_at,
            resolved_at=approval.deadline if status is ApprovalStatus.EXPIRED else approval.resolved_at,
            decisions=[DecisionOut.of(one, call) for one in record.decisions],
            break_glass=override and BreakGlassOut.of(override, call),
            **further,
        )


class ApproverOut(WireModel):
    """Somebody who may decide."""

    id: UUID
    name: str


class ApprovalDetailsOut(ApprovalOut):
    """An approval with those who may decide it now, 20 at most: members who are neither requester nor author."""

    approvers: list[ApproverOut]

    @classmethod
    def detailed(cls, record: DecidedApproval, approvers: Sequence[Approver], call: Call) -> Self:
        """Return the approval with those who may decide it."""
        return cls.showing(record, call, approvers=[ApproverOut.of(one, call) for one in approvers])


class ApprovalsQuery(ListQuery):
    """Filters of approvals. An approval must match all of them."""

    status: ApprovalStatus | None = None
    flow_id: UUID | None = None
    trail_id: UUID | None = None
    environment_id: UUID | None = None
    mine: Annotated[bool, Field(description="Only those that wait for a decision of the caller")] = False

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        names = ("status", "flow_id", "trail_id", "environment_id")
        return {name: getattr(self, name) for name in names}
