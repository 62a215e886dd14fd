"""The paths of whom there is."""

from api.identity.routes import organisations

ROUTES = organisations.ROUTES
