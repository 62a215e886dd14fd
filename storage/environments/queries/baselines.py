"""Reading baselines."""

from uuid import UUID

from domain.environments.baselines import Baseline
from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import get_environment
from storage.identity.queries.principals import reporter
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

_baseline = from_row(Baseline)
_COLUMNS = f"{columns(Baseline, but={'approver'})}, {reporter('created_by')} AS approver"
_BASELINES = Listing("baseline", _COLUMNS, "baselines", _baseline)
_ACTIVE = f"SELECT {_COLUMNS} FROM baselines WHERE environment_id = $1 AND archived_at IS NULL"


async def list_baselines(reader: Reader, tenant: Tenant, window: Window, *, environment_id: UUID) -> Page[Baseline]:
    """List the baselines of an environment. Raises NotFound for the environment."""
    await get_environment(reader, tenant, environment_id)
    within = {"environment_id = {}": environment_id}
    return await _BASELINES.page(reader, tenant.unscoped, window, within=within)


async def current_baseline(reader: Reader, tenant: Tenant, environment_id: UUID) -> Baseline:
    """Return the active baseline of an environment. Raises NotFound for it or for the environment."""
    await get_environment(reader, tenant, environment_id)
    return await active_baseline(reader, environment_id)


async def active_baseline(reader: Reader, environment_id: UUID) -> Baseline:
    """Return the active baseline of an environment that is known to be there. Raises NotFound."""
    row = await reader.row(_ACTIVE, environment_id)
    if row is None:
        raise NotFound(f"The environment {environment_id} has no active baseline; approve a snapshot as one first.")
    return _baseline(row)
