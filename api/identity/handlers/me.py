"""The handler of the caller's own identity."""

from api.http.calls import Call
from api.identity.schemas.me import MeOut
from api.identity.schemas.roles import RoleName
from storage.identity.queries.principals import name_and_email


async def get_me(call: Call) -> MeOut:
    """Get the caller: who it is, and what its credential may do."""
    caller = call.caller
    async with call.read() as reader:
        name, email = await name_and_email(reader, caller.id)
    return MeOut(
        id=caller.id,
        kind=caller.kind,
        name=name,
        email=email,
        organisation=caller.org_slug,
        organisation_id=caller.org_id,
        role=RoleName.of(caller.role),
        permissions=sorted(caller.permissions),
        credential_id=caller.credential_id,
        scopes=list(caller.scopes.texts) if caller.scopes else None,
    )
