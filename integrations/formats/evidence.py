"""The evidence files that are read for a verdict, by the type of their attestation (facts.md 7.4).

Every reader is listed here, by hand: nothing registers itself.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import structlog

from integrations.formats.jira.parse import read as read_jira
from integrations.formats.junit.parse import read as read_junit
from integrations.formats.parsed import Deadline, Processor, Reading, Unreadable
from integrations.formats.sarif.parse import read as read_sarif
from integrations.formats.snyk.parse import read as read_snyk
from integrations.formats.sonar.parse import read as read_sonar

__all__ = ["PROCESSORS", "UNREADABLE", "Deadline", "Processor", "Reading", "failed", "read_evidence"]

SECONDS = 30
"""For one file."""

UNREADABLE = "The file could not be read"
"""For a fault of ours, whose words are nobody's business."""

PROCESSORS: Mapping[str, Processor] = MappingProxyType(
    {
        "jira": read_jira,
        "junit": read_junit,
        "sarif": read_sarif,
        "snyk": read_snyk,
        "sonar": read_sonar,
        "sonarcloud": read_sonar,
        "sonarqube": read_sonar,
    }
)
"""By type in lower case. `unit-tests`, `trivy` and the like are not among them: their evidence may be anything."""

log = structlog.get_logger()


def read_evidence(kind: str, path: Path) -> Reading | None:
    """What the file says of an attestation of the type `kind`, in any case; None when such evidence is not read.

    Blocks for at most 30 seconds or so: call it in a thread. No content raises: what cannot be read has failed, and
    says `error` in its details. Raises OSError when the disk fails, which says nothing of the file.
    """
    processor = PROCESSORS.get(kind.lower())
    return judged(processor, path) if processor else None


def judged(processor: Processor, path: Path) -> Reading:
    """The reading of one processor, where a file that it cannot read has failed. Raises OSError."""
    try:
        return processor(path, Deadline.after(SECONDS))
    except Unreadable as unreadable:
        return failed(unreadable.message)
    except OSError:
        raise
    except Exception:  # fails closed: a fault of ours must neither pass the file nor refuse the upload
        log.exception("evidence_reader_failed", processor=processor.__module__)
        return failed(UNREADABLE)


def failed(message: str) -> Reading:
    """The reading of a file that could not be read."""
    return Reading(passed=False, details={"error": message}, reason=message)
