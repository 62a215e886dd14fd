"""Routes of environments, with the permission that each one needs."""

from api.environments.routes import environments

ROUTES = (*environments.ROUTES,)
