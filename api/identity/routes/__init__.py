"""Routes of organisations and of their limits."""

from api.identity.routes import limits, organisations

ROUTES = (*organisations.ROUTES, *limits.ROUTES)
