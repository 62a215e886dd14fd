"""Checking environments that no report checks: those that fell silent, and those whose allow-list expires."""

from collections.abc import Mapping

from storage.environments.commands.staleness import Checked, mark_stale, recheck_drift, waiting_environments
from storage.services import Services
from workers.overdue import Step, work_off

_STEPS: Mapping[Checked, Step] = {"due_at": mark_stale, "recheck_at": recheck_drift}


async def check_environments(services: Services) -> None:
    """Mark what is stale and compare what is due."""
    await work_off(services, waiting_environments, _STEPS, complaint="environments.not_checked")
