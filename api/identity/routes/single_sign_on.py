"""Routes of single sign-on."""

from api.http.calls import Route, tagged
from api.identity.handlers import single_sign_on as sso
from api.identity.routes.organisations import DEFAULT, ORGANISATION
from domain.identity.permissions import Permission

SSO = f"{ORGANISATION}/sso"
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

ROUTES = tagged(
    "Single sign-on",
    Route("POST", SSO, sso.create_sso_config, MANAGE, status=201, errors=(409,), examples=DEFAULT),
    Route("GET", SSO, sso.get_sso, READ, examples=DEFAULT),
    Route("PUT", SSO, sso.update_sso_config, MANAGE, errors=(409,), examples=DEFAULT),
    Route("DELETE", SSO, sso.delete_sso_config, MANAGE, status=204, examples=DEFAULT),
    Route("POST", f"{SSO}/test", sso.test_sso_config, MANAGE, examples=DEFAULT),
    Route("GET", f"{SSO}/login", sso.begin_sign_in, None, errors=(502, 503), examples=DEFAULT),
    Route("GET", f"{SSO}/callback", sso.finish_sign_in, None, errors=(401, 403, 409, 502, 503), examples=DEFAULT),
)
