"""A small world made through the real commands, for tests that look at what they leave behind."""

import json
from dataclasses import dataclass
from hashlib import sha1, sha256
from typing import Any
from uuid import UUID, uuid4

from domain.audit.events import Actor
from domain.facts.attestations import Attestation, NewAttestation, Origin, ResultStatus
from domain.facts.evidence import Evidence, NewEvidence
from domain.facts.flows import Flow, NewFlow
from domain.facts.trails import NewTrail, Trail
from domain.facts.webhook_configs import NewWebhookConfig, WebhookConfig
from domain.identity.organisations import NewOrganisation
from domain.identity.principals import NewPrincipal
from domain.notifications.rules import Channel, NewRule
from domain.notifications.triggers import Severity, Trigger
from domain.tenant import Tenant
from storage.database import Transaction
from storage.facts.commands.attestations import record_attestations
from storage.facts.commands.evidence import attach_reference
from storage.facts.commands.flows import create_flow
from storage.facts.commands.results import NewResult, add_results
from storage.facts.commands.trails import open_trails
from storage.facts.commands.webhook_configs import create_webhook_config
from storage.identity.bootstrap import bootstrap
from storage.identity.commands.organisations import create_organisation
from storage.identity.commands.principals import create_principal
from storage.inbox.commands import Arrival, Receipt, accept
from storage.notifications.commands.inapp import NewNotification, notify
from storage.notifications.commands.rules import Issued, create_rule
from storage.services import Services
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "github"
SECRET = "a secret of the tests"


@dataclass
class World:
    """One organisation with an actor, and short ways to fill it."""

    services: Services
    tenant: Tenant
    actor: Actor

    @classmethod
    async def founded(cls, services: Services) -> "World":
        """A fresh organisation in an installation that others may share."""
        found = await bootstrap(services.database, None, services.signer, services.envelope)
        founder = Actor(found.admin_id)
        slug = f"org-{uuid4().hex[:12]}"
        async with services.database.transaction() as tx:
            organisation = await create_organisation(tx, NewOrganisation(slug, slug), founder)
            new = NewPrincipal("user", f"admin-of-{slug}", "admin")
            admin = await create_principal(tx, organisation.tenant, new, founder)
        return cls(services, organisation.tenant, Actor(admin, region="test"))

    async def flow(self, *required: str, **options: Any) -> Flow:
        new = NewFlow(f"flow-{uuid4().hex[:8]}", required_types=required, tags={"team": "ä"}, **options)
        async with self.services.database.transaction() as tx:
            return await create_flow(tx, self.tenant, new, self.actor)

    async def trail(self, flow: Flow, **options: Any) -> Trail:
        commit = sha1(uuid4().bytes).hexdigest()
        new = NewTrail(flow.id, self.actor, commit, "main", "Ada", "ada@example.org", **options)
        async with self.services.database.transaction() as tx:
            [trail] = await open_trails(tx, self.tenant, [new])
        return trail

    def attestation(self, trail_id: UUID, type_: str, status: str = "PASSED", **options: Any) -> NewAttestation:
        return NewAttestation(trail_id, type_, ResultStatus(status), self.actor, Origin.API, **options)

    async def attest(self, *new: NewAttestation) -> list[Attestation]:
        async with self.services.database.transaction() as tx:
            return await record_attestations(tx, self.tenant, new)

    async def judge(self, attestation: Attestation, status: str, *, file: str | None = None) -> UUID:
        """One more result of it, as a processor gives one for a file of that name; the answer is the result's id."""
        async with self.services.database.transaction() as tx:
            evidence_id = (await self._refer(tx, attestation, file)).id if file else None
            new = NewResult(
                attestation.trail_id,
                attestation.id,
                ResultStatus(status),
                self.actor,
                details="{}",
                processor="junit",
                evidence_id=evidence_id,
            )
            await add_results(tx, self.tenant, [new])
            found: UUID = await tx.value(
                "SELECT id FROM attestation_results WHERE attestation_id = $1 ORDER BY n DESC LIMIT 1", attestation.id
            )
        return found

    async def _refer(self, tx: Transaction, attestation: Attestation, name: str) -> Evidence:
        """A file that is kept elsewhere."""
        digest, url = f"sha256:{'0' * 64}", "https://files.example.com/1"
        new = NewEvidence(attestation.trail_id, attestation.id, digest, name, 1, "text/xml", self.actor, url)
        return await attach_reference(tx, self.tenant, new, most=100)

    async def notify(self, *titles: str, severity: Severity = Severity.INFO, **options: Any) -> int:
        """In-app notifications, committed and not announced; the answer is how many were new."""
        new = [NewNotification(title, f"{title}, in full", severity, **options) for title in titles]
        async with self.services.database.transaction() as tx:
            return await notify(tx, self.tenant, new)

    async def rule(self, channel: Channel = Channel.WEBHOOK, **options: Any) -> Issued:
        """A rule for failed attestations, by a webhook of its own unless told otherwise."""
        config = options.pop("config", {"webhookUrl": f"https://hooks.example.com/{uuid4().hex}"})
        trigger = options.pop("trigger", Trigger.ATTESTATION_FAILED)
        new = NewRule(f"rule-{uuid4().hex[:8]}", trigger, channel, config, **options)
        async with self.services.database.transaction() as tx:
            return await create_rule(tx, self.tenant, new, self.services.envelope, self.actor)

    async def config(self, flow: Flow, source: str = "GITHUB") -> WebhookConfig:
        new = NewWebhookConfig(source, flow.id, SECRET)
        async with self.services.database.transaction() as tx:
            return await create_webhook_config(tx, self.tenant, new, self.services.envelope, self.actor)

    def arrival(self, config: WebhookConfig, delivery_id: str, commit: str | None = None, **options: Any) -> Arrival:
        """A workflow run that passed, on a commit of its own unless one is given."""
        payload = json.loads((FIXTURES / "workflow_run__success.json").read_text())
        payload["workflow_run"]["head_sha"] = commit or sha1(delivery_id.encode()).hexdigest()
        body = options.pop("body", None) or json.dumps(payload).encode()
        headers = {"content-type": "application/json"}
        source, org = config.source, self.tenant.org_id
        return Arrival(org, config.id, source, delivery_id, "workflow_run", headers, body, sha256(body).digest())

    async def deliver(self, *arrivals: Arrival) -> list[Receipt]:
        """Each has a config, so each has a receipt."""
        async with self.services.database.transaction() as tx:
            receipts = [receipt for receipt in await accept(tx, arrivals) if receipt]
        assert len(receipts) == len(arrivals)
        return receipts
