"""What two claims about one build have in common."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.provenance import (
    Build,
    BuilderType,
    Check,
    CheckStatus,
    KeyAlgorithm,
    ProvenanceClaim,
    ProvenanceFinding,
    ProvenanceKey,
    repository_address,
)

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
KEY = ProvenanceKey(uuid4(), uuid4(), "k", "id", KeyAlgorithm.ED25519, "pem", 1, MOMENT)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("https://github.com/o/r", "https://github.com/o/r"),
        ("https://github.com/o/r.git", "https://github.com/o/r"),
        ("https://github.com/o/r/", "https://github.com/o/r"),
        ("git+https://github.com/o/r@refs/heads/a@b", "https://github.com/o/r"),
        ("git+https://github.com/o/r.git@v1", "https://github.com/o/r"),
        ("git+ssh://git@github.com/o/r.git@main", "ssh://git@github.com/o/r"),
        ("git@github.com:o/r.git", "git@github.com:o/r"),
        ("", ""),
        ("@", "@"),
    ],
)
def test_a_repository_has_one_address(uri: str, address: str) -> None:
    assert repository_address(uri) == address
    assert repository_address(address) == address


@given(st.text(max_size=40))
def test_no_text_breaks_an_address(text: str) -> None:
    assert len(repository_address(text)) <= len(text)


def test_a_build_is_filled_where_it_is_open() -> None:
    own = Build(builder_id="a", source_commit_sha="c")
    stated = Build("b", "config", "repo", "d", MOMENT, None)
    assert own.filled(stated) == Build("a", "config", "repo", "c", MOMENT, None)
    assert own.filled(Build()) == own
    assert Build().filled(own) == own


def test_what_is_claimed_beyond_a_statement() -> None:
    stated = Build("b", None, "git+https://e.org/r.git@main", "ABC", MOMENT, MOMENT)
    assert Build().unstated(stated) == []
    assert Build("b", None, "https://e.org/r", "abc", MOMENT).unstated(stated) == []
    assert Build("B", "x", "https://e.org/R", "abd", None, datetime(2026, 3, 2, tzinfo=UTC)).unstated(stated) == [
        "builder_id",
        "build_config_uri",
        "source_repository_uri",
        "source_commit_sha",
        "build_finished_on",
    ]
    assert Build("b").unstated(Build()) == ["builder_id"]


@given(
    st.builds(Build, *[st.none() | st.text(max_size=5)] * 4), st.builds(Build, *[st.none() | st.text(max_size=5)] * 4)
)
def test_a_filled_build_claims_nothing_beyond_but_what_it_claimed_before(own: Build, stated: Build) -> None:
    assert own.filled(stated).unstated(stated) == own.unstated(stated)


def test_the_statement_of_a_claim_that_says_little() -> None:
    claim = ProvenanceClaim("sha256:" + "ab" * 32, Build("ci.example.com"), BuilderType.GENERIC)
    assert claim.statement() == (
        b'{"artifactDigest":"sha256:abababababababababababababababababababababababababababababababab",'
        b'"buildConfigUri":null,"buildFinishedOn":null,"buildStartedOn":null,"builderId":"ci.example.com",'
        b'"builderType":"GENERIC","slsaLevel":"L0","sourceCommitSha":null,"sourceRepositoryUri":null}'
    )
    assert replace(claim, build=Build("b\u00fcro")).statement().count("b\u00fcro".encode()) == 1


def test_a_proof_is_no_part_of_what_it_proves() -> None:
    claim = ProvenanceClaim("d", Build("b"), BuilderType.GENERIC)
    assert replace(claim, signature="s", envelope="{}").statement() == claim.statement()


def test_a_check_repeats_a_finding() -> None:
    finding = ProvenanceFinding(CheckStatus.VERIFIED, "good", KEY, "slsa")
    check = Check(3, CheckStatus.VERIFIED, "good", KEY.id, "id", "slsa", MOMENT)
    assert check.repeats(finding)
    for other in (
        replace(finding, status=CheckStatus.UNVERIFIED),
        replace(finding, reason="better"),
        replace(finding, key=None),
        replace(finding, key=replace(KEY, id=uuid4())),
        replace(finding, predicate_type=None),
    ):
        assert not check.repeats(other)


def test_a_status_is_verified_by_a_verified_check_alone() -> None:
    assert CheckStatus.VERIFIED.provenance_status == "PROVENANCE_VERIFIED"
    assert CheckStatus.UNVERIFIED.provenance_status == "PROVENANCE_UNVERIFIED"
