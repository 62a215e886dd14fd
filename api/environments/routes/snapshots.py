"""Routes of snapshots, of the difference between two, and of deployments."""

from api.environments.handlers import compliance, deployments, snapshots
from api.environments.routes.environments import ENVIRONMENT
from api.http.calls import MEBIBYTE, Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_SNAPSHOTS = f"{ENVIRONMENT}/snapshots"

ROUTES = tagged(
    "Environments",
    *scoped(
        Route(
            "POST",
            _SNAPSHOTS,
            snapshots.record_snapshot,
            Permission.ENVIRONMENTS_REPORT,
            status=201,
            max_body=16 * MEBIBYTE,
        ),
        Route("GET", f"{_SNAPSHOTS}/latest", snapshots.get_latest_snapshot, Permission.FACTS_READ),
        Route(
            "GET",
            f"{_SNAPSHOTS}/{{index:[0-9]{{1,9}}}}",
            snapshots.get_snapshot,
            Permission.FACTS_READ,
            examples={"index": "12"},
        ),
        Route("GET", _SNAPSHOTS, snapshots.list_snapshots, Permission.FACTS_READ),
        Route("GET", f"{ENVIRONMENT}/diff", snapshots.compare_snapshots, Permission.FACTS_READ),
        Route("GET", f"{ENVIRONMENT}/compliance", compliance.get_environment_compliance, Permission.FACTS_READ),
        Route("GET", f"{ENVIRONMENT}/deployments", deployments.list_environment_deployments, Permission.FACTS_READ),
        Route(
            "GET",
            f"{V1}/artifacts/{{digest}}/deployments",
            deployments.list_artifact_deployments,
            Permission.FACTS_READ,
            examples={"digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        ),
    ),
)
