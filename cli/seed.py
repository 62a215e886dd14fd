"""`trailgate seed`: a small organisation to look at."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from typing import Annotated

import typer

from cli.identity import administrator
from cli.installation import located, opened, read_settings
from cli.output import note, say
from domain.audit.events import Actor
from domain.errors import Conflict
from domain.facts.artifacts import ArtifactType, NewArtifact
from domain.facts.attestations import NewAttestation, Origin, ResultStatus
from domain.facts.flows import Flow, NewFlow
from domain.facts.trails import NewTrail
from domain.identity.api_keys import NewApiKey
from domain.identity.organisations import NewOrganisation
from domain.identity.principals import NewPrincipal
from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.commands.assertions import NewAssertion, decide
from storage.facts.commands.attestations import record_attestations
from storage.facts.commands.flows import create_flow
from storage.facts.commands.trails import open_trails
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.organisations import create_organisation
from storage.identity.commands.principals import create_principal
from storage.identity.queries.organisations import organisation_by_slug_or_id
from storage.identity.queries.principals import principal_named
from storage.settings import Settings

PASSED, FAILED, PENDING = ResultStatus.PASSED, ResultStatus.FAILED, ResultStatus.PENDING


@dataclass(frozen=True, slots=True)
class Build:
    """A commit with an artifact, and the results that are not PASSED; None leaves a result out."""

    branch: str
    author: str
    results: Mapping[str, ResultStatus | None] = field(default_factory=dict)


REQUIRED = ("BUILD", "UNIT_TEST", "SECURITY_SCAN")

BUILDS: Mapping[str, Sequence[Build]] = {
    "payments": (
        Build("main", "Ada Lovelace"),
        Build("main", "Grace Hopper"),
        Build("main", "Grace Hopper", {"SECURITY_SCAN": FAILED}),
        Build("fix-rounding", "Ada Lovelace", {"UNIT_TEST": None}),
        Build("main", "Ada Lovelace"),
        Build("main", "Alan Turing", {"SECURITY_SCAN": PENDING}),
    ),
    "website": (
        Build("main", "Alan Turing"),
        Build("new-header", "Grace Hopper", {"UNIT_TEST": FAILED}),
        Build("main", "Grace Hopper"),
    ),
}
"""By the name of the flow, oldest first."""


def seed(
    organisation: Annotated[str, typer.Option(help="Slug of the organisation to create.")] = "demo",
) -> None:
    """Create an organisation with flows, trails, results, artifacts and verdicts to look at, and a key for it."""
    with located(read_settings()) as settings:
        key = asyncio.run(_seed(settings, organisation))
    say(key)
    note(f"Organisation {organisation} is ready. The text above is its administrator's API key, shown only now.")


async def _seed(settings: Settings, slug: str) -> str:
    async with opened(settings) as database, database.transaction() as tx:
        founder = await administrator(tx, settings)
        there = await organisation_by_slug_or_id(tx, slug)
        if there and there.slug == slug:
            raise await _refusal(tx, slug)
        tenant = (await create_organisation(tx, NewOrganisation(slug, slug.title()), founder)).tenant
        admin_id = await create_principal(
            tx, tenant, NewPrincipal("user", _username(slug), "admin", name=_username(slug)), founder
        )
        _, key = await create_api_key(tx, tenant, NewApiKey(admin_id, "seed"), founder)
        for name, builds in BUILDS.items():
            await _fill(tx, tenant, Actor(admin_id, region=settings.region), name, builds)
    return key


async def _refusal(reader: Reader, slug: str) -> Conflict:
    """Return how to go on, also for somebody who has not seen the key: it is printed only after the commit."""
    seeded = await principal_named(reader, _username(slug)) is not None
    owner = f"--principal {_username(slug)}" if seeded else "--role admin"
    return Conflict(
        f"An organisation with the slug '{slug}' exists already; seed another with "
        f'"trailgate seed --organisation NAME", or create a key with '
        f'"trailgate keys create --organisation {slug} --name NAME {owner}".'
    )


def _username(slug: str) -> str:
    return f"{slug}-admin"


async def _fill(tx: Transaction, tenant: Tenant, actor: Actor, name: str, builds: Sequence[Build]) -> None:
    new = NewFlow(name, f"Builds of {name}", REQUIRED, tags={"team": name})
    flow = await create_flow(tx, tenant, new, actor)
    trails = await open_trails(tx, tenant, [_trail(flow, n, build, actor) for n, build in enumerate(builds)])
    artifacts = [
        NewArtifact(
            trail.id,
            name,
            f"sha256:{sha256(trail.git_commit_sha.encode()).hexdigest()}",
            actor,
            tag=f"1.{n}",
            registry="registry.example.com",
            artifact_type=ArtifactType.OCI,
            git_commit=trail.git_commit_sha,
        )
        for n, trail in enumerate(trails)
    ]
    await record_artifacts(tx, tenant, artifacts)
    results = [
        NewAttestation(trail.id, kind, status, actor, Origin.API, details=f"{kind.lower()} of {trail.git_branch}")
        for trail, build in zip(trails, builds, strict=True)
        for kind in REQUIRED
        if (status := build.results.get(kind, PASSED)) is not None
    ]
    await record_attestations(tx, tenant, results)
    await decide(tx, tenant, [NewAssertion(artifact.digest, actor, flow.id) for artifact in artifacts])


def _trail(flow: Flow, number: int, build: Build, actor: Actor) -> NewTrail:
    commit = sha1(f"{flow.id}{number}".encode(), usedforsecurity=False).hexdigest()
    email = f"{build.author.split()[0].lower()}@example.com"
    repository = f"https://git.example.com/{flow.name}"
    return NewTrail(
        flow.id, actor, commit, build.branch, build.author, email, name=f"build-{number + 1}", git_repository=repository
    )
