"""The Merkle tree of RFC 6962 and RFC 9162, stored as tiles.

Callers pass leaf hashes (`SHA-256(0x00 ‖ entry)`); a node is `SHA-256(0x01 ‖ left ‖ right)` and the root of the empty
tree is `SHA-256("")`. All hashes are 32 bytes.

A tile `(level, n)` is the concatenation of at most 256 hashes, numbers `256 n …` of their level. A hash of level L is
the root of a complete subtree of 256^L leaves, so level 0 holds the leaves themselves. This is the layout of C2SP
tlog-tiles at height 8; any node in between is recomputed from at most 256 hashes of one tile. Hashes never change once
written: a tile only grows at its end, so the newest version of a tile also serves every smaller tree size.

A caller asks which tiles an operation needs, fetches them in one statement, and passes them as a mapping.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

_HEIGHT = 8
_WIDTH = 1 << _HEIGHT
_TILE_BYTES = _WIDTH * HASH_BYTES
_NODE = b"\x01"

TileId = tuple[int, int]
"""(level, n)"""

_Range = tuple[int, int]
"""Leaves from `start` (a multiple of the highest power of two in its size) up to, but excluding, `end`."""


def rightmost_tiles(size: int) -> list[TileId]:
    """The partly filled tiles of a tree of `size` leaves, at most one per level: all that `append` and `root` read."""
    tiles = []
    level = 0
    while hashes := size >> (_HEIGHT * level):
        if hashes % _WIDTH:
            tiles.append((level, hashes >> _HEIGHT))
        level += 1
    return tiles


def length_of(tile: TileId, size: int) -> int:
    """The bytes of one of `rightmost_tiles(size)`."""
    return (size >> (_HEIGHT * tile[0])) % _WIDTH * HASH_BYTES


def append(tiles: Mapping[TileId, bytes], size: int, leaves: Sequence[bytes]) -> tuple[dict[TileId, bytes], int]:
    """Append leaves to a tree of `size` leaves; return every new or changed tile, complete, and the new size.

    `tiles` holds `rightmost_tiles(size)`. Raises ValueError if one of them is not filled exactly as `size` says (to
    append there would fork the tree) or if a leaf is not 32 bytes long.
    """
    if any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise ValueError(f"a leaf hash must have {HASH_BYTES} bytes")
    changed: dict[TileId, bytes] = {}
    level, added = 0, b"".join(leaves)
    while added:
        n, filled = divmod(size >> (_HEIGHT * level), _WIDTH)
        hashes = _rightmost(tiles, (level, n), filled) + added
        chunks = [hashes[at : at + _TILE_BYTES] for at in range(0, len(hashes), _TILE_BYTES)]
        changed.update(((level, n + i), chunk) for i, chunk in enumerate(chunks))
        added = b"".join(_fold(chunk) for chunk in chunks if len(chunk) == _TILE_BYTES)
        level += 1
    return changed, size + len(leaves)


def root(size: int, tiles: Mapping[TileId, bytes]) -> bytes:
    """Compute the root at `size` from `rightmost_tiles(size)`. Raises ValueError if a tile is missing or too short."""
    return _hash((0, size), tiles) if size else EMPTY_ROOT


def tiles_for_inclusion(index: int, size: int) -> set[TileId]:
    """The tiles that `inclusion_proof` reads. Raises ValueError unless 0 ≤ index < size."""
    return _tiles_of(_inclusion_path(index, size))


def inclusion_proof(index: int, size: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """PATH(index, D[size]) of RFC 9162 2.1.3.1: leaf `index` (from 0) is in the tree of `size` leaves.

    Raises ValueError unless 0 ≤ index < size, or if a tile is missing or too short.
    """
    return [_hash(leaves, tiles) for leaves in _inclusion_path(index, size)]


def tiles_for_consistency(old: int, new: int) -> set[TileId]:
    """The tiles that `consistency_proof` reads. Raises ValueError unless 0 ≤ old ≤ new."""
    return _tiles_of(_consistency_path(old, new))


def consistency_proof(old: int, new: int, tiles: Mapping[TileId, bytes]) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 9162 2.1.4.1: the tree of `new` leaves begins with the tree of `old` leaves.

    Empty for old = 0 and for old = new. Raises ValueError unless 0 ≤ old ≤ new, or if a tile is missing or too short.
    """
    return [_hash(leaves, tiles) for leaves in _consistency_path(old, new)]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` leads from the leaf hash to `root` (RFC 9162 2.1.3.2). Never raises on bad proofs."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = _node(sibling, computed)
            node, last = _climb(node, last)
        else:
            computed = _node(computed, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree behind `new_root` only appended to the one behind `old_root` (RFC 9162 2.1.4.2).

    Never raises on bad proofs. Every tree extends the empty tree; that proof is empty.
    """
    if not 0 <= old <= new or not _are_hashes(old_root, new_root, *proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    return bool(path) and _walk_consistency(old, new, path) == (old_root, new_root)


def _walk_consistency(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Compute the old and the new root from the path; None if the path is too long or too short."""
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_hash = new_hash = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old_hash, new_hash = _node(sibling, old_hash), _node(sibling, new_hash)
            node, last = _climb(node, last)
        else:
            new_hash = _node(new_hash, sibling)
        node, last = node >> 1, last >> 1
    return (old_hash, new_hash) if last == 0 else None


def _climb(node: int, last: int) -> tuple[int, int]:
    """Skip the levels on which the node is a lone left child and has no sibling."""
    while node and not node & 1:
        node, last = node >> 1, last >> 1
    return node, last


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def _fold(hashes: bytes) -> bytes:
    """Compute the root of concatenated hashes whose number is a power of two."""
    pair = 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:
        hashes = b"".join([sha256(_NODE + hashes[at : at + pair]).digest() for at in range(0, len(hashes), pair)])
    return hashes


def _rightmost(tiles: Mapping[TileId, bytes], tile: TileId, filled: int) -> bytes:
    if not filled:
        return b""
    hashes = tiles.get(tile, b"")
    if len(hashes) != filled * HASH_BYTES:
        raise ValueError(f"tile {tile} holds {len(hashes)} bytes, but the tree size requires {filled} hashes")
    return hashes


def _split(size: int) -> int:
    """The largest power of two below `size` (k of RFC 9162 2.1.1); `size` is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _inclusion_path(index: int, size: int) -> list[_Range]:
    """The ranges of the siblings, from the leaf upward."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def _consistency_path(old: int, new: int) -> list[_Range]:
    """SUBPROOF of RFC 9162 2.1.4.1, from the bottom up."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot extend a tree of {old}")
    if old in (0, new):
        return []
    path = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start:  # otherwise the rest is the old tree itself, whose root the verifier knows
        path.append((start, end))
    return path[::-1]


def _subtrees(leaves: _Range) -> Iterator[tuple[int, int]]:
    """Yield (start, height) of the complete subtrees that make up a range, from left to right."""
    start, end = leaves
    while start < end:
        height = (end - start).bit_length() - 1
        yield start, height
        start += 1 << height


def _tile_of(start: int, height: int) -> TileId:
    level = height // _HEIGHT
    return level, start >> (_HEIGHT * (level + 1))


def _tiles_of(path: Sequence[_Range]) -> set[TileId]:
    return {_tile_of(start, height) for leaves in path for start, height in _subtrees(leaves)}


def _hash(leaves: _Range, tiles: Mapping[TileId, bytes]) -> bytes:
    """Compute the Merkle tree hash of a range: the hashes of its complete subtrees, combined from the right."""
    *lefts, computed = (_subtree_hash(start, height, tiles) for start, height in _subtrees(leaves))
    for left in reversed(lefts):
        computed = _node(left, computed)
    return computed


def _subtree_hash(start: int, height: int, tiles: Mapping[TileId, bytes]) -> bytes:
    level, rest = divmod(height, _HEIGHT)
    tile = _tile_of(start, height)
    first = (start >> (_HEIGHT * level)) % _WIDTH
    end = (first + (1 << rest)) * HASH_BYTES
    hashes = tiles.get(tile, b"")
    if len(hashes) < end:
        raise ValueError(f"tile {tile} holds {len(hashes)} bytes, {end} are needed")
    return _fold(hashes[first * HASH_BYTES : end])
