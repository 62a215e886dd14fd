"""Routes of single sign-on."""

from api.http.calls import Handler, Route, tagged
from api.identity.handlers import single_sign_on as sso
from api.identity.routes.organisations import DEFAULT, ORGANISATION
from domain.identity.permissions import Permission
from domain.identity.rates import RateLimit

SSO = f"{ORGANISATION}/sso"
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE


def _signing_in(step: str, handler: Handler, *errors: int) -> Route:
    """Return the route of a step, which needs no credential."""
    errors = (*errors, 502, 503)
    return Route("GET", f"{SSO}/{step}", handler, None, errors=errors, examples=DEFAULT, limit=RateLimit.SIGN_IN)


ROUTES = tagged(
    "Single sign-on",
    Route("POST", SSO, sso.create_sso_config, MANAGE, status=201, errors=(409,), examples=DEFAULT),
    Route("GET", SSO, sso.get_sso, READ, examples=DEFAULT),
    Route("PUT", SSO, sso.update_sso_config, MANAGE, errors=(409, 412), examples=DEFAULT),
    Route("DELETE", SSO, sso.delete_sso_config, MANAGE, status=204, errors=(412,), examples=DEFAULT),
    Route("POST", f"{SSO}/test", sso.test_sso_config, MANAGE, examples=DEFAULT),
    _signing_in("login", sso.begin_sign_in),
    _signing_in("callback", sso.finish_sign_in, 401, 403, 409),
)
