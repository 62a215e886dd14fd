"""The facts surface: the root of the address, plain JSON (ARCHITECTURE.md 3)."""

from api.authentication import authenticate
from api.calls import Surface
from api.denials import audit_denial
from api.facts.errors import ErrorOut, render_error
from api.facts.routes import EXEMPT, routes

DESCRIPTION = """Trailgate keeps the evidence of software delivery: what was built, tested, scanned and approved.

Every fact is sealed into a ledger that can be verified without trusting this server.
Lists carry `X-Total-Count` and `Link`; every answer carries `X-Request-Id`."""


def facts_surface(webhook_max_body: int) -> Surface:
    """The surface with its limits. `webhook_max_body` in bytes."""
    return Surface(
        name="facts",
        title="Trailgate facts API",
        version="v1",
        description=DESCRIPTION,
        error_model=ErrorOut,
        render=render_error,
        authenticate=authenticate,
        denied=audit_denial,
        routes=routes(webhook_max_body),
        security={
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        },
        exempt=EXEMPT,
        challenge='Bearer realm="Trailgate", ApiKey realm="Trailgate"',
    )
