"""in-toto statements with SLSA provenance: Statement v0.1 and v1, predicates v0.2 and v1 (slsa.dev/provenance).

Only the types of the statement and of its predicate are required. Any other value of an unexpected shape counts as
missing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from domain.facts.digests import normalise_digest
from domain.facts.provenance import Build, BuilderType, repository_address
from integrations.deliveries import utc_time
from integrations.formats.dsse.verify import Unverifiable

PAYLOAD_TYPES = frozenset({"application/vnd.in-toto+json", "application/vnd.in-toto.provenance+json"})
"""The payload types of the in-toto Attestation Framework v1: the general one, and the one for provenance."""
STATEMENT_TYPES = frozenset({"https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"})
SLSA_V02 = "https://slsa.dev/provenance/v0.2"
SLSA_V1 = "https://slsa.dev/provenance/v1"

MAX_TEXT = 512
_COMMIT = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_BUILDER_NAMES = {
    "github": BuilderType.GITHUB_ACTIONS,
    "circleci": BuilderType.CIRCLE_CI,
    "jenkins": BuilderType.JENKINS,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement.

    `digests` are the SHA-256 of its subjects, normalised. `build` is None if the predicate is not SLSA provenance of a
    supported version.
    """

    predicate_type: str
    digests: frozenset[str]
    build: Build | None
    builder_type: BuilderType


def read_statement(payload: bytes) -> Statement:
    """Parse the statement in a payload. Raises Unverifiable if it is not one."""
    try:
        value: Any = orjson.loads(payload)
    except ValueError as error:
        raise Unverifiable("The payload is not JSON.") from error
    if _text(_at(value, "_type")) not in STATEMENT_TYPES:
        raise Unverifiable("The payload is not an in-toto statement v0.1 or v1.")
    predicate_type = _text(_at(value, "predicateType"))
    if predicate_type is None:
        raise Unverifiable("The statement has no predicateType.")
    read = _BUILDS.get(predicate_type)
    build = read(_at(value, "predicate")) if read else None
    return Statement(predicate_type, _digests(_at(value, "subject")), build, _builder_type(build))


def _digests(subjects: Any) -> frozenset[str]:
    found = (_at(subject, "digest", "sha256") for subject in _list(subjects))
    return frozenset(normalise_digest(digest) for digest in found if isinstance(digest, str))


def _builder_type(build: Build | None) -> BuilderType:
    """Derive the type from the builder's id, a URI that contains the name of the build system."""
    builder = (build.builder_id or "").lower() if build else ""
    return next((kind for name, kind in _BUILDER_NAMES.items() if name in builder), BuilderType.GENERIC)


def _build_v02(predicate: Any) -> Build:
    config = _at(predicate, "invocation", "configSource")
    repository, commit = _source([config, *_list(_at(predicate, "materials"))])
    return Build(
        builder_id=_text(_at(predicate, "builder", "id")),
        build_config_uri=_joined(_text(_at(config, "uri")), _text(_at(config, "entryPoint"))),
        source_repository_uri=repository,
        source_commit_sha=commit,
        build_started_on=_time(_at(predicate, "metadata", "buildStartedOn")),
        build_finished_on=_time(_at(predicate, "metadata", "buildFinishedOn")),
    )


def _build_v1(predicate: Any) -> Build:
    definition, run = _at(predicate, "buildDefinition"), _at(predicate, "runDetails")
    repository, commit = _source(_list(_at(definition, "resolvedDependencies")))
    return Build(
        builder_id=_text(_at(run, "builder", "id")),
        build_config_uri=_workflow(_at(definition, "externalParameters")),
        source_repository_uri=repository,
        source_commit_sha=commit,
        build_started_on=_time(_at(run, "metadata", "startedOn")),
        build_finished_on=_time(_at(run, "metadata", "finishedOn")),
    )


_BUILDS: Mapping[str, Callable[[Any], Build]] = {SLSA_V02: _build_v02, SLSA_V1: _build_v1}


def _source(materials: list[Any]) -> tuple[str | None, str | None]:
    """Return the repository and the commit of the first material that is a git commit."""
    for material in materials:
        uri = _text(_at(material, "uri"))
        commits = (_at(material, "digest", name) for name in ("gitCommit", "sha1"))
        commit = next((one for one in commits if isinstance(one, str) and _COMMIT.fullmatch(one)), None)
        if uri and commit:
            return repository_address(uri), commit.lower()
    return None, None


def _workflow(parameters: Any) -> str | None:
    """Return the location of the build definition, under the names that GitHub and Google use."""
    for name in ("workflow", "buildConfigSource"):
        given = _at(parameters, name)
        repository, path, ref = (_text(_at(given, part)) for part in ("repository", "path", "ref"))
        if repository:
            return _joined(f"{repository}@{ref}" if ref else repository, path)
    return None


def _joined(uri: str | None, path: str | None) -> str | None:
    """Join repository and file as an SPDX download location: `uri@ref#path`."""
    return _text(f"{uri}#{path}") if uri and path else uri


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    """Return the value if it is a printable line of at most MAX_TEXT characters; otherwise None."""
    usable = isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.isprintable() and not value.isspace()
    return value if usable else None


def _time(value: Any) -> datetime | None:
    try:
        return utc_time(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return None
