"""Check an organisation named in a request body against the caller's, which alone decides whose data is used."""

from api.http.calls import Call
from domain.errors import Denial, NotFound


def check_org_slug(call: Call, org_slug: str | None) -> None:
    """Raise NotFound when the body names another organisation than the caller's."""
    if org_slug is not None and org_slug != call.caller.org_slug:
        raise NotFound(f"There is no organisation '{org_slug}'.", denial=Denial.ORGANISATION)
