"""Routes of workload identities."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from api.identity.handlers import workload_identities
from api.identity.schemas.workload_identities import WorkloadIdentityOut
from domain.identity.permissions import Permission
from storage.identity.commands.workload_identities import delete_workload_identity
from storage.identity.queries.workload_identities import get_workload_identity, list_workload_identities

IDENTITIES = f"{V1}/workload-identities"
IDENTITY = f"{IDENTITIES}/{{workload_identity_id}}"
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

_IDENTITIES = Resource(
    "workload identity", "workload identities", IDENTITIES, WorkloadIdentityOut, read=READ, manage=MANAGE
)

ROUTES = tagged(
    "Workload identities",
    Route("POST", IDENTITIES, workload_identities.create_workload_identity, MANAGE, status=201, errors=(409,)),
    _IDENTITIES.list(list_workload_identities, "List the workload identities, oldest first."),
    _IDENTITIES.get(get_workload_identity, "Get a workload identity."),
    Route("PUT", IDENTITY, workload_identities.update_workload_identity, MANAGE, errors=(409, 412)),
    _IDENTITIES.delete(
        delete_workload_identity,
        """Delete a workload identity.

        The tokens of its jobs are refused at once, and its name is free again. What they did stays in the audit.
        """,
    ),
)
