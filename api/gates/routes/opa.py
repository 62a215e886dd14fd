"""Routes of OPA bundles and decisions.

Bundles are the organisation's: a key with scopes neither reads nor changes them. It may have the facts within its
scopes evaluated.
"""

from api.gates.handlers import opa_bundles, opa_decisions
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_BUNDLES = f"{V1}/opa/bundles"
_BUNDLE = f"{_BUNDLES}/{{bundle_id}}"
_DECISIONS = f"{V1}/opa/decisions"

MAX_BODY = 3 << 20
"""Bytes: a bundle of 1 MiB takes more as JSON, in which quotes and line ends are escaped."""

ROUTES = tagged(
    "OPA",
    *scoped(
        Route(
            "POST",
            f"{V1}/opa/evaluate",
            opa_decisions.evaluate_opa,
            Permission.GATE_EVALUATE,
            errors=(404,),
            prepare=opa_decisions.evaluate_bundle,
        ),
    ),
    Route("GET", _DECISIONS, opa_decisions.list_opa_decisions, Permission.FACTS_READ),
    Route("GET", f"{_DECISIONS}/{{decision_id}}", opa_decisions.get_opa_decision, Permission.FACTS_READ),
    Route(
        "POST",
        _BUNDLES,
        opa_bundles.create_opa_bundle,
        Permission.POLICIES_MANAGE,
        status=201,
        errors=(404, 409, 422),
        max_body=MAX_BODY,
        prepare=opa_bundles.compile_bundle,
    ),
    Route("GET", _BUNDLES, opa_bundles.list_opa_bundles, Permission.FACTS_READ),
    Route("GET", _BUNDLE, opa_bundles.get_opa_bundle, Permission.FACTS_READ),
    Route("DELETE", _BUNDLE, opa_bundles.delete_opa_bundle, Permission.POLICIES_MANAGE, errors=(409, 412)),
    Route("PUT", f"{_BUNDLE}/activate", opa_bundles.activate_opa_bundle, Permission.POLICIES_MANAGE, errors=(412,)),
    Route("PUT", f"{_BUNDLE}/deactivate", opa_bundles.deactivate_opa_bundle, Permission.POLICIES_MANAGE, errors=(412,)),
)
