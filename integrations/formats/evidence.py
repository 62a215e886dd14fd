"""The evidence files that are read for a verdict, by the type of their attestation.

Every parser is listed here, by hand: nothing registers itself.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import structlog

from integrations.formats.jira.parse import parse as parse_jira
from integrations.formats.junit.parse import parse as parse_junit
from integrations.formats.parsed import Deadline, ParsedEvidence, Parser, Unreadable
from integrations.formats.sarif.parse import parse as parse_sarif
from integrations.formats.snyk.parse import parse as parse_snyk
from integrations.formats.sonar.parse import parse as parse_sonar

__all__ = ["FORMATS", "UNREADABLE", "Deadline", "ParsedEvidence", "Parser", "failed", "parse_evidence"]

TIMEOUT_FILE = 30
"""For one file."""

UNREADABLE = "The file could not be read"
"""For a fault of ours, whose words are nobody's business."""

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
"""By type in lower case. `unit-tests`, `trivy` and the like are not among them: their evidence may be anything."""

log = structlog.get_logger()


def parse_evidence(kind: str, path: Path) -> ParsedEvidence | None:
    """What the file says of an attestation of the type `kind`, in any case; None when such evidence is not parsed.

    Blocks for at most 30 seconds or so: call it in a thread. No content raises: what cannot be parsed has failed, and
    says `error` in its details. Raises OSError when the disk fails, which says nothing of the file.
    """
    parser = FORMATS.get(kind.lower())
    return parsed_by(parser, path) if parser else None


def parsed_by(parser: Parser, path: Path) -> ParsedEvidence:
    """What one parser says; a file that it cannot parse has failed. Raises OSError."""
    try:
        return parser(path, Deadline.after(TIMEOUT_FILE))
    except Unreadable as unreadable:
        return failed(unreadable.message)
    except OSError:
        raise
    except Exception:  # fails closed: a fault of ours must neither pass the file nor refuse the upload
        log.exception("evidence_parser_failed", parser=parser.__module__)
        return failed(UNREADABLE)


def failed(message: str) -> ParsedEvidence:
    """What is said of a file that could not be parsed."""
    return ParsedEvidence(passed=False, details={"error": message}, reason=message)
