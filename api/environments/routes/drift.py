"""Routes of baselines and drift."""

from api.environments.handlers import drift
from api.environments.routes.environments import ENVIRONMENT
from api.http.calls import Route, scoped, tagged
from domain.identity.permissions import Permission

_BASELINES = f"{ENVIRONMENT}/baselines"

ROUTES = tagged(
    "Environments",
    *scoped(
        Route("POST", _BASELINES, drift.create_baseline, Permission.FACTS_MANAGE, status=201),
        Route("GET", f"{_BASELINES}/current", drift.get_current_baseline, Permission.FACTS_READ),
        Route("GET", _BASELINES, drift.list_baselines, Permission.FACTS_READ),
        Route("GET", f"{ENVIRONMENT}/drift", drift.get_drift, Permission.FACTS_READ),
        Route("GET", f"{ENVIRONMENT}/drift/history", drift.list_drift_reports, Permission.FACTS_READ),
    ),
)
