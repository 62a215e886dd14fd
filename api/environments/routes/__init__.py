"""Routes of environments, with the permission that each one needs. The most frequent routes come first."""

from api.environments.routes import drift, environments, logical_environments, snapshots

ROUTES = (*snapshots.ROUTES, *environments.ROUTES, *drift.ROUTES, *logical_environments.ROUTES)
