"""Routes of environments, with the permission that each one needs. The most frequent routes come first."""

from api.environments.routes import allow_list, drift, environments, snapshots

ROUTES = (*snapshots.ROUTES, *environments.ROUTES, *drift.ROUTES, *allow_list.ROUTES)
