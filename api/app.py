"""Build the API application: its surface, documents and background tasks."""

from collections.abc import AsyncIterator

from aiohttp import web

from api.http.calls import REGION_HEADER, SERVICES, STAGING
from api.http.cors import CORS, Cors
from api.http.documentation.documents import add_documents
from api.http.documentation.landing import add_landing_page
from api.http.evidence_parsing import PARSERS, EvidenceParsers
from api.http.grouped import GROUP_COMMITS
from api.http.middleware import install
from api.http.observation import observer
from api.http.openid import OPENID, OpenId
from api.http.rate_limits import RATE_LIMITS, RateLimits, rate_limits_shared
from api.http.security_headers import Hosts, security_headers
from api.http.transport.addresses import PROXIES
from api.http.transport.bodies import HANDLER_ARGS, PATIENCE
from api.http.transport.streams import STREAMS
from api.http.transport.uploads import MAX_FILE, RESERVE
from api.identity.authentication import EVERYBODY
from api.identity.invitation_page import add_invitation_page
from api.monitoring.health import STOPPING, Stopping
from api.monitoring.routes import PROBES
from api.surfaces import CONTEXTS, fact_store
from api.webhooks.configs import CONFIGS, ReceiverConfigs
from api.webhooks.delivery_threads import delivery_threads
from api.webhooks.senders import PROVEN_SENDERS, ProvenSenders
from api.webhooks.unproven import UNPROVEN, Unproven
from storage.identity.bootstrap import bootstrap, everybody
from storage.services import Services

DOCUMENT_PATHS = ("/api-docs", "/v3/api-docs", "/openapi.json")
DOCUMENT_PAGE = "/swagger-ui.html"
LINKS = {
    DOCUMENT_PAGE: "Try the API",
    DOCUMENT_PATHS[0]: "The API as an OpenAPI document, for client generators",
    "/health/ready": "Whether this server is ready",
    "/metrics": "Metrics, for Prometheus",
}


def build_app(services: Services) -> web.Application:
    """Return the application over open services, which the caller closes after it."""
    settings = services.settings
    app = web.Application(
        client_max_size=settings.webhook_max_body, middlewares=[observer()], handler_args=HANDLER_ARGS
    )
    app[SERVICES] = services
    app[CONFIGS] = ReceiverConfigs(services.database, services.envelope)
    app[PROVEN_SENDERS] = ProvenSenders()
    app[UNPROVEN] = Unproven(settings.unproven_bytes)
    app[PATIENCE] = settings.client_timeout
    app[PROXIES] = settings.proxies
    app[RATE_LIMITS] = RateLimits(settings.rates)
    app[GROUP_COMMITS] = {}
    app[STREAMS] = []
    app[OPENID] = OpenId.over(services)
    app[STOPPING] = Stopping()
    app[PARSERS] = EvidenceParsers()
    app[STAGING] = services.blobs.staging
    app[RESERVE] = settings.disk_reserve
    app[MAX_FILE] = settings.evidence_max_size
    app.cleanup_ctx.extend([_prepared, rate_limits_shared, delivery_threads, *CONTEXTS])
    app.on_shutdown.append(_stop)
    app[CORS] = Cors(settings.cors)
    surface = fact_store(settings.webhook_max_body)
    hosts = Hosts(settings.hosts, PROBES)
    headers = security_headers(tls=settings.has_tls)
    [endpoints] = install(app, [surface], {REGION_HEADER: settings.region}, headers, hosts)
    add_documents(app, surface, endpoints, DOCUMENT_PATHS, DOCUMENT_PAGE)
    add_landing_page(app, surface, LINKS, DOCUMENT_PAGE)
    add_invitation_page(app)
    return app


async def _prepared(app: web.Application) -> AsyncIterator[None]:
    """Create what must exist before the first request; several processes may do this at once."""
    services = app[SERVICES]
    settings = services.settings
    fixed = settings.admin_key.get_secret_value() if settings.admin_key else None
    found = await bootstrap(services.database, fixed, services.signer, services.envelope)
    if settings.auth == "off":
        app[EVERYBODY] = everybody(found)
    yield


async def _stop(app: web.Application) -> None:
    app[STOPPING].begun = True
    for streams in app[STREAMS]:
        streams.end()
