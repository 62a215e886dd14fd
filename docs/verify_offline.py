"""Check a record's ledger proof without Trailgate.

ANSWER is the JSON answer of `POST /api/v1/ledger/verify/{recordId}`, PUBLISHED a copy of the organisation's
`.checkpoints` file. A copy older than the answer needs the entries as well: every page of
`GET /api/v1/ledger/entries`, in any order. Exit status: 0 = proven, 1 = not proven, 2 = the input cannot be read.
Needs Python 3.11 and the package `cryptography`, opens no connection. docs/verify.md explains every step.
"""

import argparse
import base64
import hashlib
import json
import struct
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KEY_NAME = "trailgate"
ED25519 = b"\x01"
END_OF_NOTE = "--\n"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class NotProven(Exception):
    """The proof does not hold, and why."""


@dataclass(frozen=True)
class Checkpoint:
    """What a signed note says."""

    origin: str
    size: int
    root: bytes
    chain_hash: bytes


def key_id(public_key: bytes) -> bytes:
    """The four bytes by which a signature names its key."""
    return hashlib.sha256(KEY_NAME.encode() + b"\n" + ED25519 + public_key).digest()[:4]


def open_note(note: str, public_key: bytes) -> Checkpoint:
    """Check the note's signature, then read it. Signed are the four lines before the empty one."""
    body, _, signature_line = note.partition("\n\n")
    dash, name, text = signature_line.removesuffix("\n").split(" ")
    blob = base64.b64decode(text, validate=True)
    if (dash, name, blob[:4]) != ("\u2014", KEY_NAME, key_id(public_key)):
        raise NotProven(f"a checkpoint is signed by key {blob[:4].hex()}, not by {key_id(public_key).hex()}")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(blob[4:], f"{body}\n".encode())
    except InvalidSignature:
        raise NotProven("the signature of a checkpoint does not hold") from None
    origin, size, root, chain = body.split("\n")
    chain_hash = bytes.fromhex(chain.removeprefix("chain "))
    return Checkpoint(origin, int(size), base64.b64decode(root, validate=True), chain_hash)


def open_published(text: str, public_key: bytes) -> dict[int, Checkpoint]:
    """Every published checkpoint by size. What stands behind the last `--` was cut short by a crash."""
    *notes, _torn = text.split(END_OF_NOTE)
    checkpoints = [open_note(note, public_key) for note in notes]
    sizes = [checkpoint.size for checkpoint in checkpoints]
    if len({c.origin for c in checkpoints}) != 1 or sizes != sorted(set(sizes)):
        raise NotProven("the published file is not one growing ledger")
    return {checkpoint.size: checkpoint for checkpoint in checkpoints}


def node(left: bytes, right: bytes) -> bytes:
    """A node of the tree (RFC 6962, section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        raise NotProven(f"leaf {index} cannot be in a tree of {size} leaves")
    place, last, computed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise NotProven("the inclusion proof is too long")
        if place & 1 or place == last:
            computed = node(sibling, computed)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            computed = node(computed, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise NotProven("the inclusion proof is too short")
    return computed


def check_record(answer: dict[str, Any], public_key: bytes) -> Checkpoint:
    """The answer itself: the leaf of the entry leads to the root of a checkpoint that the key signed."""
    if not answer["verified"]:
        raise NotProven(f"Trailgate itself does not vouch for it: {answer['result']}, {answer['message']}")
    proof = answer["proof"]
    if proof["leafHash"] != answer["contentHash"] or proof["leafIndex"] != answer["sequence"] - 1:
        raise NotProven("the proof is for another entry than the answer names")
    checkpoint = open_note(proof["checkpoint"]["note"], public_key)
    leaf, path = bytes.fromhex(proof["leafHash"]), [bytes.fromhex(step) for step in proof["path"]]
    if root_from(leaf, proof["leafIndex"], checkpoint.size, path) != checkpoint.root:
        raise NotProven("the inclusion proof does not lead to the root of the signed checkpoint")
    return checkpoint


def open_leaf(answer: dict[str, Any]) -> dict[str, Any] | None:
    """Event and record behind the leaf, recomputed from the opening; None where the answer keeps it closed."""
    opening = answer.get("opening")
    if opening is None:
        return None
    hashes = [hashlib.sha256(opening[name].encode()).digest() for name in ("event", "record")]
    salted = bytes([0, opening["format"]]) + bytes.fromhex(opening["nonce"]) + b"".join(hashes)
    if hashlib.sha256(salted).hexdigest() != answer["contentHash"]:
        raise NotProven("the opening is not that of the sealed leaf")
    opened = {name: json.loads(opening[name]) for name in ("event", "record")}
    if opened["event"]["record_id"] != answer["recordId"]:
        raise NotProven("the opened leaf seals another record than the answer names")
    return opened


def check_outside(sequence: int, checkpoint: Checkpoint, published: dict[int, Checkpoint]) -> Checkpoint:
    """The same checkpoint was published."""
    check_age(sequence, published)
    outside = published.get(checkpoint.size)
    if outside is None:
        raise NotProven(f"no checkpoint of size {checkpoint.size} in this copy: take a new copy, or add --entries")
    if outside != checkpoint:
        raise NotProven(f"the ledger was rewritten: another checkpoint of size {checkpoint.size} was published")
    return outside


def check_age(sequence: int, published: dict[int, Checkpoint]) -> None:
    """The copy has a checkpoint that covers the entry; the entries cannot replace it."""
    if sequence > max(published):
        raise NotProven(f"entry {sequence} is younger than this copy of the checkpoints: take a new copy")


def entry_hash(previous: bytes, entry: dict[str, Any]) -> bytes:
    """The hash of an entry over 96 bytes: previous hash, sequence, event id, leaf, microseconds since 1970."""
    sealed = (datetime.fromisoformat(entry["timestamp"]) - EPOCH) // timedelta(microseconds=1)
    place, event = struct.pack(">Q", entry["sequence"]), UUID(entry["entryId"]).bytes
    leaf = bytes.fromhex(entry["contentHash"])
    return hashlib.sha256(previous + place + event + leaf + struct.pack(">q", sealed)).digest()


Peaks = list[tuple[bytes, int]]
"""Roots of the complete subtrees that make up a tree, each with its height, from the left."""


def grow(peaks: Peaks, leaf: bytes) -> None:
    """Add a leaf: two subtrees of one height become one."""
    computed, height = leaf, 0
    while peaks and peaks[-1][1] == height:
        computed, height = node(peaks.pop()[0], computed), height + 1
    peaks.append((computed, height))


def root_of(peaks: Peaks) -> bytes:
    """The root over all subtrees, joined from the right."""
    computed = peaks[-1][0]
    for peak, _ in reversed(peaks[:-1]):
        computed = node(peak, computed)
    return computed


def replay(entries: list[dict[str, Any]], sizes: Collection[int]) -> Iterator[tuple[int, bytes, bytes]]:
    """Size, Merkle root and last entry hash at these sizes, computed from nothing but the entries."""
    chain_hash, peaks = bytes(32), Peaks()
    for size, entry in enumerate(sorted(entries, key=lambda one: one["sequence"]), start=1):
        if entry["sequence"] != size or entry["previousHash"] != chain_hash.hex():
            raise NotProven(f"the entries do not chain at {size}")
        chain_hash = entry_hash(chain_hash, entry)
        grow(peaks, bytes.fromhex(entry["contentHash"]))
        if size in sizes:
            yield size, root_of(peaks), chain_hash


def check_history(
    answer: dict[str, Any], checkpoint: Checkpoint, entries: list[dict[str, Any]], published: dict[int, Checkpoint]
) -> Checkpoint:
    """All entries up to now lead to every published checkpoint and to the one of the answer, and hold its leaf."""
    known = {**published, checkpoint.size: published.get(checkpoint.size, checkpoint)}
    if {c.origin for c in known.values()} != {checkpoint.origin} or known[checkpoint.size] != checkpoint:
        raise NotProven("the answer's checkpoint is not one of the ledger that was published")
    for size, root, chain_hash in replay(entries, known):
        if (root, chain_hash) != (known[size].root, known[size].chain_hash):
            raise NotProven(f"the ledger was rewritten: the entries do not lead to the checkpoint of size {size}")
    if len(entries) < max(known):
        raise NotProven(f"{len(entries)} entries are too few for the checkpoint of size {max(known)}")
    if answer["contentHash"] not in [e["contentHash"] for e in entries if e["sequence"] == answer["sequence"]]:
        raise NotProven("the record's entry is not among the entries")
    check_age(answer["sequence"], published)
    return published[min(size for size in published if size >= answer["sequence"])]


def prove(given: argparse.Namespace) -> str:
    """Every check that the input allows; the answer is what was proven."""
    answer = json.loads(given.answer.read_text(encoding="utf-8"))
    public_key = base64.b64decode(given.public_key or _enclosed_key(answer), validate=True)
    checkpoint = check_record(answer, public_key)
    published = open_published(given.published.read_text(encoding="utf-8"), public_key)
    pages = [json.loads(page.read_text(encoding="utf-8")) for page in given.entries]
    entries = [entry for page in pages for entry in page["entries"]]
    if entries:
        outside = check_history(answer, checkpoint, entries, published)
    else:
        outside = check_outside(answer["sequence"], checkpoint, published)
    told = (
        f"PROVEN: record {answer['recordId']} is entry {answer['sequence']} of {outside.origin},\n"
        f"committed to by the published checkpoint of size {outside.size}, signed by key {key_id(public_key).hex()}."
    )
    if opened := open_leaf(answer):
        told += f"\nWhat was sealed: {json.dumps(opened, ensure_ascii=False, indent=2)}"
    if not given.public_key:
        told += f"\nThe key came with the answer; compare it with the one you hold: {_enclosed_key(answer)}"
    return told


def _enclosed_key(answer: dict[str, Any]) -> str:
    proof = answer["proof"]
    if proof is None or proof["checkpoint"]["publicKey"] is None:
        raise NotProven(f"the answer encloses no proof with a key: {answer['result']}, {answer['message']}")
    return str(proof["checkpoint"]["publicKey"])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answer", type=Path)
    parser.add_argument("published", type=Path)
    parser.add_argument("--public-key", help="the Ed25519 key you hold, 32 bytes in base64; else the enclosed one")
    parser.add_argument("--entries", type=Path, nargs="+", default=[], help="every page of the ledger's entries")
    try:
        print(prove(parser.parse_args()))
    except NotProven as error:
        print(f"NOT PROVEN: {error}.")
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"The input cannot be read: {error!r}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
