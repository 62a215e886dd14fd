"""What the judgement of environments hands to their policies, which the areas that know policies read."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Self
from uuid import UUID

from domain.environments.compliance import Artifact, PolicyFindings
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.newest_reports import NewestReport


class Artifacts(NamedTuple):
    """What runs in an environment: its names, and its digests in the same order.

    There may be a hundred thousand, of which policies look at few or none: they are paired when they do.
    """

    names: Sequence[str]
    digests: Sequence[str]

    @classmethod
    def of(cls, artifacts: Collection[Artifact]) -> Self:
        """Return artifacts in this form."""
        return cls([name for name, _ in artifacts], [digest for _, digest in artifacts])

    def paired(self) -> Iterator[Artifact]:
        """Return each artifact by itself."""
        return zip(self.names, self.digests, strict=True)


Running = Mapping[UUID, Artifacts]
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
