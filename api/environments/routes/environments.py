"""Routes of environments."""

from functools import partial

from api.environments.handlers import environments
from api.environments.schemas.environments import EnvironmentChangeIn, EnvironmentOut, EnvironmentsQuery
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from api.http.resources import Resource
from domain.identity.permissions import Permission
from storage.environments.queries.compliance import judged_environments
from storage.environments.queries.environments import get_environment, list_environments
from storage.gates.queries.environment_policies import findings_of_environments

ENVIRONMENTS = f"{V1}/environments"
ENVIRONMENT = f"{ENVIRONMENTS}/{{environment_id}}"

_ENVIRONMENTS = Resource(
    "environment",
    "environments",
    ENVIRONMENTS,
    EnvironmentOut,
    read=Permission.FACTS_READ,
    manage=Permission.FACTS_MANAGE,
    complete=partial(judged_environments, policies=findings_of_environments),
)

ROUTES = tagged(
    "Environments",
    Route(
        "POST",
        ENVIRONMENTS,
        environments.create_environment,
        Permission.ENVIRONMENTS_REPORT,
        status=201,
        errors=(404, 409),
    ),
    *scoped(
        _ENVIRONMENTS.list(
            list_environments,
            """List the environments, oldest first.

            `complianceState` is null in the last ones if more than 10,000 different artifacts run in all of them: ask
            for smaller pages.
            """,
            parameters=EnvironmentsQuery,
        ),
        _ENVIRONMENTS.get(get_environment, "Get an environment."),
        _ENVIRONMENTS.update(
            environments.update_ungoverned,
            EnvironmentChangeIn,
            """Update an environment.

            Every change creates a new version; a request that changes nothing does not. Snapshots keep what they were
            taken with. While it has policies, it keeps its name: 409.
            """,
        ),
        _ENVIRONMENTS.delete(
            environments.archive_ungoverned,
            """Archive an environment and release its name.

            Its versions, its snapshots and their ledger entries are kept. One that has policies is refused with 409.
            """,
            errors=(409, 412),
        ),
    ),
)
