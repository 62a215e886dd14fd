"""The route table as the tests walk it: a new route is covered by every test here without being named."""

from collections.abc import Mapping
from typing import Any, get_args
from uuid import UUID, uuid4

from pydantic import BaseModel

from api.binding import Endpoint
from api.calls import PATH_PARAMETER
from api.facts.surface import facts_surface

WEBHOOK_CAP = 100_000
"""Bytes a webhook may have in these tests: small, so that the cap is cheap to exceed."""

SURFACE = facts_surface(WEBHOOK_CAP)
ENDPOINTS = tuple(Endpoint(SURFACE, route) for route in SURFACE.routes)
GUARDED = tuple(one for one in ENDPOINTS if one.route.permission is not None)
WITH_BODY = tuple(one for one in ENDPOINTS if one.signature.body is not None)
WITH_QUERY = tuple(one for one in ENDPOINTS if one.signature.query is not None)
DOORS = tuple(one for one in ENDPOINTS if one.signature.raw)
WITH_ID = tuple(one for one in GUARDED if "{" in one.route.path)

TEXTS: Mapping[str, str] = {"source": "github", "organisation": "no-such-organisation"}


def name_of(endpoint: Endpoint) -> str:
    """For pytest's ids."""
    return endpoint.route.name


def url_of(endpoint: Endpoint, **known: str) -> str:
    """A path that this route serves; of what nobody has unless told otherwise."""
    values = {**TEXTS, **known}
    return PATH_PARAMETER.sub(lambda found: values.get(found[1]) or str(uuid4()), endpoint.route.path)


def uuid_parameters(endpoint: Endpoint) -> list[str]:
    return [one.argument for one in endpoint.signature.parameters if one.place == "path" and one.annotation is UUID]


def with_parameter(name: str) -> list[Endpoint]:
    """The routes whose query takes this parameter."""
    return [one for one in ENDPOINTS if one.signature.query and name in one.signature.query.model.model_fields]


def body_model(endpoint: Endpoint) -> type[BaseModel]:
    """The model behind the `body` argument, optional or not."""
    hint = endpoint.route.handler.__annotations__["body"]
    [model] = [one for one in (hint, *get_args(hint)) if isinstance(one, type) and issubclass(one, BaseModel)]
    return model


def example_of(model: type[BaseModel]) -> dict[str, Any]:
    """A body that the model takes, as its document shows it."""
    examples: list[dict[str, Any]] = (model.model_config.get("json_schema_extra") or {}).get("examples", [])  # type: ignore[union-attr, assignment]
    return dict(examples[0]) if examples else {"secret": "another long random text"}
