"""Parse Bitbucket's events, by Atlassian's "Event payloads" of Bitbucket Cloud and of Bitbucket Data Center."""

from collections.abc import Callable, Mapping

from integrations.bitbucket.payloads import (
    Account,
    Approval,
    ApprovedEvent,
    Author,
    CommitStatusEvent,
    DataCenterPullRequestEvent,
    Event,
    Participant,
    ProjectRepository,
    PullRequestEvent,
    PushEvent,
    RefsChangedEvent,
    ReviewerApprovedEvent,
    User,
)
from integrations.contract import Delivery, Parsed, TrailHint
from integrations.deliveries import Meaning, attested, identity_of, meaning_of, outcome_of, read, shown

_STATES: Mapping[str, Meaning] = {
    "INPROGRESS": Meaning("started"),
    "SUCCESSFUL": Meaning("succeeded", "PASSED"),
    "FAILED": Meaning("failed", "FAILED"),
    # A person stopped it: the code was not checked, so an earlier result remains valid.
    "STOPPED": Meaning("cancelled"),
}
"""The suffix of the event type and the attested status, by state."""


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one event; unknown ones become `bitbucket.<event key>` and record nothing.

    Raises BadDelivery, naming the field.
    """
    key = delivery.event or "event"
    reader = _READERS.get(key)
    return reader(key, delivery.body) if reader else _kept(key)


def _push(key: str, body: bytes) -> Parsed:
    """Name the trail of the first branch that the push updated. Tags and deletions record nothing."""
    event = read(PushEvent, body)
    sender = _name(event.actor)
    tip = next((change.new for change in event.push.changes if change.new and change.new.type == "branch"), None)
    if tip is None:
        return _kept(key, sender)
    return Parsed("push", sender, _trail(event, tip.target.hash, tip.name, sender, tip.target.author))


def _pull_request(key: str, body: bytes) -> Parsed:
    event = read(PullRequestEvent, body)
    return Parsed(_action(key), _name(event.actor), _of_pull_request(event), observed_at=event.pullrequest.updated_on)


def _approved(key: str, body: bytes) -> Parsed:
    event = read(ApprovedEvent, body)
    approval = event.approval or Approval()
    trail = _of_pull_request(event, _name(approval.user))
    return Parsed(_action(key), _name(event.actor), trail, observed_at=approval.date)


def _commit_status(_key: str, body: bytes) -> Parsed:
    """Parse the status of a commit, reported by Bitbucket Pipelines or by another CI system."""
    event = read(CommitStatusEvent, body)
    status = event.commit_status
    sender = _name(event.actor)
    commit = status.links.commit.href.rpartition("/")[2].lower()
    written = status.commit.author if status.commit else None
    trail = _trail(event, commit, status.refname, sender, written, build_url=status.url or None)
    meaning = meaning_of(status.state, _STATES)
    # Told apart by the key, because a commit has one status per key. The status' own name contains the number of the
    # run ("Pipeline #7 for main"), so a successful rerun would not replace the earlier failure.
    identity = identity_of("status", status.key)
    details = outcome_of("build", status.name or status.key, status.state)
    attestations = attested("BUILD", meaning.status, status.key, details, status.url, identity=identity)
    return Parsed(f"build.{meaning.ending}", sender, trail, attestations, status.updated_on, meaning.unknown)


def _refs_changed(key: str, body: bytes) -> Parsed:
    event = read(RefsChangedEvent, body)
    sender = _user(event.actor)
    tip = next((change for change in event.changes if change.ref.type == "BRANCH" and change.type != "DELETE"), None)
    if tip is None:
        return _kept(key, sender)
    trail = TrailHint(
        commit=tip.to_hash, branch=tip.ref.display_id, author=sender, repository=_full_name(event.repository)
    )
    return Parsed("push", sender, trail, observed_at=event.date)


def _data_center_pull_request(key: str, body: bytes) -> Parsed:
    event = read(DataCenterPullRequestEvent, body)
    return Parsed(_action(key), _user(event.actor), _of_data_center_pull_request(event), observed_at=event.date)


def _reviewer_approved(key: str, body: bytes) -> Parsed:
    event = read(ReviewerApprovedEvent, body)
    trail = _of_data_center_pull_request(event, _participant(event.participant))
    return Parsed(_action(key), _user(event.actor), trail, observed_at=event.date)


def _kept(key: str, actor: str | None = None) -> Parsed:
    return Parsed(f"bitbucket.{key}", actor)


def _action(key: str) -> str:
    return f"pull_request.{key.rpartition(':')[2]}"


def _name(account: Account | None) -> str | None:
    return (account.nickname or account.display_name or None) if account else None


def _user(user: User | None) -> str | None:
    return (user.name or None) if user else None


def _participant(participant: Participant | None) -> str | None:
    return _user(participant.user) if participant else None


def _full_name(repository: ProjectRepository | None) -> str | None:
    return shown(f"{repository.project.key}/{repository.slug}") if repository else None


def _of_pull_request(event: PullRequestEvent, reviewer: str | None = None) -> TrailHint | None:
    request = event.pullrequest
    if request.source.commit is None:
        return None
    return TrailHint(
        commit=request.source.commit.hash,
        branch=(request.source.branch.name or None) if request.source.branch else None,
        author=_name(request.author) or _name(event.actor),
        repository=_repository(event),
        pull_request=str(request.id) if request.id else None,
        pull_request_reviewer=reviewer,
    )


def _of_data_center_pull_request(event: DataCenterPullRequestEvent, reviewer: str | None = None) -> TrailHint:
    request = event.pull_request
    return TrailHint(
        commit=request.from_ref.latest_commit,
        branch=request.from_ref.display_id or None,
        author=_participant(request.author) or _user(event.actor),
        repository=_full_name(request.to_ref.repository) if request.to_ref else None,
        pull_request=str(request.id) if request.id else None,
        pull_request_reviewer=reviewer,
    )


def _repository(event: Event) -> str | None:
    return (event.repository.full_name or None) if event.repository else None


def _trail(
    event: Event,
    commit: str,
    branch: str | None,
    login: str | None,
    written: Author | None,
    *,
    build_url: str | None = None,
) -> TrailHint:
    name, _, address = (written.raw or "" if written else "").partition("<")
    return TrailHint(
        commit=commit,
        branch=branch or None,
        author=shown(name.strip()) or login,
        author_email=shown(address.strip(" >")) or None,
        repository=_repository(event),
        build_url=build_url,
    )


_READERS: Mapping[str, Callable[[str, bytes], Parsed]] = {
    "repo:push": _push,
    "repo:commit_status_created": _commit_status,
    "repo:commit_status_updated": _commit_status,
    "pullrequest:created": _pull_request,
    "pullrequest:updated": _pull_request,
    "pullrequest:approved": _approved,
    "pullrequest:unapproved": _pull_request,
    "pullrequest:fulfilled": _pull_request,
    "pullrequest:rejected": _pull_request,
    "repo:refs_changed": _refs_changed,
    "pr:opened": _data_center_pull_request,
    "pr:from_ref_updated": _data_center_pull_request,
    "pr:reviewer:approved": _reviewer_approved,
    "pr:reviewer:unapproved": _data_center_pull_request,
    "pr:merged": _data_center_pull_request,
    "pr:declined": _data_center_pull_request,
    "diagnostics:ping": lambda _key, _body: Parsed("ping"),
}
