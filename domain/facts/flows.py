"""Flows, and the validation of their tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID

from domain.errors import FieldError, Invalid
from domain.facts.requirements import Template

MAX_TAGS = 50
MAX_TAG_KEY = 64
MAX_TAG_VALUE = 256

Visibility = Literal["PUBLIC", "PRIVATE"]


@dataclass(frozen=True, slots=True)
class NewFlow:
    """A flow to create. `required_types` are the attestation types that every trail must have."""

    name: str
    description: str = ""
    required_types: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    requires_approval: bool = False
    required_approver_roles: Sequence[str] = ()
    visibility: Visibility = "PRIVATE"
    template: Template | None = None


class FlowChange(TypedDict, total=False):
    """The fields of a flow to change; absent keys leave their fields unchanged."""

    name: str
    description: str
    required_types: list[str]
    tags: dict[str, str]
    requires_approval: bool
    required_approver_roles: list[str]
    visibility: Visibility
    template: Template | None


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow with its newest version."""

    id: UUID
    org_id: UUID
    name: str
    version: int
    description: str
    required_types: list[str]
    tags: dict[str, str]
    requires_approval: bool
    required_approver_roles: list[str]
    visibility: Visibility
    template_text: str | None
    created_at: datetime
    updated_at: datetime


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise Invalid, naming every tag that breaks a rule."""
    problems = [problem for key, value in tags.items() if (problem := _tag_problem(key, value))]
    if len(tags) > MAX_TAGS:
        problems.insert(0, FieldError("tags", f"at most {MAX_TAGS} tags"))
    if problems:
        raise Invalid(f"{problems[0].field}: {problems[0].message}", problems[:20])


def _tag_problem(key: str, value: str) -> FieldError | None:
    if not key.strip():
        return FieldError("tags", "a tag's key must not be blank")
    if len(key) > MAX_TAG_KEY:
        return FieldError("tags", f"a tag's key has at most {MAX_TAG_KEY} characters")
    if len(value) > MAX_TAG_VALUE:
        return FieldError(f"tags.{key}", f"a tag's value has at most {MAX_TAG_VALUE} characters")
    return None
