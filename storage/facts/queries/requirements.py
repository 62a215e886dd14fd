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
    return Asked(
        requirements,
        row["requires_approval"],
        row["name"],
        tuple(sorted(row["tags"].items())),
        tuple(row["required_approver_roles"]),
    )


def asked_in_texts(row: Mapping[str, Any]) -> Asked:
    """Do the same for a row whose columns with JSON are text (see `ASKED_IN_TEXTS`): once for each flow.

    Of many trails most are of the same version of a flow, and decoding its columns takes longer than using them.
    """
    return _asked(
        row["name"],
        row["tags"],
        row["required_types"],
        row["requires_approval"],
        row["required_approver_roles"],
        row["template"],
    )


ASKED_IN_TEXTS = """
v.name, v.tags::text AS tags, to_json(v.required_types)::text AS required_types, v.requires_approval,
v.required_approver_roles::text AS required_approver_roles, coalesce(t.template, v.template)::text AS template
"""
"""The columns of `asked_in_texts`, of a trail `t` and the version `v` of its flow."""


@lru_cache(maxsize=256)
def _asked(  # noqa: PLR0917 - positional arguments are cached faster
    name: str,
    tags: str,
    required_types: str,
    requires_approval: bool,  # noqa: FBT001
    approver_roles: str,
    template: str | None,
) -> Asked:
    return asked_by(
        {
            "name": name,
            "tags": json.loads(tags),
            "required_types": json.loads(required_types),
            "requires_approval": requires_approval,
            "required_approver_roles": json.loads(approver_roles),
            "template": None if template is None else json.loads(template),
        }
    )


_of_types = lru_cache(maxsize=1024)(RequirementSet.of_types)
