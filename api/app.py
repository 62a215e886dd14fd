"""The application: surfaces, documents, and what they need while they serve."""

from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from api.authentication import EVERYBODY, KEY_USES, REGION_HEADER
from api.calls import SERVICES, STAGING
from api.documents import add_documents
from api.evidence_reading import READERS, EvidenceReaders
from api.facts.surface import facts_surface
from api.health import STOPPING, Stopping
from api.key_uses import KeyUses
from api.middleware import install
from api.observation import observer
from api.streams import STREAMS, Streams
from api.uploads import MAX_FILE
from api.webhooks.doors import Doors
from api.webhooks.front_door import DOORS
from api.writers import WRITERS, open_writers
from storage.identity.bootstrap import bootstrap, everybody
from storage.services import Services

DOCUMENT_PATHS = ("/api-docs", "/v3/api-docs", "/openapi.json")


def build_app(services: Services) -> web.Application:
    """The whole API over open services, which outlive it."""
    settings = services.settings
    app = web.Application(client_max_size=settings.webhook_max_body, middlewares=[observer()])
    app[SERVICES] = services
    app[DOORS] = Doors(services.database, services.envelope)
    app[STOPPING] = Stopping()
    app[READERS] = EvidenceReaders()
    app[STAGING] = services.blobs.staging
    app[MAX_FILE] = settings.evidence_max_size
    app.cleanup_ctx.extend([_prepared, _key_uses, _streams, _writers])
    app.on_shutdown.append(_stop)
    surface = facts_surface(settings.webhook_max_body)
    app.on_response_prepare.append(_headers(settings.region))
    [endpoints] = install(app, [surface])
    add_documents(app, surface, endpoints, DOCUMENT_PATHS)
    return app


def _headers(region: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """What every answer carries: where it was given (facts.md 2.6), and that its type is meant as it says."""

    async def stamp(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers[REGION_HEADER] = region
        response.headers.setdefault("X-Content-Type-Options", "nosniff")

    return stamp


async def _prepared(app: web.Application) -> AsyncIterator[None]:
    """What must exist before the first request; several processes may do this at once."""
    services = app[SERVICES]
    settings = services.settings
    fixed = settings.admin_key.get_secret_value() if settings.admin_key else None
    found = await bootstrap(services.database, fixed, services.signer)
    if settings.auth == "off":
        app[EVERYBODY] = everybody(found)
    yield


async def _key_uses(app: web.Application) -> AsyncIterator[None]:
    async with KeyUses.opened(app[SERVICES].database) as uses:
        app[KEY_USES] = uses
        yield


async def _writers(app: web.Application) -> AsyncIterator[None]:
    """Torn down first: what was accepted is written before anything else closes."""
    async with open_writers(app[SERVICES]) as writers:
        app[WRITERS] = writers
        yield


async def _streams(app: web.Application) -> AsyncIterator[None]:
    async with Streams.opened(app[SERVICES]) as streams:
        app[STREAMS] = streams
        yield


async def _stop(app: web.Application) -> None:
    app[STOPPING].begun = True
    app[STREAMS].end()
