"""What is read out of in-toto statements, and what bent ones count as."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.provenance import Build, BuilderType
from integrations.formats.dsse.verify import Unverifiable
from integrations.formats.intoto.parse import MAX_TEXT, Statement, read_statement
from tests.integrations.formats.dsse.signing import DIGEST, about, statement
from tests.integrations.formats.dsse.test_verify import JSON


def read(value: Any) -> Statement:
    return read_statement(json.dumps(value).encode())


def build_of(value: Any) -> Build:
    found = read(value).build
    assert found is not None
    return found


def bent(version: str, *path: str, to: Any) -> dict[str, Any]:
    """A statement in which one value of the predicate is another."""
    value = statement(version)
    place = value["predicate"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return value


def test_slsa_v02() -> None:
    found = read(statement("v0.2"))
    assert found.predicate_type == "https://slsa.dev/provenance/v0.2"
    assert found.digests == {
        DIGEST,
        "sha256:e258d248fda94c63753607f7c4494ee0fcbe92f1a76bfdac795c9d84101eb317",
    }
    assert found.builder_type is BuilderType.GITHUB_ACTIONS
    assert found.build == Build(
        builder_id="https://github.com/example/builders/.github/workflows/generic.yml@refs/tags/v1.9.0",
        build_config_uri="git+https://github.com/example/shop@refs/heads/main#.github/workflows/release.yml",
        source_repository_uri="https://github.com/example/shop",
        source_commit_sha="15bf79ea9c89fffbf5dd02c6b5b686b291bfcbd2",
        build_started_on=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        build_finished_on=datetime(2026, 3, 1, 9, 34, 5, 123456, tzinfo=UTC),
    )


def test_slsa_v1() -> None:
    found = read(statement("v1"))
    assert found.predicate_type == "https://slsa.dev/provenance/v1"
    assert found.digests == {DIGEST}
    assert found.build == Build(
        builder_id="https://github.com/actions/runner/github-hosted",
        build_config_uri="https://github.com/example/shop@refs/tags/v2.0.1#.github/workflows/release.yml",
        source_repository_uri="https://github.com/example/shop",
        source_commit_sha="c27d339ee6075c1f744c5d4b200f7901aad2c369",
        build_started_on=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        build_finished_on=datetime(2026, 3, 1, 9, 34, 5, tzinfo=UTC),
    )


@pytest.mark.parametrize("version", ["v0.2", "v1"])
@pytest.mark.parametrize("type_", ["https://in-toto.io/Statement/v0.1", "https://in-toto.io/Statement/v1"])
def test_either_statement_bears_either_predicate(version: str, type_: str) -> None:
    assert read(statement(version, _type=type_)).build == read(statement(version)).build


def test_another_predicate_is_about_its_subjects_but_says_nothing_of_a_build() -> None:
    for predicate_type in (
        "https://spdx.dev/Document",
        "https://slsa.dev/provenance/v0.1",
        "https://slsa.dev/provenance",
    ):
        found = read(statement(predicateType=predicate_type))
        assert (set(found.digests), found.build, found.builder_type) == ({DIGEST}, None, BuilderType.GENERIC)


@pytest.mark.parametrize(
    ("builder", "kind"),
    [
        ("https://github.com/actions/runner", "GITHUB_ACTIONS"),
        ("https://GitHub.example.com/x", "GITHUB_ACTIONS"),
        ("https://circleci.com/runner", "CIRCLE_CI"),
        ("https://jenkins.example.com/job/shop", "JENKINS"),
        ("https://gitlab.example.com/-/runners/1", "GENERIC"),
        (None, "GENERIC"),
    ],
)
def test_the_builders_id_tells_its_kind(builder: str | None, kind: str) -> None:
    assert read(bent("v1", "runDetails", "builder", to={"id": builder})).builder_type == kind


NO_STATEMENT: dict[str, bytes] = {
    "empty": b"",
    "text": b"hello world",
    "not UTF-8": b'{"_type": "\xff"}',
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "no type": b"{}",
    "another type": json.dumps(statement(_type="https://in-toto.io/Statement/v2")).encode(),
    "type of another type": json.dumps(statement(_type=["https://in-toto.io/Statement/v1"])).encode(),
    "no predicate type": json.dumps(statement(predicateType=None)).encode(),
    "predicate type of another type": json.dumps(statement(predicateType={"a": 1})).encode(),
    "predicate type with NUL": json.dumps(statement(predicateType="a\0b")).encode(),
    "predicate type without end": json.dumps(statement(predicateType="x" * (MAX_TEXT + 1))).encode(),
}


@pytest.mark.parametrize("name", NO_STATEMENT)
def test_what_is_no_statement(name: str) -> None:
    with pytest.raises(Unverifiable) as refused:
        read_statement(NO_STATEMENT[name])
    assert refused.value.reason.startswith(("The payload", "The statement"))


SUBJECTS: list[Any] = [
    None,
    {},
    "x",
    [],
    [None, 1, "x", [], {}],
    [{"digest": None}, {"digest": DIGEST}, {"digest": {"sha256": None}}, {"digest": {"sha256": [DIGEST]}}],
    [{"digest": {"sha512": "00"}}],
]


@pytest.mark.parametrize("subjects", SUBJECTS)
def test_bent_subjects_are_none(subjects: Any) -> None:
    assert read(statement(subject=subjects)).digests == frozenset()


def test_the_same_subject_twice_is_one() -> None:
    assert read(statement(subject=about(DIGEST, DIGEST.upper().replace("SHA", "sha"), DIGEST))).digests == {DIGEST}


@pytest.mark.parametrize("version", ["v0.2", "v1"])
@pytest.mark.parametrize("predicate", [None, [], "x", 5, {}, {"builder": [], "runDetails": 1, "buildDefinition": "x"}])
def test_a_bent_predicate_says_nothing(version: str, predicate: Any) -> None:
    assert build_of(statement(version, predicate=predicate)) == Build()


@pytest.mark.parametrize("text", [None, 5, [], {}, "", "  ", "a\0b", "a\nb", "a\u2028b", "x" * (MAX_TEXT + 1)])
def test_what_no_database_or_person_reads_is_not_said(text: Any) -> None:
    assert build_of(bent("v1", "runDetails", "builder", to={"id": text})).builder_id is None
    assert build_of(bent("v0.2", "builder", to={"id": text})).builder_id is None
    assert build_of(bent("v0.2", "invocation", "configSource", "uri", to=text)).build_config_uri is None


@pytest.mark.parametrize(
    "time",
    [
        None,
        5,
        "",
        "yesterday",
        "2026-03-01",
        "2026-03-01T09:30:00",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_a_time_that_cannot_be_read_is_not_said(time: Any) -> None:
    assert build_of(bent("v1", "runDetails", "metadata", "startedOn", to=time)).build_started_on is None
    assert build_of(bent("v0.2", "metadata", "buildFinishedOn", to=time)).build_finished_on is None


def git(uri: Any, **digest: Any) -> dict[str, Any]:
    return {"uri": uri, "digest": digest}


COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("materials", "repository", "commit"),
    [
        ([git("git+https://e.org/r@main", sha1=COMMIT)], "https://e.org/r", COMMIT),
        ([git("https://e.org/r", gitCommit=COMMIT.upper())], "https://e.org/r", COMMIT),
        ([git("https://e.org/r", gitCommit="b" * 64, sha1=COMMIT)], "https://e.org/r", "b" * 64),
        ([git("https://e.org/a.zip", sha256="b" * 64), git("https://e.org/r", sha1=COMMIT)], "https://e.org/r", COMMIT),
        ([git("https://e.org/r", sha1="abc")], None, None),
        ([git("https://e.org/r", sha1=None)], None, None),
        ([git(None, sha1=COMMIT)], None, None),
        ([None, 1, {"uri": "https://e.org/r"}, {"uri": "https://e.org/r", "digest": []}], None, None),
        ({"uri": "https://e.org/r"}, None, None),
    ],
)
def test_the_source_is_the_first_material_that_is_a_commit(
    materials: Any, repository: str | None, commit: str | None
) -> None:
    one = build_of(bent("v1", "buildDefinition", "resolvedDependencies", to=materials))
    older = statement("v0.2")
    older["predicate"]["invocation"] = {}
    older["predicate"]["materials"] = materials
    for build in (one, build_of(older)):
        assert (build.source_repository_uri, build.source_commit_sha) == (repository, commit)


@pytest.mark.parametrize(
    ("parameters", "uri"),
    [
        (
            {"workflow": {"repository": "https://e.org/r", "ref": "main", "path": "ci.yml"}},
            "https://e.org/r@main#ci.yml",
        ),
        ({"buildConfigSource": {"repository": "https://e.org/r", "path": "b.yaml"}}, "https://e.org/r#b.yaml"),
        ({"workflow": {"repository": "https://e.org/r"}}, "https://e.org/r"),
        ({"workflow": {"path": "ci.yml"}}, None),
        ({"workflow": "ci.yml"}, None),
        ({"source": "https://e.org/r"}, None),
        ([], None),
    ],
)
def test_the_builds_own_definition(parameters: Any, uri: str | None) -> None:
    assert build_of(bent("v1", "buildDefinition", "externalParameters", to=parameters)).build_config_uri == uri


@given(JSON)
def test_no_payload_breaks_the_reader(value: Any) -> None:
    with pytest.raises(Unverifiable):
        read(value)


@given(
    st.sampled_from(["v0.2", "v1"]),
    st.dictionaries(st.sampled_from(["subject", "predicate", "predicateType"]), JSON, min_size=1),
)
def test_no_part_of_a_statement_breaks_the_reader(version: str, changes: dict[str, Any]) -> None:
    with suppress(Unverifiable):
        assert isinstance(read(statement(version, **changes)), Statement)


@given(
    st.sampled_from(["builder", "invocation", "metadata", "materials", "buildDefinition", "runDetails"]),
    JSON,
    st.sampled_from(["v0.2", "v1"]),
)
def test_no_part_of_a_predicate_breaks_the_reader(name: str, value: Any, version: str) -> None:
    assert isinstance(build_of(bent(version, name, to=value)), Build)
