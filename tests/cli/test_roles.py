"""`trailgate roles`, and the page that shows its table."""

from tests.paths import DOCS


def test_the_page_has_the_table_that_the_command_prints(trailgate) -> None:
    printed = trailgate("roles")
    assert printed.status == 0
    assert (DOCS / "access.md").read_text().endswith(printed.out)
