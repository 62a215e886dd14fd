"""Which of several forms of an answer the client prefers (RFC 9110, section 12.5.1)."""

import re

from aiohttp import web

_WEIGHT = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


def prefers(request: web.Request, media: str, to: str) -> bool:
    """Whether the client names the first media type with more weight than the second; neither named is no."""
    accept = ",".join(request.headers.getall("Accept", ()))
    return _weight(accept, media) > _weight(accept, to)


def _weight(accept: str, media: str) -> float:
    for one in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if kind == media:
            return next((float(found[1]) for part in parameters if (found := _WEIGHT.fullmatch(part))), 1.0)
    return 0.0
