from uuid import UUID

import pytest

from domain.errors import Invalid
from domain.identity.scopes import MAX_SCOPES, Scopes, checked_scopes

FLOW = UUID("0190a8c0-0000-7000-8000-00000000000a")
OTHER = UUID("0190a8c0-0000-7000-8000-00000000000b")


def test_the_stored_form_is_sorted_without_doubles_and_in_lower_case() -> None:
    given = ["repo:Acme/App", f"flow:{str(FLOW).upper()}", f"flow:{FLOW}", f"environment:{OTHER}", "repo:a:b"]
    assert checked_scopes(given) == [f"environment:{OTHER}", f"flow:{FLOW}", "repo:Acme/App", "repo:a:b"]


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["flow"],
        ["flow:"],
        ["repo: "],
        ["Flow:" + str(FLOW)],
        ["flow:payments"],
        ["environment:production"],
        ["planet:earth"],
        ["repo:" + "a" * 300],
        [f"repo:{n}" for n in range(MAX_SCOPES + 1)],
    ],
)
def test_bad_scopes_are_refused_by_name(texts: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        checked_scopes(texts)
    assert [detail.field for detail in refused.value.details] == ["scopes"]


def test_what_scopes_contain() -> None:
    scopes = Scopes.of([f"flow:{FLOW}", "repo:acme/app"])
    assert scopes.contain(FLOW)
    assert scopes.contain(FLOW, "acme/lib")
    assert scopes.contain(OTHER, "acme/app")
    assert not scopes.contain(OTHER)
    assert not scopes.contain(OTHER, "acme/App")


def test_unknown_and_unreadable_scopes_contain_nothing() -> None:
    scopes = Scopes.of(["planet:earth", "flow:nonsense", f"environment:{FLOW}", "repo", ""])
    assert (scopes.flows, scopes.repositories) == ((), ())
    assert not scopes.contain(FLOW)
    assert not scopes.contain(FLOW, "")


def test_a_key_is_covered_by_scopes_that_hold_all_of_its_own() -> None:
    scopes = Scopes.of(["repo:a", "repo:b"])
    assert scopes.cover(["repo:a"])
    assert scopes.cover(["repo:b", "repo:a"])
    assert not scopes.cover(["repo:a", "repo:c"])
    assert not scopes.cover(None)
