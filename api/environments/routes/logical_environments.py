"""Routes of logical environments.

Keys with scopes only read: what a logical environment consists of is about more than any of them reaches.
"""

from api.environments.handlers import logical_environments as handlers
from api.environments.schemas.logical_environments import (
    LogicalEnvironmentChangeIn,
    LogicalEnvironmentIn,
    LogicalEnvironmentOut,
)
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from api.http.resources import Resource
from domain.identity.permissions import Permission
from storage.environments.commands.logical_environments import (
    archive_logical_environment,
    create_logical_environment,
    update_logical_environment,
)
from storage.environments.queries.logical_environments import get_logical_environment, list_logical_environments

_LOGICAL_ENVIRONMENTS = Resource(
    "logical environment",
    "logical environments",
    f"{V1}/logical-environments",
    LogicalEnvironmentOut,
    read=Permission.FACTS_READ,
    manage=Permission.FACTS_MANAGE,
)
_ONE = f"{_LOGICAL_ENVIRONMENTS.path}/{{logical_environment_id}}"
_MEMBER = f"{_ONE}/members/{{physical_env_id}}"

ROUTES = tagged(
    "Logical environments",
    *scoped(
        Route("GET", f"{_ONE}/snapshots/latest", handlers.get_merged_snapshot, Permission.FACTS_READ, errors=(409,)),
        _LOGICAL_ENVIRONMENTS.list(
            list_logical_environments, "List the logical environments with their members, oldest first."
        ),
        _LOGICAL_ENVIRONMENTS.get(get_logical_environment, "Get a logical environment with its members."),
    ),
    _LOGICAL_ENVIRONMENTS.create(
        create_logical_environment,
        LogicalEnvironmentIn,
        """Create a logical environment: several environments seen as one.

        Its name is not that of any other environment, physical or logical.
        """,
        errors=(404, 409),
    ),
    _LOGICAL_ENVIRONMENTS.update(
        update_logical_environment,
        LogicalEnvironmentChangeIn,
        """Update a logical environment.

        Every change creates a new version; a request that changes nothing does not. `memberIds` replaces the members.
        """,
    ),
    _LOGICAL_ENVIRONMENTS.delete(
        archive_logical_environment,
        """Archive a logical environment and release its name.

        Its members stay as they are. It is no member of other logical environments any more.
        """,
    ),
    Route(
        "POST",
        _MEMBER,
        handlers.add_logical_environment_member,
        Permission.FACTS_MANAGE,
        errors=(409, 412),
    ),
    Route(
        "DELETE",
        _MEMBER,
        handlers.remove_logical_environment_member,
        Permission.FACTS_MANAGE,
        status=204,
        errors=(412,),
    ),
)
