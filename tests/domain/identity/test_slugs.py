import pytest

from domain.errors import Invalid
from domain.identity.slugs import RESERVED, check_slug


@pytest.mark.parametrize("slug", ["default", "a", "0", "acme-2", "a" * 63, "deadbeef"])
def test_a_good_slug_passes(slug: str) -> None:
    check_slug(slug)


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "-a",
        "A",
        "ä",
        "a b",
        "a/b",
        "a\n",
        "a" * 64,
        "0190a8c0-0000-7000-8000-000000000001",
        "0190a8c0000070008000000000000001",
        *sorted(RESERVED),
    ],
)
def test_a_slug_that_would_be_taken_for_something_else_is_refused(slug: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_slug(slug)
    assert refused.value.details[0].field == "slug"


def test_what_the_plan_reserves_is_reserved() -> None:
    plan = "api changes scans reports provenance ui health ready metrics webhooks login auth actuator docs static"
    assert set(plan.split()) <= RESERVED
