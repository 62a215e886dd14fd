"""One record of every kind, made through the real commands: what tampering is tried on."""

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column

import storage
from domain.environments.allow_list import NewEntry, NewUse
from domain.environments.artifacts import Running
from domain.environments.baselines import NewBaseline
from domain.environments.environments import EnvironmentType, NewEnvironment, Scope
from domain.environments.snapshots import Report
from domain.facts.artifacts import ArtifactType, NewArtifact
from domain.facts.attestations import Attestation
from domain.facts.evidence import NewEvidence
from domain.facts.flows import Flow
from domain.facts.provenance import (
    Build,
    BuilderType,
    CheckStatus,
    KeyAlgorithm,
    NewProvenanceKey,
    ProvenanceClaim,
    ProvenanceFinding,
    SlsaLevel,
)
from domain.facts.requirements import Requirement, RequirementSet, Template
from domain.facts.trails import Trail
from domain.gates.approvals import ApprovalRule, NewApproval
from domain.gates.opa import Evaluation, NewBundle, outcome_of
from domain.gates.policies import NewAttachment, NewPolicy, PolicyKind, PolicySettings
from domain.gates.rego import Module, Rule, Source
from domain.gates.security_scans import Counts, NewScan, ScanReport, ScanType, judge
from domain.gates.security_thresholds import Thresholds
from domain.identity.api_keys import NewApiKey
from domain.identity.sessions import NewSession, SignInMethod
from domain.identity.workload_identities import CiIssuer, WorkloadTerms
from domain.identity.workloads import WorkloadProvider
from storage.database import Transaction
from storage.definitions import Commands, Definition
from storage.environments.commands.allow_list import add_entry, remove_entry
from storage.environments.commands.allow_list_uses import record_uses
from storage.environments.commands.baselines import create_baseline
from storage.environments.commands.environments import create_environment
from storage.environments.commands.snapshots import record_snapshot
from storage.environments.queries.drift import last_report
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.commands.assertions import NewAssertion, decide
from storage.facts.commands.evidence import attach_reference
from storage.facts.commands.provenance import NewProvenance, record_provenance
from storage.facts.commands.provenance_keys import create_provenance_key
from storage.facts.queries.provenance import Subject
from storage.gates.commands.approvals import request_approval
from storage.gates.commands.attachments import attach_policy
from storage.gates.commands.opa_bundles import activate_bundle, create_bundle
from storage.gates.commands.opa_decisions import record_decisions
from storage.gates.commands.policies import create_policy
from storage.gates.commands.security_scans import record_scan
from storage.gates.commands.security_thresholds import set_thresholds
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.sessions import start_session
from storage.identity.commands.sign_ins import SSO_IDENTITIES
from storage.identity.commands.workload_identities import create_workload_identity
from tests.storage.gates.deciding import decided, person
from tests.storage.world import World

DIGEST, OTHER = ("sha256:" + letter * 64 for letter in "cd")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
CI = CiIssuer(WorkloadProvider.GITHUB, "https://ci.example.com")
JOBS = WorkloadTerms("jobs", None, "reporter", "o/r", "7", "refs/heads/main", "production", ["repo:o/r"])
TEMPLATE = Template("trail: {attestations: [{name: n}]}", RequirementSet((Requirement("*", "n"),)))


async def one_of_every_kind(world: World) -> dict[str, UUID]:
    """Their ids by kind. Not sealed yet."""
    flow = await world.flow("BUILD", template=TEMPLATE)
    user_data: dict[str, Any] = {"a": 1.5, "b": [1e22, -0.0, "é"]}
    trail = await world.trail(flow, name="a", git_repository="o/r", user_data=user_data, template=TEMPLATE)
    new = world.attestation(
        trail.id,
        "BUILD",
        name="n",
        identity="ci.yml push",
        run="1",
        details="d",
        user_data={"k": 0.1},
        payload={"p": 1},
        slot="app",
        git_commit="abc",
    )
    [attestation] = await world.attest(new)
    result, config = await world.judge(attestation, "FAILED"), await world.config(flow)
    async with world.services.database.transaction() as tx:
        key, _ = await create_api_key(tx, world.tenant, NewApiKey(world.actor.principal_id, "k"), world.actor)
        new_session = NewSession(world.actor.principal_id, SignInMethod.API_KEY, api_key_id=key.id)
        session, _ = await start_session(tx, world.tenant, new_session, timedelta(hours=1), world.actor)
        subject = {
            "principal_id": world.actor.principal_id,
            "issuer": "https://idp.example.com",
            "subject": "s",
            "groups": ["g"],
        }
        identity = await SSO_IDENTITIES.create(tx, world.tenant, world.actor, subject)
        workload = await create_workload_identity(tx, world.tenant, CI, JOBS, world.actor)
        facts = await _facts(tx, world, flow, trail, attestation) | await _environments(tx, world)
        facts |= await _policies(tx, world, flow)
        facts |= await _approvals(tx, world, trail, facts["environment"])
        facts |= await _scans(tx, world, trail, attestation)
        facts |= await _opa(tx, world)
        member: UUID = await tx.value(
            "SELECT id FROM memberships WHERE principal_id = $1 AND org_id = $2",
            *(world.actor.principal_id, world.tenant.org_id),
        )
    return {
        "organisation": world.tenant.org_id,
        "principal": world.actor.principal_id,
        "membership": member,
        "api_key": key.id,
        "session": session.id,
        "sso_identity": identity["id"],
        "workload_identity": workload.id,
        "flow": flow.id,
        "trail": trail.id,
        "attestation": attestation.id,
        "attestation_result": result,
        "webhook_config": config.id,
        "notification_rule": (await world.rule(filter_flow_id=flow.id, title_template="{{ title }}")).rule.id,
        **facts,
        **await _plain(world, {*facts, *DEPENDENT}),
    }


async def _environments(tx: Transaction, world: World) -> dict[str, UUID]:
    """An environment that drifts from its baseline."""
    new = NewEnvironment("production", EnvironmentType.K8S, scope=Scope(exclude_names=["x"]), stale_after=5)
    environment = await create_environment(tx, world.tenant, new, world.actor)
    one, other = (
        Report(environment.id, {Running("app", digest, "1"): 1}, "agent", "team") for digest in (DIGEST, OTHER)
    )
    recorded = await record_snapshot(tx, world.tenant, one, world.actor)
    approved = NewBaseline(environment.id, recorded.snapshot.id, "ada", "d")
    baseline = await create_baseline(tx, world.tenant, approved, world.actor)
    await record_snapshot(tx, world.tenant, other, world.actor)
    drift = await last_report(tx, world.tenant, environment.id)
    assert drift
    return {
        "environment": environment.id,
        "snapshot": recorded.snapshot.id,
        "baseline": baseline.id,
        "drift": drift.id,
        **await _allow_list(tx, world, environment.id),
    }


async def _opa(tx: Transaction, world: World) -> dict[str, UUID]:
    """An active bundle, and what it decided."""
    source, rule = Source((Module("gate.rego", "package gate\nallow = false"),), {"limit": 1}), Rule(("gate",), "allow")
    new = NewBundle("release", "1.0.0", source, (rule,))
    made, _ = await create_bundle(tx, world.tenant, new, world.actor)
    bundle = await activate_bundle(tx, world.tenant, made.id, world.actor)
    outcome = outcome_of(bundle, '{"a":1}', Evaluation({rule: False}))
    [decision] = await record_decisions(tx, world.tenant, [outcome], world.actor)
    return {"opa_bundle": bundle.id, "opa_decision": decision.id}


async def _allow_list(tx: Transaction, world: World, environment_id: UUID) -> dict[str, UUID]:
    """An entry of an allow-list, a use of it, and its removal."""
    tenant, actor = world.tenant, world.actor
    new = NewEntry("a hotfix", DIGEST, "app", "^app", "ada", datetime(2999, 1, 1, tzinfo=UTC))
    entry = await add_entry(tx, tenant, environment_id, new, actor)
    await record_uses(tx, tenant, [NewUse(environment_id, entry.id, "app", DIGEST)], actor)
    await remove_entry(tx, tenant, environment_id, entry.id, actor)
    use: UUID = await tx.value("SELECT id FROM allowlist_uses WHERE entry_id = $1", entry.id)
    removal: UUID = await tx.value("SELECT id FROM allowlist_removals WHERE entry_id = $1", entry.id)
    return {"allowlist_entry": entry.id, "allowlist_use": use, "allowlist_removal": removal}


async def _policies(tx: Transaction, world: World, flow: Flow) -> dict[str, UUID]:
    """A deployment policy that demands everything, and a policy that is attached to the flow."""
    settings = PolicySettings("p", "d", required_types=("BUILD",), opa_bundles=("b",), yaml="artifacts: {}")
    new = NewPolicy(PolicyKind.DEPLOYMENT, settings, flow.id)
    policy = await create_policy(tx, world.tenant, new, world.actor)
    other = await create_policy(tx, world.tenant, NewPolicy(PolicyKind.ATTACHABLE, settings), world.actor)
    attachment = await attach_policy(tx, world.tenant, NewAttachment(other.id, flow_id=flow.id), world.actor)
    return {"policy": policy.id, "policy_attachment": attachment.id}


async def _approvals(tx: Transaction, world: World, trail: Trail, environment_id: UUID) -> dict[str, UUID]:
    """An approval that was requested, with all that may be said of it, and granted."""
    new = NewApproval(
        trail.id,
        "eve",
        ApprovalRule(("bob",), groups=("cab",)),
        DIGEST,
        environment_id,
        comments="1.4",
        newest_commit="abc",
        oldest_commit="def",
        claimed_by="Eve",
        deadline=datetime(2999, 1, 1, tzinfo=UTC),
    )
    approval = await request_approval(tx, world.tenant, new, world.actor)
    assert await decided(tx, world, approval, person("bob", groups={"cab"}), comments="fine", claimed_by="Bob")
    decision: UUID = await tx.value("SELECT id FROM approval_decisions WHERE approval_id = $1", approval.id)
    ended: UUID = await tx.value("SELECT record_id FROM approval_outcomes WHERE id = $1", approval.id)
    return {"approval": approval.id, "approval_decision": decision, "approval_outcome": ended}


async def _scans(tx: Transaction, world: World, trail: Trail, attestation: Attestation) -> dict[str, UUID]:
    """A scan that breached the thresholds of its flow."""
    thresholds = await set_thresholds(tx, world.tenant, trail.flow_id, Thresholds(), world.actor)
    new = NewScan(
        trail.id,
        "trivy",
        Counts(1, 2, 3, 4, 5),
        tool_version="1",
        scan_type=ScanType.CONTAINER,
        target="app:1",
        digest=DIGEST,
        duration_seconds=6,
        report_url="https://ci/1",
        passed=False,
        report=ScanReport("trivy", "trivy.json", "0" * 64, 7),
        source_ref="scan 1",
    )
    place = {"flow_id": trail.flow_id, "attestation_id": attestation.id}
    scan = await record_scan(tx, world.tenant, new, judge(new, thresholds), **place, actor=world.actor)
    return {"security_scan": scan.id, "security_threshold": thresholds.id}


async def _plain(world: World, made: set[str]) -> dict[str, UUID]:
    """One of every other definition, its columns filled by their types."""
    ids: dict[str, UUID] = {}
    for definition in definitions():
        if definition.form.kind not in made | ids.keys():
            async with world.services.database.transaction() as tx:
                values = {column.name: _value(tx, column) for column in _columns(definition)}
                ids[definition.form.kind] = (await definition.create(tx, world.tenant, world.actor, values))["id"]
    return ids


def _columns(definition: Definition) -> Iterator[Column[Any]]:
    """The columns of the head and of its versions."""
    tables = [definition.table] if definition.versions is None else [definition.table, definition.versions]
    own = OWN | {f"{definition.form.kind}_id"}
    return (column for table in tables for column in table.columns if column.name not in own)


DEPENDENT = {
    "principal",
    "membership",
    "sso_identity",
    "workload_identity",
    "flow",
    "webhook_config",
    "notification_rule",
}
"""Definitions that refer to others, made above."""
OWN = {"id", "org_id", "version", "created_at", "updated_at", "created_by", "archived_at"}
"""What every definition gives itself."""


def _value(tx: Transaction, column: Column[Any]) -> Any:
    by_type: dict[type[Any], Any] = {bool: True, int: 1, str: f"a {column.name}", dict: {"a": 1}, list: ["a"]}
    by_type |= {UUID: tx.new_id(), datetime: tx.now, bytes: b"a"}
    return by_type[column.type.python_type]


def definitions() -> Iterator[Definition]:
    """Every kind of definition, wherever its commands are."""
    for module in pkgutil.walk_packages(storage.__path__, "storage."):
        if ".commands." in module.name:
            for value in vars(importlib.import_module(module.name)).values():
                found = value.definition if isinstance(value, Commands) else value
                if isinstance(found, Definition):
                    yield found


async def _facts(tx: Transaction, world: World, flow: Flow, trail: Trail, attestation: Attestation) -> dict[str, UUID]:
    tenant, actor = world.tenant, world.actor
    report = NewArtifact(
        trail.id,
        "app",
        DIGEST,
        actor,
        tag="1",
        registry="ghcr.io",
        artifact_type=ArtifactType.OCI,
        git_commit="abc",
        build_url="https://ci/1",
        commit_url="https://git/1",
        annotations={"a": "b"},
        claimed_by="ada",
    )
    [artifact] = await record_artifacts(tx, tenant, [report])
    file = NewEvidence(
        trail.id, attestation.id, DIGEST, "junit.xml", 7, "text/xml", actor, external_url="https://files/1"
    )
    evidence = await attach_reference(tx, tenant, file, most=1)
    key = await create_provenance_key(tx, tenant, NewProvenanceKey("k", "id", KeyAlgorithm.ED25519, "PEM"), actor)
    build = Build("builder", "https://git/build.yml", "https://git", "abc", NOON, NOON)
    claim = ProvenanceClaim(DIGEST, build, BuilderType.JENKINS, SlsaLevel.L2, "signature", '{"a": 1}')
    finding = ProvenanceFinding(CheckStatus.VERIFIED, "good", key, "https://slsa.dev/provenance/v1")
    provenance = await record_provenance(
        tx, tenant, NewProvenance(Subject(artifact.id, trail.id, DIGEST), claim, finding), actor
    )
    check: UUID = await tx.value("SELECT id FROM provenance_checks WHERE provenance_id = $1", provenance.id)
    [decision] = await decide(tx, tenant, [NewAssertion(DIGEST, actor, flow.id)])
    return {
        "artifact_report": artifact.id,
        "evidence": evidence.id,
        "provenance_key": key.id,
        "provenance": provenance.id,
        "provenance_check": check,
        "verdict": decision.verdict.id,
    }
