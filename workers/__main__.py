"""`python -m workers`: one worker process."""

import asyncio
import signal
import sys
from collections.abc import Mapping

import uvloop

from storage.keys import UnusableKey
from storage.ledger.marking import marks_kept
from storage.logs import configure_logs
from storage.memory import freeze_heap
from storage.schedule.wakeups import Job
from storage.services import NotConfigured, open_services
from storage.settings import Settings
from workers.drain import drain
from workers.host import Host, Work
from workers.metrics import metrics_served
from workers.relay import Relay
from workers.seal import Sealer
from workers.sweeps import sweep


def jobs(relay: Relay) -> Mapping[Job, Work]:
    """Return the function that each job runs."""
    return {Job.DRAIN: drain, Job.RELAY: relay, Job.SEAL: Sealer()}


async def main() -> None:
    """Run a worker until SIGTERM or SIGINT."""
    settings = Settings()
    configure_logs(settings.log_level)
    async with (
        open_services(settings, "trailgate worker") as services,
        metrics_served(settings),
        marks_kept(services),
        Relay.opened(services) as relay,
    ):
        host = Host(services, jobs(relay), sweep)

        def stop() -> None:
            relay.stop()
            host.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        freeze_heap()
        await host.run()


if __name__ == "__main__":
    try:
        uvloop.run(main())
    except (NotConfigured, UnusableKey) as error:
        sys.stderr.write(f"trailgate worker: {error}\n")
        sys.exit(2)
