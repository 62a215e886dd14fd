"""Parsers of evidence files, by the type of the attestation.

Every parser is listed here explicitly; there is no plug-in registry.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import structlog

from integrations.formats.jira.parse import parse as parse_jira
from integrations.formats.junit.parse import parse as parse_junit
from integrations.formats.parsed import Deadline, ParsedEvidence, Parser, Unreadable
from integrations.formats.sarif.parse import parse as parse_sarif
from integrations.formats.scan_reports import SCAN_REPORT
from integrations.formats.scan_reports import parse as parse_scan_report
from integrations.formats.snyk.parse import parse as parse_snyk
from integrations.formats.sonar.parse import parse as parse_sonar

__all__ = ["FORMATS", "UNREADABLE", "Deadline", "ParsedEvidence", "Parser", "failed", "parse_evidence"]

TIMEOUT_FILE = 30
"""Seconds for one file."""

UNREADABLE = "The file could not be read"
"""The message for an internal error, whose own text must not be shown."""

FORMATS: Mapping[str, Parser] = MappingProxyType(
    {
        "jira": parse_jira,
        "junit": parse_junit,
        "sarif": parse_sarif,
        "snyk": parse_snyk,
        "sonar": parse_sonar,
        "sonarcloud": parse_sonar,
        "sonarqube": parse_sonar,
    }
)
"""Parsers by type, in lower case. Types such as `unit-tests` and `trivy` have none: their files may have any format."""

_PARSERS: Mapping[str, Parser] = MappingProxyType({**FORMATS, SCAN_REPORT: parse_scan_report})

log = structlog.get_logger()


def parse_evidence(kind: str, path: Path) -> ParsedEvidence | None:
    """Parse the evidence file of an attestation of type `kind` (in any case), or a scan report; None without a parser.

    Blocks for about 30 seconds at most: call it in a thread. A file that cannot be parsed does not raise: it has
    failed, with the key `error` in its details. Raises OSError if the disk fails.
    """
    parser = _PARSERS.get(kind.lower())
    return parsed_by(parser, path) if parser else None


def parsed_by(parser: Parser, path: Path) -> ParsedEvidence:
    """Run one parser; a file that it cannot parse has failed. Raises OSError."""
    try:
        return parser(path, Deadline.after(TIMEOUT_FILE))
    except Unreadable as unreadable:
        return failed(unreadable.message)
    except OSError:
        raise
    except Exception:  # fail closed: an internal error must neither pass the file nor refuse the upload
        log.exception("evidence_parser_failed", parser=parser.__module__)
        return failed(UNREADABLE)


def failed(message: str) -> ParsedEvidence:
    """Return the outcome for a file that could not be parsed."""
    return ParsedEvidence(passed=False, details={"error": message}, reason=message)
