"""`trailgate doctor`: check the installation, and say how to fix the problems found."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Annotated

import asyncpg
import typer
from sqlalchemy.exc import DBAPIError

from cli.checks.files import examine_files
from cli.checks.findings import DoctorFinding, Level, fail, ok
from cli.checks.ledgers import examine_ledgers, examine_signing
from cli.checks.queues import examine_destinations, examine_queues, examine_secrets, named
from cli.checks.reach import Address, examine_mail, examine_reach
from cli.checks.servers import examine_partitions, examine_redis, examine_schema, examine_server, examine_worker
from cli.checks.settings import examine_variables
from cli.installation import Installation, found_installation, opened, read_settings
from cli.output import printable, say, say_styled
from cli.schema import database_url
from domain.errors import TrailgateError, Unavailable
from storage.clock import SystemClock
from storage.database import UNREACHABLE, Reader
from storage.gauges import read_gauges
from storage.keys import existing_master_keys
from storage.notifications.queries.rules import channel_targets
from storage.outbox.health import destinations_in_use
from storage.secrets.envelope import SecretCipher, Undecipherable
from storage.secrets.queries import master_keys_used
from storage.services import NotConfigured
from storage.settings import Settings, environment

TIMEOUT_CHECKS = 30
"""Seconds that PostgreSQL may take for all checks."""
MAX_DESTINATIONS = 1000

UNANSWERED = (*UNREACHABLE, Unavailable, asyncpg.PostgresError, DBAPIError)
"""The errors of PostgreSQL while it is not available or refuses; a TimeoutError is an OSError."""

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}

Report = Callable[[Iterable[DoctorFinding]], None]
"""Receives findings, to print or collect them."""


def doctor(
    probe: Annotated[
        bool, typer.Option("--probe", help="Also connect to every webhook and the mail server; nothing is sent.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Check the installation: print one line per check, with advice for problems. Status 1 if a check fails."""
    findings: list[DoctorFinding] = []

    def report(found: Iterable[DoctorFinding]) -> None:
        for finding in found:
            findings.append(finding)
            if not as_json:
                _show(finding)

    with _installation(report) as installation:
        if installation:
            asyncio.run(_examine(installation, report, probe=probe))
    failed = any(finding.level is Level.FAIL for finding in findings)
    if as_json:
        say(json.dumps({"healthy": not failed, "findings": [asdict(one) for one in findings]}, indent=2))
    if failed:
        raise typer.Exit(1)


def _show(finding: DoctorFinding) -> None:
    advice = f" → {finding.advice}" if finding.advice else ""
    level = (f"{finding.level:<4}", _STYLES[finding.level])
    say_styled(level, f"  {finding.check:<13}  {printable(finding.found + advice)}")


@contextmanager
def _installation(report: Report) -> Iterator[Installation | None]:
    """Yield the installation, or None when there is no database."""
    report(examine_variables(environment()))
    with ExitStack() as stack:
        try:
            installation = stack.enter_context(found_installation(read_settings()))
        except (TrailgateError, NotConfigured, OSError) as error:
            report([fail("settings", str(error), "fix this first: nothing else can be checked before")])
            yield None
            return
        report([ok("settings", f"are valid; the data directory is {installation.settings.data_dir}")])
        yield installation


async def _examine(installation: Installation, report: Report, *, probe: bool) -> None:
    settings = installation.settings
    report(examine_files(settings))
    report(await examine_redis(settings.redis_url or ""))
    endpoints: list[Address] = []
    try:
        async with asyncio.timeout(TIMEOUT_CHECKS), opened(settings) as database, database.read() as reader:
            if await _examine_postgres(reader, settings, report):
                report([await examine_ledgers(database, settings)])
                endpoints = await _examine_records(reader, installation, report)
    except UNANSWERED as error:
        reason = str(error) or type(error).__name__
        report([fail("postgres", f"does not answer: {reason}", "start it, or correct TRAILGATE_DATABASE_URL")])
    if probe:
        report(await examine_reach(endpoints, settings.outbound_networks))
        report([await examine_mail(settings.smtp_url.get_secret_value())] if settings.smtp_url else [])


async def _examine_postgres(reader: Reader, settings: Settings, report: Report) -> bool:
    """Report on PostgreSQL; return whether its schema is that of this version, so that its tables can be read."""
    report(await examine_server(reader, SystemClock()))
    schema = await examine_schema(database_url(settings))
    report([schema])
    return schema.level is not Level.FAIL


async def _examine_records(reader: Reader, installation: Installation, report: Report) -> list[Address]:
    """Report on the contents of the tables; return the destinations in use."""
    clock, settings = SystemClock(), installation.settings
    report([await examine_partitions(reader)])
    report([await examine_worker(reader, settings.redis_url or "", clock, stopped=installation.stopped)])
    gauges = await read_gauges(reader, clock.now())
    report([*examine_queues(gauges), examine_signing(gauges)])
    destinations = await destinations_in_use(reader, MAX_DESTINATIONS)
    report(examine_destinations(destinations, clock.now()))
    keys = existing_master_keys(settings)
    if keys is None:
        report([fail("secrets", "cannot be decrypted without a master key", "see the check of the master key")])
        return []
    envelope = SecretCipher(keys)
    report([examine_secrets(await master_keys_used(reader), envelope)])
    try:
        rules = await channel_targets(reader, envelope, [one.rule_id for one in destinations])
    except Undecipherable:  # reported above
        return []
    return [
        Address(named(one), str(rules[one.rule_id].config.get("webhookUrl", "")))
        for one in destinations
        if one.over_http
    ]
