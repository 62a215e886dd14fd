"""Paths of organisations."""

from api.calls import Route, tagged
from api.facts.handlers import organisations
from api.facts.routes.paths import V1
from domain.permissions import Permission

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
    Route("GET", f"{V1}/organisations/{{organisation}}", organisations.get_organisation, Permission.FACTS_READ),
)
