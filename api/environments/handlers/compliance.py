"""The handler of the compliance of environments."""

from uuid import UUID

from api.environments.schemas.compliance import ComplianceQuery, EnvironmentComplianceOut
from api.http.calls import Call, Reply
from api.http.paging import list_headers
from storage.environments.queries.compliance import list_running


async def get_environment_compliance(
    call: Call, environment_id: UUID, query: ComplianceQuery
) -> Reply[EnvironmentComplianceOut]:
    """Get the compliance of an environment with all that runs there, the longest running first.

    An artifact is judged by the newest report of its digest in every flow: by what that trail requires and what was
    attested on it. It is COMPLIANT if a flow vouches for it and none is against it, NON_COMPLIANT if a flow is, and
    UNKNOWN if no flow requires anything of it, or none has reported it.
    """
    async with call.snapshot() as reader:
        compliance, page = await list_running(reader, call.tenant, environment_id, query.window(), **query.to_filters())
    body = EnvironmentComplianceOut.showing(compliance, page, call)
    return Reply(body, headers=list_headers(call.request, page))
