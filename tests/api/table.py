"""The route table as the tests walk it: a new route is covered without being named."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args
from uuid import UUID, uuid4

from pydantic import BaseModel

from api.http.arguments import REQUIRED, Parameter
from api.http.binding import Endpoint
from api.http.calls import PATH_PARAMETER
from api.http.resources import Resource
from api.http.transport.streams import EVENT_STREAM
from api.surfaces import fact_store
from domain.identity.permissions import Permission
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
RECEIVERS = tuple(one for one in ENDPOINTS if one.signature.raw)
WITH_ID = tuple(one for one in GUARDED if "{" in one.route.path)
READING_POSTS = {"verify_ledger_record", "verify_ledger_chain", "test_sso_config"}
OF_JOBS = {"record_job_attestation"}
"""What takes the token of a CI job to succeed; its tests are in tests/api/facts/test_job_attestations.py."""
CHANGING = tuple(
    one for one in GUARDED if one.route.method not in {"GET", "HEAD"} and one.route.name not in READING_POSTS
)

QUERIES: Mapping[str, str] = {"list_artifacts": f"sha256={DIGEST}&", "compare_snapshots": "from=1&to=1&"}
"""Parameters that a route does not go without."""
TEXTS: Mapping[str, str] = {
    "source": "github",
    "organisation": "default",
    "tree_size": "latest",
    "sha256": "0" * 64,
    "digest": f"sha256:{'0' * 64}",
    "index": "1",
}
EMPTY_OF_NOBODY = {"list_owner_api_keys", "list_artifact_deployments"}
"""Lists of what nobody has, or somebody else has, which are empty."""


def name_of(endpoint: Endpoint) -> str:
    """For pytest's ids."""
    return endpoint.route.name


BODY_IDS: Mapping[str, str] = {
    "flowId": "flow_id",
    "policyId": "policy_id",
    "trailId": "trail_id",
    "userId": "new_user_id",
    "ownerId": "owner_id",
    "bundle": "active_bundle",
}
"""Fields of bodies, with the path parameters that take the same ids."""
SPARE: Mapping[str, Mapping[str, str]] = {
    "delete_flow": {"flow_id": "empty_flow_id"},
    "remove_logical_environment_member": {"physical_env_id": "member_env_id"},
    "delete_organisation": {"organisation": "empty_organisation"},
    "list_artifact_deployments": {"digest": "running_digest"},
    "get_security_thresholds": {"flow_id": "flow_with_thresholds"},
    "delete_security_thresholds": {"flow_id": "flow_with_thresholds"},
    "get_sso": {"organisation": "organisation_with_sso"},
    "update_sso_config": {"organisation": "organisation_with_sso"},
    "delete_sso_config": {"organisation": "organisation_with_sso"},
    "test_sso_config": {"organisation": "organisation_with_sso"},
}
"""What a route needs in a state of its own: another name in the world for its parameter."""


def url_of(endpoint: Endpoint, **known: str) -> str:
    """A path that this route serves; of what nobody has unless told otherwise."""
    spare = {name: known[other] for name, other in SPARE.get(endpoint.route.name, {}).items() if other in known}
    values = {**TEXTS, **known, **spare}
    return PATH_PARAMETER.sub(lambda found: values.get(found[1]) or str(uuid4()), endpoint.route.path)


def wanted_by(endpoint: Endpoint) -> list[str]:
    """The names of what must be there for a request that succeeds, as `make_world` takes them."""
    spare = SPARE.get(endpoint.route.name, {})
    in_path = [spare.get(found[1], found[1]) for found in PATH_PARAMETER.finditer(endpoint.route.path)]
    return in_path + [known for field, known in BODY_IDS.items() if field in body_of(endpoint)]


def creation_of(parameter: str) -> Endpoint | None:
    """The route that makes what this path parameter names: POST to the path before it."""
    ends = tuple(one.route.plain_path for one in ENDPOINTS if one.route.plain_path.endswith(f"/{{{parameter}}}"))
    collections = {path.removesuffix(f"/{{{parameter}}}") for path in ends}
    return next((one for one in WITH_BODY if one.route.method == "POST" and one.route.plain_path in collections), None)


def body_of(endpoint: Endpoint, known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The body that the document shows, about what is known; empty where the route takes none.

    An e-mail address is another one each time, for it is taken in every organisation.
    """
    body = example_of(body_model(endpoint)) if endpoint.signature.body else {}
    if "email" in body:
        body["email"] = f"{uuid4().hex}@example.com"
    real = {field: (known or {}).get(name) for field, name in BODY_IDS.items()}
    return body | {field: value for field, value in real.items() if value and field in body}


def asking_url(endpoint: Endpoint, **known: str) -> str:
    """The same with the parameters that it needs; more may be put behind it."""
    return f"{url_of(endpoint, **known)}?{QUERIES.get(endpoint.route.name, '')}"


def uuid_parameters(endpoint: Endpoint) -> list[str]:
    """Those for which the handler says what is wrong with them; where the path has a regex the router does."""
    free = {found[1] for found in PATH_PARAMETER.finditer(endpoint.route.path) if not found[2]}
    return [one.argument for one in endpoint.signature.parameters if one.argument in free and one.annotation is UUID]


def with_parameter(name: str) -> tuple[Endpoint, ...]:
    """The routes whose query takes this parameter."""
    return tuple(one for one in WITH_QUERY if one.signature.query and name in one.signature.query.model.model_fields)


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
    return dict(examples[0])


Pattern = Callable[[Endpoint], Any]
"""What routes have in common that are alike to a test."""


def pattern_of(endpoint: Endpoint) -> tuple[Any, ...]:
    """What makes routes behave alike: what they take and answer, and whether their handler is written by hand."""
    route, signature = endpoint.route, endpoint.signature
    return (
        endpoint.surface.name,
        route.method,
        route.permission is None,
        route.handler.__module__ == Resource.__module__,
        *sorted({_kind(one) for one in signature.parameters}),
        *sorted(PAGING & set(signature.query.model.model_fields) if signature.query else ()),
        signature.query is not None,
        signature.raw,
        endpoint.accepts,
        endpoint.produces,
        signature.body is not None and signature.body.default is REQUIRED,
    )


PAGING = {"page", "size", "after"}


def _kind(parameter: Parameter) -> str:
    return f"header {parameter.wire_name}" if parameter.place == "header" else f"path {parameter.annotation}"


def permission_of(endpoint: Endpoint) -> Permission | None:
    """The right that it needs."""
    return endpoint.route.permission


def one_of_each(pattern: Pattern, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """The first of each pattern, in the order of the table."""
    first: dict[Any, Endpoint] = {}
    for endpoint in endpoints:
        first.setdefault(pattern(endpoint), endpoint)
    return tuple(first.values())
