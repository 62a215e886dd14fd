from datetime import UTC, datetime

from storage.ids import Ids, first_id_at


def test_ids_are_uuid_version_7_and_never_step_back() -> None:
    ids = Ids()
    made = [ids.new() for _ in range(10_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {one.version for one in made} == {7}
    assert {one.variant for one in made} == {"specified in RFC 4122"}


def test_an_id_tells_when_it_was_made() -> None:
    before = datetime.now(UTC)
    made = Ids().new()
    assert abs((made.int >> 80) - before.timestamp() * 1000) < 1000


def test_the_first_id_of_a_moment_is_below_every_id_made_then() -> None:
    moment = datetime.now(UTC).replace(microsecond=0)
    assert first_id_at(moment) < Ids().new()
    assert first_id_at(datetime(2100, 1, 1, tzinfo=UTC)) > Ids().new()
