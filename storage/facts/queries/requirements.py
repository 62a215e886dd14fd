"""Requirements of a flow version, read from its row."""

import json
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


def asked_in_texts(row: Mapping[str, Any]) -> Asked:
    """Do the same for a row whose columns `tags`, `required_types` and `template` are JSON text: once for each flow.

    Of many trails most are of the same version of a flow, and decoding its columns takes longer than using them.
    """
    return _asked(row["name"], row["tags"], row["required_types"], row["requires_approval"], row["template"])


@lru_cache(maxsize=256)
def _asked(name: str, tags: str, required_types: str, requires_approval: bool, template: str | None) -> Asked:  # noqa: FBT001
    return asked_by(
        {
            "name": name,
            "tags": json.loads(tags),
            "required_types": json.loads(required_types),
            "requires_approval": requires_approval,
            "template": None if template is None else json.loads(template),
        }
    )


_of_types = lru_cache(maxsize=1024)(RequirementSet.of_types)
