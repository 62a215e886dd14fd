"""What bundles of OPA that policies name are asked about an artifact, and whether what they said still holds.

Bundles are evaluated outside of transactions, so the gate asks for opinions that it lacks, and is then asked again with
them. One counts if the bundle is still active and would be asked the same.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from domain.canonical import canonical_json
from domain.gates.opa import OpaOutcome, opa_input
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.held_reports import HeldReport
from storage.gates.queries.opa_subjects import get_subject

MAX_REPORTS = 5
"""Flows in which one artifact is evaluated: those of its newest reports."""
MAX_OPINIONS = 50
"""Evaluations for one decision; bundles beyond have no opinion, so that nothing is let through without them."""


class Wanted(NamedTuple):
    """A bundle, and what it is asked about: an artifact on a trail, for the environment of this name or anywhere."""

    bundle_id: UUID
    trail_id: UUID
    digest: str
    environment: str | None


Opinions = Mapping[Wanted, OpaOutcome]


async def question_of(reader: Reader, tenant: Tenant, wanted: Wanted) -> str:
    """Return the input for a bundle, as canonical JSON."""
    subject = await get_subject(
        reader, tenant.unscoped, trail_id=wanted.trail_id, digest=wanted.digest, environment=wanted.environment
    )
    return canonical_json(opa_input(subject)).decode()


async def valid_opinions(
    reader: Reader,
    tenant: Tenant,
    reports: Sequence[HeldReport],
    *,
    environment: str | None,
    bundle_ids: Collection[UUID],
    given: Opinions,
) -> tuple[Opinions, list[Wanted]]:
    """Return which opinions of active bundles hold, and which are wanted. `reports` are those of one artifact."""
    valid: dict[Wanted, OpaOutcome] = {}
    wanted = []
    for report in reports[:MAX_REPORTS]:
        about = [
            Wanted(one, report.trail_id, report.candidate.digest, environment)
            for one in sorted(bundle_ids)[: MAX_OPINIONS // MAX_REPORTS]
        ]
        text = await question_of(reader, tenant, about[0]) if about else ""
        digest = hashlib.sha256(text.encode()).hexdigest()
        for one in about:
            if one in given and given[one].input_digest == digest:
                valid[one] = given[one]
            else:
                wanted.append(one)
    return valid, wanted
