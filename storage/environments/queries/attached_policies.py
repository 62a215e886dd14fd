"""What the judgement of environments hands to their policies, which the areas that know policies read."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from uuid import UUID

from domain.environments.compliance import Artifact, PolicyFindings
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.newest_reports import NewestReport

Running = Mapping[UUID, Collection[Artifact]]
"""What runs, by environment."""

Reports = Mapping[str, Sequence[NewestReport]]
"""The newest reports of what runs, by digest; none of what nobody reported."""

Policies = Callable[[Reader, Tenant, Running, Reports], Awaitable[Mapping[UUID, PolicyFindings]]]
"""Returns what the policies of environments say about what runs; nothing for one that no policy is attached to."""


async def without_policies(
    _reader: Reader, _tenant: Tenant, _running: Running, _reports: Reports
) -> Mapping[UUID, PolicyFindings]:
    """Return what there is if no policies are known."""
    return {}
