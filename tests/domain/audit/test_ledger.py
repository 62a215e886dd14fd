from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.ledger import GENESIS, Checkpoint, entry_hash, extend, microseconds, parse_note, signed_note
from domain.errors import Invalid

hashes = st.binary(min_size=32, max_size=32)
events = st.lists(st.tuples(st.uuids(), hashes), max_size=30)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(events, st.integers(0, 30), times)
def test_a_chain_is_the_same_however_it_was_cut_into_batches(
    sealed: list[tuple[UUID, bytes]], cut: int, at: datetime
) -> None:
    whole = extend(0, GENESIS, sealed, at)
    first = extend(0, GENESIS, sealed[:cut], at)
    last = first[-1].entry_hash if first else GENESIS
    assert first + extend(len(first), last, sealed[cut:], at) == whole
    assert [entry.seq for entry in whole] == list(range(1, len(sealed) + 1))


@given(st.uuids(), hashes, hashes, times, st.integers(1, 2**40))
def test_an_entrys_hash_covers_all_of_it(event: UUID, leaf: bytes, previous: bytes, at: datetime, seq: int) -> None:
    honest = entry_hash(previous, seq, event, leaf, at)
    forged = {
        entry_hash(leaf, seq, event, previous, at) if leaf != previous else b"",
        entry_hash(previous, seq + 1, event, leaf, at),
        entry_hash(previous, seq, UUID(int=event.int ^ 1), leaf, at),
        entry_hash(previous, seq, event, leaf, at + timedelta(microseconds=1)),
    }
    assert honest not in forged
    assert len(honest) == 32


def test_microseconds_are_exact() -> None:
    assert microseconds(datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == 1
    assert microseconds(datetime(2026, 11, 21, 9, 30, 0, 999_999, tzinfo=UTC)) % 1_000_000 == 999_999
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == -1_000_000


@given(st.uuids(), st.integers(0, 2**60), hashes, hashes, st.binary(min_size=64, max_size=64))
def test_a_note_is_read_as_it_was_written(org: UUID, size: int, root: bytes, chain: bytes, signature: bytes) -> None:
    checkpoint = Checkpoint(org, size, root, chain)
    read = parse_note(signed_note(checkpoint, "0a1b2c3d", signature))
    assert (read.checkpoint, read.key_id, read.signature) == (checkpoint, "0a1b2c3d", signature)


@given(st.text())
def test_what_is_no_note_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_note(text)
