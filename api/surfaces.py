"""The API surfaces: which areas each one serves, and how it authenticates and reports errors."""

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from api.audit.marks import marks_raised
from api.audit.routes import ROUTES as AUDIT
from api.environments.routes import ROUTES as ENVIRONMENTS
from api.facts.grouped import grouped_commands
from api.facts.routes import ROUTES as FACTS
from api.gates.grouped import grouped_decisions
from api.gates.opa_evaluators import opa_evaluators
from api.gates.routes import ROUTES as GATES
from api.http.calls import Surface
from api.http.errors import ErrorOut, render_error
from api.identity.authentication import authenticate
from api.identity.ci_tokens import ci_tokens
from api.identity.credential_uses import credential_uses
from api.identity.credentials import credentials
from api.identity.denials import audit_denial, audited_denials
from api.identity.routes import ROUTES as IDENTITY
from api.monitoring.routes import ROUTES as MONITORING
from api.notifications.routes import ROUTES as NOTIFICATIONS
from api.notifications.streams import notification_streams
from api.webhooks.arrivals import arrivals
from api.webhooks.routes import routes as receiver

DESCRIPTION = """Trailgate keeps the evidence of software delivery: what was built, tested, scanned and approved.

Every fact is sealed into a ledger that can be verified without trusting this server.
Lists return the headers `X-Total-Count` and `Link`; every response has an `X-Request-Id`."""

EXEMPT = frozenset(
    {
        "receive_config_webhook",  # authenticated by its signature
        "receive_webhook",
        "begin_sign_in",  # authenticated by the identity provider
        "finish_sign_in",
        "accept_invitation",  # authenticated by the token of the invitation
        "live",
        "ready",
        "kosli_ready",
        "actuator_health",
        "prometheus",
    }
)
"""The handlers that need no credential."""

CONTEXTS: tuple[Callable[[web.Application], AsyncIterator[None]], ...] = (
    marks_raised,
    audited_denials,
    credential_uses,
    credentials,
    ci_tokens,
    notification_streams,
    opa_evaluators,
    grouped_commands,
    grouped_decisions,
    arrivals,
)
"""What the areas keep open while the application serves. Closed in reverse: accepted webhooks are stored first."""


def fact_store(webhook_max_body: int) -> Surface:
    """Return the facts API, plain JSON at the root of the address. `webhook_max_body` is in bytes."""
    return Surface(
        name="facts",
        title="Trailgate facts API",
        version="v1",
        description=DESCRIPTION,
        error_model=ErrorOut,
        render=render_error,
        authenticate=authenticate,
        denied=audit_denial,
        routes=(
            *receiver(webhook_max_body),
            *FACTS,
            *ENVIRONMENTS,
            *GATES,
            *NOTIFICATIONS,
            *AUDIT,
            *IDENTITY,
            *MONITORING,
        ),
        security={
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        },
        exempt=EXEMPT,
        challenge='Bearer realm="Trailgate", ApiKey realm="Trailgate"',
    )
