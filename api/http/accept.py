"""Content negotiation: which media type the client prefers (RFC 9110, section 12.5.1)."""

import re

from aiohttp import web

_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


def prefers(request: web.Request, media: str, to: str) -> bool:
    """Return whether `Accept` gives `media` more weight than `to`; False when it names neither."""
    accept = ",".join(request.headers.getall("Accept", ()))
    return _weight(accept, media) > _weight(accept, to)


def _weight(accept: str, media: str) -> float:
    for one in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if kind == media:
            return next((float(found[1]) for part in parameters if (found := _WEIGHT.fullmatch(part))), 1.0)
    return 0.0
