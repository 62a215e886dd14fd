"""What the gate is asked, and the reports of artifacts that its answers are about."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from domain.audit.events import Actor
from domain.environments.environments import Environment
from domain.errors import Invalid, NotFound
from domain.tenant import Tenant
from storage.database import Transaction
from storage.environments.queries.environments import named_environments, the_only_one
from storage.facts.queries.flows import get_flow
from storage.facts.queries.held_reports import HeldReport, Subject, held_reports, only_digests
from storage.facts.queries.trails import flows_of_trails
from storage.gates.queries.opinions import Opinions


@dataclass(frozen=True, slots=True)
class Question:
    """A request to decide whether an artifact may be deployed.

    `environments` are the ids or names of the one environment that it is to be deployed to, none if that is not known.
    `digest`, in its stored form, may be None if `trail_id` is that of a trail with one artifact. `claimed_by` is the
    asker that the request names: shown, never trusted. `opinions` are what bundles of OPA said that policies name.
    """

    actor: Actor
    digest: str | None
    environments: tuple[str, ...] = ()
    flow_id: UUID | None = None
    trail_id: UUID | None = None
    claimed_by: str | None = None
    opinions: Opinions = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """A question, with the environment and the reports of the artifact that it is about, the newest report first.

    If the question names a flow or a trail, the report there comes first. Those of other flows count as well for an
    environment: nobody chooses whose evidence its policies look at.
    """

    question: Question
    subject: Subject
    environment: Environment | None
    reports: Sequence[HeldReport]

    @property
    def environment_id(self) -> UUID | None:
        """The id of the environment, if there is one."""
        return self.environment.id if self.environment else None

    @property
    def flows(self) -> Collection[UUID]:
        """The flows whose own policies apply: the named one, else all that reported the artifact."""
        narrowed = self.question.flow_id or self.question.trail_id
        return {one.flow_id for one in (self.reports[:1] if narrowed else self.reports)}


async def cases_of(tx: Transaction, tenant: Tenant, questions: Sequence[Question]) -> list[Case]:
    """Return what each question is about, with the trails of the reports locked.

    Raises NotFound for an unknown environment, flow or trail, and for what is outside the tenant's scopes, and Invalid
    for a trail that does not have just one artifact, if none is named.
    """
    names = {name for one in questions for name in one.environments}
    places = await named_environments(tx, tenant, names) if names else {}
    named = await _subjects(tx, tenant, questions)
    narrowed = [n for n, one in enumerate(questions) if one.environments and (one.flow_id or one.trail_id)]
    found = await held_reports(tx, tenant, [*named, *(Subject(named[n].digest) for n in narrowed)])
    others = {n: found.get(place, ()) for place, n in enumerate(narrowed, len(named))}
    cases = [
        Case(
            one,
            named[n],
            the_only_one([places[name] for name in one.environments]),
            _together(found.get(n, ()), others.get(n, ())),
        )
        for n, one in enumerate(questions)
    ]
    await _check_flows(tx, tenant, cases)
    _check_scopes(tenant, cases)
    return cases


def _together(named: Sequence[HeldReport], everywhere: Sequence[HeldReport]) -> Sequence[HeldReport]:
    """Return the reports that a question names, and those of the other flows; nothing if it names none."""
    flows = {one.flow_id for one in named}
    return [*named, *(one for one in everywhere if one.flow_id not in flows)] if named else ()


async def _subjects(tx: Transaction, tenant: Tenant, questions: Sequence[Question]) -> list[Subject]:
    """Return the artifact of each question."""
    trail_ids = [one.trail_id for one in questions if one.trail_id]
    if not trail_ids:
        return [Subject(_named(one.digest), one.flow_id) for one in questions]
    flows = await flows_of_trails(tx, tenant, trail_ids)
    for one in questions:
        if one.trail_id and (one.trail_id not in flows or one.flow_id not in (None, flows[one.trail_id])):
            raise NotFound(f"There is no trail {one.trail_id}" + (" in this flow." if one.flow_id else "."))
    unnamed = [one.trail_id for one in questions if one.trail_id and one.digest is None]
    digests = await only_digests(tx, tenant, unnamed) if unnamed else {}
    return [
        Subject(_named(one.digest) if one.digest else _only_digest(one, digests), one.flow_id, one.trail_id)
        for one in questions
    ]


def _named(digest: str | None) -> str:
    if digest is None:
        raise Invalid.of("artifactSha256", "is required, unless trailId is given")
    return digest


def _only_digest(question: Question, digests: Mapping[UUID, str | None]) -> str:
    digest = digests.get(question.trail_id) if question.trail_id else None
    if digest is None:
        many = f"has {'several artifacts' if question.trail_id in digests else 'no artifact'}"
        raise Invalid.of("artifactSha256", f"is required, because trail {question.trail_id} {many}")
    return digest


async def _check_flows(tx: Transaction, tenant: Tenant, cases: Sequence[Case]) -> None:
    """Raise NotFound for a flow that does not exist. One that reported the artifact does."""
    for flow_id in {case.question.flow_id for case in cases if not case.reports}:
        if flow_id is not None:
            await get_flow(tx, tenant.unscoped, flow_id)


def _check_scopes(tenant: Tenant, cases: Sequence[Case]) -> None:
    """Raise NotFound for an artifact outside the scopes, unless the environment is within them: that was checked."""
    if tenant.scopes is None:
        return
    for case in cases:
        readable = bool(case.reports) and all(one.readable for one in case.reports)
        of_own_flow = case.question.flow_id in tenant.scopes.flows
        if case.environment is None and not readable and not of_own_flow:
            raise NotFound(f"There is no artifact {case.subject.digest}.")
