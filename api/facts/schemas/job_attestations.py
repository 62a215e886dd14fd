"""Request model of attestations of CI jobs by their tokens."""

import json
from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints

from api.http.texts import Short
from api.http.wire import WireIn, format_instant
from domain.audit.events import Actor
from domain.facts.attestations import OIDC_PROVENANCE, NewAttestation, Origin, ResultStatus
from domain.identity.workloads import Workload
from integrations.oidc.tokens import MAX_TOKEN


class JobAttestationIn(WireIn):
    """The token of the CI job that a trail is about."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"trailId": "0190a8c0-0000-7000-8000-000000000002", "token": "the token that the platform gave the job"}
            ]
        }
    }

    trail_id: UUID
    token: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN)]
    org_slug: Short | None = None

    def to_command(self, job: Workload, actor: Actor) -> NewAttestation:
        """Return the input of the command, with what the verified token says about the job."""
        details = {
            "issuer": job.issuer,
            "subject": job.subject,
            "repository": job.repository,
            "workflow": job.workflow,
            "ref": job.ref,
            "sha": job.sha,
            "actor": job.actor,
            "runId": job.run_id,
            "issuedAt": format_instant(job.issued_at),
        }
        return NewAttestation(
            trail_id=self.trail_id,
            type=OIDC_PROVENANCE,
            status=ResultStatus.PASSED,
            actor=actor,
            origin=Origin.CI_TOKEN,
            git_commit=job.sha,
            details=json.dumps(details, ensure_ascii=False),
        )
