"""Reading what policies are attached to."""

from uuid import UUID

from domain.gates.policies import Attachment
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import from_row

_ATTACHMENTS = Listing.plain(Attachment, "policy_attachments", "policy attachment", archivable=True)

attachment_of = from_row(Attachment)


async def get_attachment(reader: Reader, tenant: Tenant, attachment_id: UUID) -> Attachment:
    """Return one attachment. Raises NotFound, also if it was removed or belongs to another organisation."""
    return await _ATTACHMENTS.get(reader, tenant, attachment_id)


async def list_attachments(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    policy_id: UUID | None = None,
    environment_id: UUID | None = None,
    flow_id: UUID | None = None,
) -> Page[Attachment]:
    """List the organisation's attachments, oldest first, filtered by the given values."""
    return await _ATTACHMENTS.page(
        reader,
        tenant,
        window,
        filters={"policy_id = {}": policy_id, "environment_id = {}": environment_id, "flow_id = {}": flow_id},
    )
