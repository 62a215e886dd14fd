"""The tile tree against the published RFC 6962 vectors and against the RFC's recursive definition."""

import time
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.audit import merkle

# The reference inputs of the certificate-transparency test suite, and the roots after 1 … 8 of them.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATH_0_OF_8 = [
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
]

Tiles = dict[merkle.TileId, bytes]


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def grow(batches: Sequence[Sequence[bytes]]) -> tuple[Tiles, int]:
    """Append batch by batch, handing `append` nothing but the tiles it says it needs."""
    tiles: Tiles = {}
    size = 0
    for batch in batches:
        needed = {tile: tiles[tile] for tile in merkle.rightmost_tiles(size)}
        changed, size = merkle.append(needed, size, batch)
        tiles |= changed
    return tiles, size


def only(tiles: Tiles, wanted: set[merkle.TileId] | list[merkle.TileId]) -> Tiles:
    return {tile: tiles[tile] for tile in wanted}


# The definitions of RFC 6962 2.1 over the leaves [start, end), remembered because the properties ask again and again.


@cache
def mth(start: int, end: int) -> bytes:
    if end - start <= 1:
        return LEAVES[start] if end > start else sha256(b"").digest()
    k = largest_power_below(end - start)
    return sha256(b"\x01" + mth(start, start + k) + mth(start + k, end)).digest()


def path(m: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    k = largest_power_below(end - start)
    if m < k:
        return [*path(m, start, start + k), mth(start + k, end)]
    return [*path(m - k, start + k, end), mth(start, start + k)]


def subproof(m: int, start: int, end: int, *, known: bool) -> list[bytes]:
    if m == end - start:
        return [] if known else [mth(start, end)]
    k = largest_power_below(end - start)
    if m <= k:
        return [*subproof(m, start, start + k, known=known), mth(start + k, end)]
    return [*subproof(m - k, start + k, end, known=False), mth(start, start + k)]


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


LEAVES = leaves(66_000)
TILES, _ = grow([LEAVES])
EDGES = [1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 700, 65_535, 65_536, 65_537, 66_000]
sizes = st.one_of(st.integers(1, 1500), st.sampled_from(EDGES[:-4]))


def test_published_roots() -> None:
    entries = [leaf_hash(bytes.fromhex(entry)) for entry in INPUTS]
    tiles, _ = grow([entries])
    assert merkle.root(0, {}).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [merkle.root(size, tiles).hex() for size in range(1, 9)] == ROOTS


def test_published_inclusion_proof() -> None:
    entries = [leaf_hash(bytes.fromhex(entry)) for entry in INPUTS]
    tiles, _ = grow([entries])
    proof = merkle.inclusion_proof(0, 8, tiles)
    assert [step.hex() for step in proof] == PATH_0_OF_8
    assert merkle.verify_inclusion(entries[0], 0, 8, proof, bytes.fromhex(ROOTS[-1]))


@pytest.mark.parametrize("size", EDGES)
def test_root_at_the_edges_of_tiles_from_a_tree_that_has_grown(size: int) -> None:
    assert merkle.root(size, TILES) == mth(0, size)


@pytest.mark.parametrize("size", EDGES)
def test_the_rightmost_tiles_are_enough_for_the_root(size: int) -> None:
    tiles, _ = grow([LEAVES[:size]])
    needed = merkle.rightmost_tiles(size)
    assert len(needed) <= 3
    assert merkle.root(size, only(tiles, needed)) == mth(0, size)


@given(st.lists(st.integers(0, 600), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_split_into_batches_leaves_no_trace(counts: list[int]) -> None:
    total = sum(counts)
    starts = [sum(counts[:i]) for i in range(len(counts))]
    tiles, size = grow([LEAVES[start : start + count] for start, count in zip(starts, counts, strict=True)])
    assert size == total
    assert tiles == grow([LEAVES[:total]])[0]


def test_tiles_hold_what_the_format_says() -> None:
    assert TILES[0, 1] == b"".join(LEAVES[256:512])
    assert TILES[1, 0] == b"".join(mth(at, at + 256) for at in range(0, 65_536, 256))
    assert TILES[2, 0] == mth(0, 65_536)
    assert {tile for tile in TILES if tile[0] > 0} == {(1, 0), (1, 1), (2, 0)}


@given(st.data(), sizes)
@settings(max_examples=150, deadline=None)
def test_inclusion_follows_the_definition_and_verifies(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, only(TILES, merkle.tiles_for_inclusion(index, size)))
    assert proof == path(index, 0, size)
    assert merkle.verify_inclusion(LEAVES[index], index, size, proof, mth(0, size))


@given(st.data(), sizes)
@settings(max_examples=150, deadline=None)
def test_consistency_follows_the_definition_and_verifies(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    proof = merkle.consistency_proof(old, new, only(TILES, merkle.tiles_for_consistency(old, new)))
    assert proof == subproof(old, 0, new, known=True)
    assert merkle.verify_consistency(old, new, mth(0, old), mth(0, new), proof)


def test_proofs_over_three_levels_of_tiles() -> None:
    size = len(LEAVES)
    new_root = mth(0, size)
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        wanted = merkle.tiles_for_inclusion(index, size)
        assert len(wanted) <= 6
        proof = merkle.inclusion_proof(index, size, only(TILES, wanted))
        assert proof == path(index, 0, size)
        assert merkle.verify_inclusion(LEAVES[index], index, size, proof, new_root)
    for old in (1, 256, 300, 65_535, 65_536, 65_537, size - 1):
        proof = merkle.consistency_proof(old, size, only(TILES, merkle.tiles_for_consistency(old, size)))
        assert proof == subproof(old, 0, size, known=True)
        assert merkle.verify_consistency(old, size, mth(0, old), new_root, proof)


@given(st.data(), st.integers(2, 600))
@settings(max_examples=100, deadline=None)
def test_a_flipped_bit_breaks_inclusion(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    parts = [LEAVES[index], mth(0, size), *merkle.inclusion_proof(index, size, TILES)]
    leaf, root, *proof = flip(data, parts)
    assert not merkle.verify_inclusion(leaf, index, size, proof, root)


@given(st.data(), st.integers(2, 600))
@settings(max_examples=100, deadline=None)
def test_a_flipped_bit_breaks_consistency(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    parts = [mth(0, old), mth(0, new), *merkle.consistency_proof(old, new, TILES)]
    old_root, new_root, *proof = flip(data, parts)
    assert not merkle.verify_consistency(old, new, old_root, new_root, proof)


def flip(data: st.DataObject, parts: list[bytes]) -> list[bytes]:
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    changed = (int.from_bytes(parts[which], "big") ^ 1 << bit).to_bytes(32, "big")
    return [*parts[:which], changed, *parts[which + 1 :]]


@given(st.data(), st.integers(1, 300), st.integers(0, 300))
@settings(max_examples=150, deadline=None)
def test_an_inclusion_proof_holds_at_no_other_place(data: st.DataObject, size: int, claimed: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(index, size, TILES)
    holds = merkle.verify_inclusion(LEAVES[index], claimed, size, proof, mth(0, size))
    assert holds == (claimed == index)


@given(st.integers(-3, 40), st.integers(-3, 40), st.lists(st.binary(min_size=31, max_size=33), max_size=8))
@settings(max_examples=200, deadline=None)
def test_verifiers_refuse_rubbish_without_raising(index: int, size: int, proof: list[bytes]) -> None:
    zero = bytes(32)
    assert not merkle.verify_inclusion(zero, index, size, proof, sha256(b"x").digest())
    assert not merkle.verify_consistency(index, size, zero, sha256(b"x").digest(), proof)


@pytest.mark.parametrize("change", ["longer", "shorter"])
def test_a_proof_of_the_wrong_length_fails(change: str) -> None:
    def altered(proof: list[bytes]) -> list[bytes]:
        return [*proof, bytes(32)] if change == "longer" else proof[:-1]

    inclusion = altered(merkle.inclusion_proof(5, 7, TILES))
    consistency = altered(merkle.consistency_proof(3, 7, TILES))
    assert not merkle.verify_inclusion(LEAVES[5], 5, 7, inclusion, mth(0, 7))
    assert not merkle.verify_consistency(3, 7, mth(0, 3), mth(0, 7), consistency)


@pytest.mark.parametrize("size", [1, 2, 4, 256])
def test_a_proof_says_nothing_about_a_tree_twice_as_large(size: int) -> None:
    root = mth(0, size)
    proof = merkle.inclusion_proof(0, size, TILES)
    assert merkle.verify_inclusion(LEAVES[0], 0, size, proof, root)
    assert not merkle.verify_inclusion(LEAVES[0], 0, 2 * size, proof, root)
    assert not merkle.verify_consistency(size, 2 * size, root, root, [])


def test_consistency_of_equal_and_of_empty_trees() -> None:
    seven = mth(0, 7)
    assert merkle.consistency_proof(7, 7, {}) == merkle.consistency_proof(0, 7, {}) == []
    assert merkle.verify_consistency(7, 7, seven, seven, [])
    assert merkle.verify_consistency(0, 7, merkle.EMPTY_ROOT, seven, [])
    assert not merkle.verify_consistency(7, 7, seven, mth(0, 6), [])
    assert not merkle.verify_consistency(7, 7, seven, seven, [seven])
    assert not merkle.verify_consistency(0, 7, seven, seven, [])
    assert not merkle.verify_consistency(0, 7, merkle.EMPTY_ROOT, seven, [seven])
    assert not merkle.verify_consistency(8, 7, seven, seven, [])
    assert not merkle.verify_consistency(3, 7, mth(0, 3), seven, [])


def test_append_refuses_tiles_that_do_not_fit_the_size() -> None:
    tiles, size = grow([LEAVES[:10]])
    for wrong in ({}, {(0, 0): tiles[0, 0][:-32]}, {(0, 0): tiles[0, 0] + bytes(32)}):
        with pytest.raises(ValueError, match=r"tile \(0, 0\)"):
            merkle.append(wrong, size, LEAVES[10:11])


def test_append_refuses_leaves_of_another_length() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.append({}, 0, [b"short"])


def test_missing_and_short_tiles_are_named() -> None:
    with pytest.raises(ValueError, match=r"tile \(1, 0\)"):
        merkle.root(300, {})
    with pytest.raises(ValueError, match=r"tile \(0, 0\)"):
        merkle.inclusion_proof(3, 10, {(0, 0): b"".join(LEAVES[:3])})


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_places_outside_the_tree_are_refused(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_proof(index, size, TILES)
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.tiles_for_inclusion(index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_a_tree_never_shrinks(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="cannot extend"):
        merkle.consistency_proof(old, new, TILES)


def test_ten_thousand_leaves_are_cheap() -> None:
    batch = LEAVES[:10_000]

    def run() -> float:
        started = time.process_time()
        merkle.append({(0, 0): LEAVES[0]}, 1, batch)
        return time.process_time() - started

    assert min(run() for _ in range(5)) < 0.05
