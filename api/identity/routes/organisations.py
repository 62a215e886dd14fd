"""Routes of organisations and their members."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.identity.handlers import members, organisations
from domain.identity.permissions import Permission

ORGANISATIONS = f"{V1}/organisations"
ORGANISATION = f"{ORGANISATIONS}/{{organisation}}"
MEMBERS = f"{ORGANISATION}/members"
MEMBER = f"{MEMBERS}/{{user_id}}"
DEFAULT = {"organisation": "default"}
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

ROUTES = (
    *tagged(
        "Organisations",
        Route(
            "POST",
            ORGANISATIONS,
            organisations.create_organisation,
            Permission.PLATFORM_MANAGE,
            status=201,
            errors=(409,),
        ),
        Route("GET", ORGANISATIONS, organisations.list_organisations, Permission.FACTS_READ),
        Route("GET", ORGANISATION, organisations.get_organisation, Permission.FACTS_READ, examples=DEFAULT),
        Route(
            "PUT",
            ORGANISATION,
            organisations.update_organisation,
            Permission.ORG_MANAGE,
            errors=(412,),
            examples=DEFAULT,
        ),
        Route(
            "DELETE",
            ORGANISATION,
            organisations.delete_organisation,
            Permission.PLATFORM_MANAGE,
            status=204,
            errors=(409, 412),
            examples=DEFAULT,
        ),
    ),
    *tagged(
        "Members",
        Route("GET", MEMBERS, members.list_members, READ, examples=DEFAULT),
        Route("POST", MEMBERS, members.add_member, MANAGE, status=201, errors=(409,), examples=DEFAULT),
        Route("GET", MEMBER, members.get_member, READ, examples=DEFAULT),
        Route("PUT", MEMBER, members.update_member, MANAGE, errors=(409,), examples=DEFAULT),
        Route("DELETE", MEMBER, members.remove_member, MANAGE, status=204, errors=(409,), examples=DEFAULT),
    ),
)
