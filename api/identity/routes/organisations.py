"""Routes of organisations."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.identity.handlers import organisations
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Organisations",
    Route(
        "POST",
        f"{V1}/organisations",
        organisations.create_organisation,
        Permission.PLATFORM_MANAGE,
        status=201,
        errors=(409,),
    ),
    Route("GET", f"{V1}/organisations", organisations.list_organisations, Permission.FACTS_READ),
    Route(
        "GET",
        f"{V1}/organisations/{{organisation}}",
        organisations.get_organisation,
        Permission.FACTS_READ,
        examples={"organisation": "default"},
    ),
)
