"""Check an organisation named in a request body against the caller's, which alone decides whose data is used."""

from api.http.calls import Call
from domain.errors import Denial, NotFound


def check_org_slug(call: Call, org_slug: str | None) -> None:
    """Raise NotFound when the body names another organisation than the caller's."""
    if org_slug is not None and org_slug != call.caller.org_slug:
        raise no_organisation(org_slug)


def no_organisation(named: str) -> NotFound:
    """Make the error for an organisation that does not exist or is not the caller's: nobody can tell which."""
    hint = "" if named == named.lower() else " Slugs are in lower case."
    return NotFound(f"There is no organisation '{named[:100]}'.{hint}", denial=Denial.ORGANISATION)
