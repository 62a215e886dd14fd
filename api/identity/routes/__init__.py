"""Routes of organisations."""

from api.identity.routes import organisations

ROUTES = organisations.ROUTES
