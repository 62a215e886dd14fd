"""The route table as the tests walk it: a new route is covered by every test here without being named."""

from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID, uuid4

from pydantic import BaseModel

from api.http.binding import Endpoint
from api.http.calls import PATH_PARAMETER
from api.http.streams import EVENT_STREAM
from api.surfaces import fact_store
from tests.api.caller import DIGEST

WEBHOOK_CAP = 100_000
"""Bytes a webhook may have in these tests: small, so that the cap is cheap to exceed."""

SURFACE = fact_store(WEBHOOK_CAP)
ENDPOINTS = tuple(Endpoint(SURFACE, route) for route in SURFACE.routes)
GUARDED = tuple(one for one in ENDPOINTS if one.route.permission is not None)
FINITE = tuple(one for one in ENDPOINTS if one.produces != EVENT_STREAM)
"""Answers that can be read to their end."""
WITH_BODY = tuple(one for one in ENDPOINTS if one.signature.body is not None)
WITH_QUERY = tuple(one for one in ENDPOINTS if one.signature.query is not None)
DOORS = tuple(one for one in ENDPOINTS if one.signature.raw)
WITH_ID = tuple(one for one in GUARDED if "{" in one.route.path)

QUERIES: Mapping[str, str] = {"list_artifacts": f"sha256={DIGEST}&"}
"""Parameters that a route does not go without."""
TEXTS: Mapping[str, str] = {
    "source": "github",
    "organisation": "no-such-organisation",
    "tree_size": "latest",
    "sha256": "0" * 64,
}


def name_of(endpoint: Endpoint) -> str:
    """For pytest's ids."""
    return endpoint.route.name


SPARE: Mapping[str, Mapping[str, str]] = {"delete_flow": {"flow_id": "empty_flow_id"}}
"""What a route needs in a state of its own: another name in the world for its parameter."""


def url_of(endpoint: Endpoint, **known: str) -> str:
    """A path that this route serves; of what nobody has unless told otherwise."""
    spare = {name: known[other] for name, other in SPARE.get(endpoint.route.name, {}).items() if other in known}
    values = {**TEXTS, **known, **spare}
    return PATH_PARAMETER.sub(lambda found: values.get(found[1]) or str(uuid4()), endpoint.route.path)


def asking_url(endpoint: Endpoint, **known: str) -> str:
    """The same with the parameters that it needs; more may be put behind it."""
    return f"{url_of(endpoint, **known)}?{QUERIES.get(endpoint.route.name, '')}"


def uuid_parameters(endpoint: Endpoint) -> list[str]:
    """Those for which the handler says what is wrong with them; where the path has a regex the router does."""
    free = {found[1] for found in PATH_PARAMETER.finditer(endpoint.route.path) if not found[2]}
    return [one.argument for one in endpoint.signature.parameters if one.argument in free and one.annotation is UUID]


def with_parameter(name: str) -> list[Endpoint]:
    """The routes whose query takes this parameter."""
    return [one for one in ENDPOINTS if one.signature.query and name in one.signature.query.model.model_fields]


def file_for(endpoint: Endpoint) -> bytes | None:
    """A whole body for a route that takes nothing but a file."""
    return b"a" if endpoint.signature.form and not endpoint.signature.body else None


def body_model(endpoint: Endpoint) -> type[BaseModel]:
    """The model behind the `body` argument, optional or not."""
    hint = endpoint.route.handler.__annotations__["body"]
    [model] = [one for one in (hint, *get_args(hint)) if isinstance(one, type) and issubclass(one, BaseModel)]
    return model


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """A body that the model takes, as its document shows it."""
    examples: list[dict[str, Any]] = (model.model_config.get("json_schema_extra") or {}).get("examples", [])  # type: ignore[union-attr, assignment]
    return dict(examples[0]) if examples else {"secret": "another long random text"}
