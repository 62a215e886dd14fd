"""The auditor's script of docs/verify.md, run as an auditor runs it: a subprocess that sees nothing of ours."""

import base64
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.audit.schemas.ledger import LedgerEntryOut, OpeningOut, RecordVerificationOut
from domain.audit import merkle
from domain.audit.events import AuditName
from domain.audit.ledger import GENESIS, Checkpoint, Entry, SignedCheckpoint, extend
from domain.audit.records import EVENT_COLUMNS, event_text, leaf, record_hash, record_text
from domain.facts.records import TRAIL
from storage.keys import Signer
from storage.ledger.published import publish
from storage.ledger.queries import LedgerEntry, StoredCheckpoint
from storage.ledger.verification import OK, InclusionProof, Opening, RecordVerdict, VerificationOutcome
from tests.paths import DOCS

SCRIPT = DOCS / "verify_offline.py"
RECORD = UUID(int=0xBEEF)
SEALED = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)


def key(seed: int) -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


class Ledger:
    """A ledger in memory, made of the code that makes the real one."""

    def __init__(self, size: int, signer: Signer | None = None, org_id: UUID | None = None, seed: int = 7) -> None:
        self.org_id = org_id or UUID(int=0xA11)
        self.signer = signer or key(1)
        # Whoever asks may read every record, and trusts the key.
        services = SimpleNamespace(trusted_keys={self.signer.key_id: self.signer.public_key})
        self.call: Any = SimpleNamespace(services=services, caller=SimpleNamespace(may=lambda _permission: True))
        numbers = random.Random(seed)
        events = [(UUID(int=numbers.getrandbits(128)), numbers.randbytes(32)) for _ in range(size)]
        self.entries: list[Entry] = []
        for start in range(0, size, 100):
            last = self.entries[-1].entry_hash if self.entries else GENESIS
            self.entries += extend(start, last, events[start : start + 100], SEALED + timedelta(seconds=start))

    def tiles(self, size: int) -> dict[merkle.TileId, bytes]:
        return merkle.append({}, 0, [entry.leaf for entry in self.entries[:size]])[0]

    def checkpoint(self, size: int) -> SignedCheckpoint:
        root = merkle.root(size, self.tiles(size))
        checkpoint = Checkpoint(self.org_id, size, root, self.entries[size - 1].entry_hash)
        return SignedCheckpoint(checkpoint, self.signer.key_id, self.signer.sign(checkpoint.body()))

    def answer(
        self, seq: int, size: int, outcome: VerificationOutcome = VerificationOutcome.VERIFIED
    ) -> dict[str, Any]:
        """What POST /api/v1/ledger/verify/{recordId} answers, by the model that renders it."""
        entry = self.entries[seq - 1]
        row = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
        stored = StoredCheckpoint(self.checkpoint(size), SEALED)
        proof = InclusionProof(seq - 1, merkle.inclusion_proof(seq - 1, size, self.tiles(size)), stored)
        verdict = RecordVerdict(outcome, OK, row, proof)
        out = RecordVerificationOut.found(uuid4(), verdict, SEALED, self.call)
        parsed: dict[str, Any] = json.loads(out.model_dump_json(by_alias=True))
        return parsed

    def opened(self, size: int) -> dict[str, Any]:
        """An answer about a trail whose leaf, the last of the ledger, was sealed as the product seals it."""
        event = dict.fromkeys(EVENT_COLUMNS) | {"record_id": RECORD, "record_kind": "trail", "occurred_at": SEALED}
        record = dict.fromkeys(TRAIL.columns) | {"git_branch": "größe/main"}
        nonce = bytes(range(16))
        last = self.entries[size - 2]
        hidden = leaf(TRAIL.format, nonce, event_text(event), record_hash(TRAIL, record))
        sealed = extend(size - 1, last.entry_hash, [(UUID(int=5), hidden)], SEALED)
        self.entries[size - 1 :] = sealed
        answer = self.answer(size, size)
        opening = OpeningOut.of(Opening(TRAIL.format, nonce, event_text(event), record_text(TRAIL, record)), self.call)
        return answer | {"recordId": str(RECORD), "opening": json.loads(opening.model_dump_json(by_alias=True))}

    def page(self, first: int, last: int) -> dict[str, Any]:
        """What GET /api/v1/ledger/entries answers, as far as the script reads it."""
        outs = [
            LedgerEntryOut.of(
                LedgerEntry(
                    **{name: getattr(entry, name) for name in Entry.__dataclass_fields__},
                    name=AuditName.TRAIL_CREATED,
                    record_kind="trail",
                    record_id=uuid4(),
                    record_version=1,
                    payload={},
                ),
                self.call,
            )
            for entry in self.entries[first - 1 : last]
        ]
        return {"entries": [json.loads(out.model_dump_json(by_alias=True)) for out in outs]}


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class Desk:
    """An auditor's empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.published = folder / "copy.checkpoints"

    def publish(self, ledger: Ledger, *sizes: int) -> None:
        publish(self.published, [ledger.checkpoint(size) for size in sizes])

    def run(self, answer: object, *options: str) -> Ran:
        path = self.folder / "answer.json"
        path.write_text(answer if isinstance(answer, str) else json.dumps(answer), encoding="utf-8")
        # -I: neither the working directory nor PYTHONPATH is searched, so nothing of ours can be imported.
        done = subprocess.run(
            [sys.executable, "-I", "-W", "error", str(SCRIPT), str(path), str(self.published), *options],
            cwd=self.folder,
            env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def pages(self, *pages: dict[str, Any]) -> list[str]:
        paths = [self.folder / f"page-{number}.json" for number, _ in enumerate(pages)]
        for path, page in zip(paths, pages, strict=True):
            path.write_text(json.dumps(page), encoding="utf-8")
        return ["--entries", *map(str, paths)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def public(signer: Signer) -> str:
    return base64.b64encode(signer.public_key).decode()


@pytest.mark.parametrize(("seq", "size"), [(1, 1), (1, 2), (2, 3), (7, 7), (256, 257), (300, 1000)])
def test_a_sound_proof_is_proven(desk: Desk, seq: int, size: int) -> None:
    ledger = Ledger(size)
    desk.publish(ledger, *sorted({max(1, size // 2), size}))
    ran = desk.run(ledger.answer(seq, size), "--public-key", public(ledger.signer))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("PROVEN: record ")
    assert f"entry {seq} of trailgate/{ledger.org_id}" in ran.out
    assert f"size {size}, signed by key {ledger.signer.key_id}" in ran.out
    assert "compare" not in ran.out


def test_without_a_key_of_ones_own_the_enclosed_one_is_used_and_shown(desk: Desk) -> None:
    ledger = Ledger(5)
    desk.publish(ledger, 5)
    ran = desk.run(ledger.answer(3, 5))
    assert ran.status == 0
    assert f"compare it with the one you hold: {public(ledger.signer)}" in ran.out


def test_a_note_that_a_crash_cut_short_does_not_count(desk: Desk) -> None:
    ledger = Ledger(5)
    desk.publish(ledger, 4, 5)
    desk.published.write_text(desk.published.read_text() + "trailgate/torn\n12")
    assert desk.run(ledger.answer(3, 5)).status == 0


def _flip(text: str) -> str:
    """The same length, another value, still hex."""
    return ("1" if text[0] == "0" else "0") + text[1:]


def _another_leaf(answer: dict[str, Any]) -> None:
    answer["contentHash"] = answer["proof"]["leafHash"] = _flip(answer["contentHash"])


def _another_index(answer: dict[str, Any]) -> None:
    answer["sequence"] += 1
    answer["proof"]["leafIndex"] += 1


def _beyond_the_tree(answer: dict[str, Any]) -> None:
    answer["sequence"], answer["proof"]["leafIndex"] = 101, 100


def _longer_path(answer: dict[str, Any]) -> None:
    answer["proof"]["path"].append("00" * 32)


def _another_size(answer: dict[str, Any]) -> None:
    checkpoint = answer["proof"]["checkpoint"]
    checkpoint["note"] = checkpoint["note"].replace("\n100\n", "\n99\n")


def _another_step(place: int) -> Callable[[dict[str, Any]], None]:
    def change(answer: dict[str, Any]) -> None:
        answer["proof"]["path"][place] = _flip(answer["proof"]["path"][place])

    change.__name__ = f"step {place}"
    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_another_leaf, "does not lead to the root"),
        (_another_index, "does not lead to the root"),
        (_beyond_the_tree, "cannot be in a tree of 100 leaves"),
        (_longer_path, "too long"),
        (lambda answer: answer["proof"]["path"].pop(), "too short"),
        *((_another_step(place), "does not lead to the root") for place in range(7)),
        (_another_size, "signature of a checkpoint does not hold"),
        (lambda answer: answer.update(contentHash="00" * 32), "for another entry"),
        (lambda answer: answer.update(sequence=1), "for another entry"),
        (lambda answer: answer.update(verified=False, result="altered"), "does not vouch for it: altered"),
        (lambda answer: answer.update(verified=False, result="unsealed", proof=None), "encloses no proof"),
    ],
)
def test_a_changed_answer_is_not_proven(desk: Desk, change: Callable[[dict[str, Any]], None], reason: str) -> None:
    ledger = Ledger(100)
    desk.publish(ledger, 100)
    answer = ledger.answer(43, 100)
    change(answer)
    ran = desk.run(answer)
    assert ran.status == 1, ran
    assert ran.out.startswith("NOT PROVEN: ")
    assert reason in ran.out


@pytest.mark.parametrize("line", range(4))
def test_a_changed_line_of_the_published_file_is_not_proven(desk: Desk, line: int) -> None:
    ledger = Ledger(10)
    desk.publish(ledger, 10)
    lines = desk.published.read_text().split("\n")
    other = Ledger(11, seed=8, org_id=UUID(int=0xB0B)).checkpoint(11).checkpoint.body().decode().split("\n")
    lines[line] = other[line]
    desk.published.write_text("\n".join(lines))
    ran = desk.run(ledger.answer(3, 10))
    assert (ran.status, "signature of a checkpoint does not hold" in ran.out) == (1, True)


def test_a_ledger_rewritten_by_the_owner_of_the_key_differs_from_what_was_published(desk: Desk) -> None:
    honest = Ledger(10)
    desk.publish(honest, 5, 10)
    rewritten = Ledger(10, seed=8)
    ran = desk.run(rewritten.answer(3, 10), "--public-key", public(honest.signer))
    assert ran.status == 1
    assert "the ledger was rewritten" in ran.out


def test_the_proof_of_another_organisation_is_not_proven(desk: Desk) -> None:
    desk.publish(Ledger(10), 10)
    assert desk.run(Ledger(10, org_id=UUID(int=0xB0B)).answer(3, 10)).status == 1


@pytest.mark.parametrize("options", [(), ("--public-key",)])
def test_a_signature_by_another_key_is_not_proven(desk: Desk, options: tuple[str, ...]) -> None:
    honest, forger = Ledger(10), Ledger(10, signer=key(2))
    desk.publish(honest, 10)
    ran = desk.run(forger.answer(3, 10), *options, *([public(honest.signer)] if options else []))
    assert ran.status == 1
    assert f"{forger.signer.key_id}" in ran.out
    assert f"{honest.signer.key_id}" in ran.out


def test_published_checkpoints_out_of_order_forked_or_of_two_ledgers_are_refused(desk: Desk) -> None:
    ledger, fork, other = Ledger(10), Ledger(10, seed=8), Ledger(12, org_id=UUID(int=0xB0B))
    desk.publish(ledger, 10)
    kept = desk.published.read_text()
    for slipped in (ledger.checkpoint(5), fork.checkpoint(10), other.checkpoint(12)):
        desk.published.unlink()
        publish(desk.published, [slipped])
        desk.published.write_text(kept + desk.published.read_text())
        ran = desk.run(ledger.answer(3, 10))
        assert (ran.status, "not one growing ledger" in ran.out) == (1, True)


def test_an_old_copy_alone_says_what_is_missing(desk: Desk) -> None:
    ledger = Ledger(20)
    desk.publish(ledger, 10)
    ran = desk.run(ledger.answer(3, 20))
    assert ran.status == 1
    assert "no checkpoint of size 20 in this copy: take a new copy, or add --entries" in ran.out


@pytest.mark.parametrize("with_entries", [False, True])
def test_a_record_that_is_newer_than_the_copy_needs_a_new_copy(desk: Desk, *, with_entries: bool) -> None:
    ledger = Ledger(20)
    desk.publish(ledger, 10)
    ran = desk.run(ledger.answer(15, 20), *(desk.pages(ledger.page(1, 20)) if with_entries else ()))
    assert (ran.status, ran.err) == (1, "")
    assert ran.out == "NOT PROVEN: entry 15 is younger than this copy of the checkpoints: take a new copy.\n"


@pytest.mark.parametrize("size", [20, 300])
def test_an_old_copy_and_all_entries_prove_the_record(desk: Desk, size: int) -> None:
    ledger = Ledger(size)
    desk.publish(ledger, 2, 5, 10)
    pages = desk.pages(ledger.page(12, size), ledger.page(1, 11))
    ran = desk.run(ledger.answer(3, size), *pages)
    assert (ran.status, ran.err) == (0, "")
    assert "published checkpoint of size 5" in ran.out


def test_a_rewritten_history_does_not_lead_to_an_old_copy(desk: Desk) -> None:
    desk.publish(Ledger(10), 10)
    rewritten = Ledger(20, seed=8)
    ran = desk.run(rewritten.answer(3, 20), *desk.pages(rewritten.page(1, 20)))
    assert ran.status == 1
    assert "do not lead to the checkpoint of size 10" in ran.out


def test_entries_that_miss_the_end_the_record_or_a_link_are_not_proven(desk: Desk) -> None:
    ledger = Ledger(20)
    desk.publish(ledger, 10)
    answer = ledger.answer(3, 20)
    gap = {"entries": ledger.page(1, 5)["entries"] + ledger.page(7, 20)["entries"]}
    for page, reason in ((ledger.page(1, 19), "19 entries are too few"), (gap, "do not chain at 6")):
        ran = desk.run(answer, *desk.pages(page))
        assert (ran.status, reason in ran.out) == (1, True), ran


@pytest.mark.parametrize("field", ["entryId", "contentHash", "previousHash", "timestamp"])
def test_every_field_of_an_entry_counts(desk: Desk, field: str) -> None:
    ledger = Ledger(20)
    desk.publish(ledger, 10)
    page = ledger.page(1, 20)
    entry = page["entries"][6]
    entry[field] = entry[field].replace("09:30:00", "09:30:01") if field == "timestamp" else _flip(entry[field])
    ran = desk.run(ledger.answer(3, 20), *desk.pages(page))
    assert ran.status == 1
    assert "NOT PROVEN" in ran.out


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ("{", ()),
        ("[]", ()),
        ("{}", ()),
        ({"verified": True, "proof": {}}, ()),
        (None, ("--public-key", "AAAA")),
        (None, ("--public-key", "no base64")),
        (None, ("--entries", "no-such-file")),
    ],
)
def test_unreadable_input_is_told_apart_from_a_broken_proof(
    desk: Desk, answer: object, options: tuple[str, ...]
) -> None:
    ledger = Ledger(4)
    desk.publish(ledger, 4)
    ran = desk.run(answer or ledger.answer(2, 4), *options)
    # A key of the wrong length names another key id: that is a proof that does not hold.
    assert ran.status == (1 if "AAAA" in options else 2), ran
    assert "Traceback" not in ran.err


def test_an_opened_leaf_shows_what_was_sealed(desk: Desk) -> None:
    ledger = Ledger(9)
    answer = ledger.opened(9)
    desk.publish(ledger, 9)
    ran = desk.run(answer)
    assert ran.status == 0, ran
    assert "größe/main" in ran.out


@pytest.mark.parametrize("part", ["text", "nonce", "format", "record"])
def test_an_opening_that_was_changed_is_refused(desk: Desk, part: str) -> None:
    ledger = Ledger(9)
    answer = ledger.opened(9)
    desk.publish(ledger, 9)
    opening = answer["opening"]
    match part:
        case "text":
            opening["record"] = opening["record"].replace("größe", "grösse")
        case "nonce":
            opening["nonce"] = "00" * 16
        case "format":
            opening["format"] += 1
        case _:
            answer["recordId"] = str(UUID(int=77))
    ran = desk.run(answer)
    assert ran.status == 1, ran
    assert "Traceback" not in ran.err


def test_an_empty_published_file_proves_nothing(desk: Desk) -> None:
    desk.published.write_text("")
    assert desk.run(Ledger(4).answer(2, 4)).status == 1


def test_the_page_prints_the_script_as_it_is() -> None:
    page = (DOCS / "verify.md").read_text(encoding="utf-8")
    [block] = re.findall(r"<!-- verify_offline\.py -->\n```python\n(.*?)```\n", page, re.DOTALL)
    assert block == SCRIPT.read_text(encoding="utf-8"), "copy docs/verify_offline.py into docs/verify.md"
