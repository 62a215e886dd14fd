"""Requirements of a flow version, read from its row."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from domain.facts.evaluation import Asked
from domain.facts.requirements import RequirementSet


def asked_by(row: Mapping[str, Any]) -> Asked:
    """Return the requirements in a row: those of its template, else those of its list of types."""
    template = row["template"]
    requirements = _of_types(tuple(row["required_types"])) if template is None else RequirementSet.from_json(template)
    return Asked(requirements, row["requires_approval"], row["name"], tuple(sorted(row["tags"].items())))


_of_types = lru_cache(maxsize=1024)(RequirementSet.of_types)
