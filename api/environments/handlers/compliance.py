"""The handler of the compliance of environments."""

from uuid import UUID

from api.environments.schemas.compliance import ComplianceQuery, EnvironmentComplianceOut
from api.http.calls import Call, Reply
from api.http.paging import list_headers
from storage.environments.queries.compliance import list_running
from storage.gates.queries.environment_policies import findings_of_environments


async def get_environment_compliance(
    call: Call, environment_id: UUID, query: ComplianceQuery
) -> Reply[EnvironmentComplianceOut]:
    """Get the compliance of an environment with all that runs there, the longest running first.

    An artifact is judged by the newest report of its digest in every flow: by what that trail requires and what was
    attested on it, and by the policies that are attached to the environment. It is NON_COMPLIANT if a flow or a policy
    is against it, UNKNOWN if nothing is required of it or no flow has reported it, and COMPLIANT otherwise. What the
    allow-list lets through is exempt from the policies.
    """
    async with call.snapshot() as reader:
        compliance, page = await list_running(
            reader,
            call.tenant,
            environment_id,
            query.window(),
            **query.to_filters(),
            policies=findings_of_environments,
        )
    body = EnvironmentComplianceOut.showing(compliance, page, call)
    return Reply(body, headers=list_headers(call.request, page))
