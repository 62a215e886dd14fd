"""Checking approvals that nobody decides: those whose deadline has passed, and those whose deadline comes near."""

from collections.abc import Mapping

from storage.gates.commands.deadlines import Due, expire_approvals, remind_of_approvals, waiting_approvals
from storage.services import Services
from workers.overdue import Step, work_off

_STEPS: Mapping[Due, Step] = {"deadline": expire_approvals, "remind_at": remind_of_approvals}


async def check_approvals(services: Services) -> None:
    """Let approvals expire that are due, and then remind people of those that soon are."""
    await work_off(services, waiting_approvals, _STEPS, complaint="approvals.not_checked")
