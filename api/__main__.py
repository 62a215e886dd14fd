"""`python -m api`: run one API process. With `--share` several processes can listen on the same address."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from api.app import build_app
from api.http.transport.connections import ConnectionLimits, Runner
from api.monitoring.health import STOPPING
from domain.addresses import is_loopback
from storage.keys import UnusableKey
from storage.logs import configure_logs
from storage.memory import freeze_heap
from storage.services import NotConfigured, open_services
from storage.settings import Settings

log = structlog.get_logger()

BACKLOG = 1024
SWITCH = 0.001
"""Seconds after which a thread that parses a file lets the event loop run; Python's default is 0.005."""


def check_exposure(settings: Settings) -> None:
    """Raise NotConfigured when authentication is off on an address that other machines can reach."""
    if settings.auth == "off" and not is_loopback(settings.host):
        raise NotConfigured(
            f"TRAILGATE_AUTH=off makes everybody an administrator, so the API may only listen on a loopback address, "
            f"not on {settings.host}. Set TRAILGATE_HOST=127.0.0.1 or TRAILGATE_AUTH=required."
        )


async def serve(settings: Settings, *, share: bool = False, listens: Path | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish open requests.

    `share` sets SO_REUSEPORT on the address; the file `listens` is created once this process listens on it.
    """
    check_exposure(settings)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_services(settings, "trailgate api") as services:
        app = build_app(services)
        limits = ConnectionLimits.of(settings)
        runner = Runner(app, limits, shutdown_timeout=settings.shutdown_grace)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG, reuse_port=share or None)
            await site.start()
            freeze_heap()
            if listens:
                await asyncio.to_thread(listens.touch)
            addresses = [list(address[:2]) for address in runner.addresses]
            log.info("api.serving", addresses=addresses, max_connections=limits.total)
            await stop.wait()
            app[STOPPING].begun = True
        finally:
            await runner.cleanup()


def main() -> None:
    """Run one API process; print a configuration error as one line and exit with status 2."""
    parser = argparse.ArgumentParser(prog="python -m api", description="Run one API process.")
    parser.add_argument("--share", action="store_true", help="share the address with other API processes")
    parser.add_argument("--listens", type=Path, metavar="FILE", help="file to create once this process listens")
    options = parser.parse_args()
    settings = Settings()
    configure_logs(settings.log_level)
    sys.setswitchinterval(SWITCH)
    try:
        uvloop.run(serve(settings, share=options.share, listens=options.listens))
    except (NotConfigured, UnusableKey, OSError) as error:
        sys.stderr.write(f"trailgate api: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
