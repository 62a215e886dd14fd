"""Routes of snapshots and of what is derived from them."""

from api.environments.handlers import compliance, deployments, snapshots
from api.environments.routes.environments import ENVIRONMENTS
from api.http.calls import MEBIBYTE, Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_ENVIRONMENT = f"{ENVIRONMENTS}/{{environment_id}}"
_SNAPSHOTS = f"{_ENVIRONMENT}/snapshots"

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
        Route("GET", f"{_SNAPSHOTS}/{{index:[0-9]{{1,9}}}}", snapshots.get_snapshot, Permission.FACTS_READ),
        Route("GET", _SNAPSHOTS, snapshots.list_snapshots, Permission.FACTS_READ),
        Route("GET", f"{_ENVIRONMENT}/diff", snapshots.compare_snapshots, Permission.FACTS_READ),
        Route("GET", f"{_ENVIRONMENT}/compliance", compliance.get_environment_compliance, Permission.FACTS_READ),
        Route("GET", f"{_ENVIRONMENT}/deployments", deployments.list_environment_deployments, Permission.FACTS_READ),
        Route(
            "GET",
            f"{V1}/artifacts/{{sha256}}/deployments",
            deployments.list_artifact_deployments,
            Permission.FACTS_READ,
        ),
    ),
)
