from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from storage.facts.queries.trails import list_trails
from storage.paging import MAX_DEPTH, Cursor, Window
from storage.services import Services
from tests.storage.world import World


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_survives_its_text(time: datetime, row_id: UUID) -> None:
    assert Cursor.parse(str(Cursor(time, row_id))) == Cursor(time, row_id)


@given(st.text(max_size=80))
def test_a_foreign_cursor_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        Cursor.parse(text)
    assert refused.value.details[0].field == "after"


def test_page_numbers_reach_so_far_and_no_further() -> None:
    Window(100, MAX_DEPTH // 100)
    with pytest.raises(Invalid, match="page"):
        Window(100, MAX_DEPTH // 100 + 1)


@pytest.mark.parametrize("descending", [False, True])
async def test_cursors_show_every_row_once_and_in_order(services: Services, descending: bool) -> None:
    world = await World.founded(services)
    flow = await world.flow()
    trails = [await world.trail(flow) for _ in range(7)]
    seen: list[UUID] = []
    window = Window(3, descending=descending)
    async with services.database.read() as reader:
        while True:
            page = await list_trails(reader, world.tenant, window, flow_id=flow.id)
            assert page.total == 7
            seen += [trail.id for trail in page.items]
            if page.next is None:
                break
            window = Window(3, after=page.next, descending=descending)
    expected = [trail.id for trail in trails]
    assert seen == (expected[::-1] if descending else expected)
    assert page.pages == 3


async def test_page_numbers_show_the_same_rows(services: Services) -> None:
    world = await World.founded(services)
    flow = await world.flow()
    trails = [await world.trail(flow) for _ in range(5)]
    async with services.database.read() as reader:
        pages = [await list_trails(reader, world.tenant, Window(2, n), flow_id=flow.id) for n in range(4)]
    assert [[trail.id for trail in page.items] for page in pages] == [
        [trails[0].id, trails[1].id],
        [trails[2].id, trails[3].id],
        [trails[4].id],
        [],
    ]
