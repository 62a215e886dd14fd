"""`trailgate verify-vsa`: accepted is 0, refused is 1 with the reason, what cannot be read is 2."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.app import build_app
from cli.installation import ROOT
from domain.canonical import canonical_json
from domain.facts.vsa import PAYLOAD_TYPE, UNEVALUATED, statement
from integrations.formats.dsse.sign import sign_envelope
from storage.keys import Signer, pem_of
from storage.services import Services
from tests.api.caller import Caller, found_organisation
from tests.domain.facts.test_vsa import ADDRESS, ASSERTED, ENVIRONMENT, FLOW, GATED
from tests.integrations.formats.dsse.signing import new_signer

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
VERIFIER = f"{ADDRESS}/api/v1/organisations/{ASSERTED.org_id}"
COMPARED = ("--digest", ASSERTED.digest, "--flow", str(FLOW))

Change = Callable[[dict[str, Any]], None]


def made(said: Any, signer: Signer = SIGNER, payload_type: str = PAYLOAD_TYPE) -> dict[str, Any]:
    """An envelope as the API returns it."""
    payload = said if isinstance(said, bytes) else canonical_json(said)
    one = sign_envelope(payload_type, payload, signer.key_id, signer.sign)
    signatures = [{"keyid": one.key_id, "sig": one.signature}]
    return {"payloadType": payload_type, "payload": one.payload, "signatures": signatures}


def said(change: Change | None = None, verdict: Any = ASSERTED) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(canonical_json(statement(verdict, ADDRESS, UNEVALUATED)))
    if change:
        change(found)
    return found


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    file = tmp_path / "trailgate.pem"
    file.write_text(pem_of(SIGNER.public_key))
    return file


@pytest.fixture
def verify(trailgate, pem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the command on an envelope where there is no installation."""
    monkeypatch.setenv("TRAILGATE_DATA_DIR", str(tmp_path / "nowhere"))

    def verify(envelope: Any, *options: object):
        file = tmp_path / "vsa.json"
        file.write_bytes(envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode())
        done = trailgate("verify-vsa", file, "--key", pem, *options)
        assert not (tmp_path / "nowhere").exists(), "it creates nothing"
        return done

    return verify


def test_a_sound_one_is_accepted_and_shown(verify) -> None:
    done = verify(made(said()), *COMPARED, "--verifier", VERIFIER, "--policy", FLOW)
    assert (done.status, done.err) == (0, ""), done
    lines = done.out.splitlines()
    assert lines[-1] == "ACCEPTED"
    assert f"artifact   {ASSERTED.digest}" in lines
    assert any(line.startswith(f"signed by  {SIGNER.key_id} (") for line in lines)


def test_what_was_not_compared_is_named(verify) -> None:
    done = verify(made(said()))
    assert done.status == 0
    assert [line.split(" is missing")[0].split("because ")[1] for line in done.err.splitlines()] == [
        "--digest",
        "--verifier",
        "--resource, --environment or --flow",
    ]


def test_the_decision_of_a_gate_is_for_its_environment(verify) -> None:
    gated = made(said(verdict=GATED))
    assert verify(gated, "--environment", ENVIRONMENT, "--policy", "production").status == 0
    assert verify(gated, "--environment", FLOW).status == 1
    assert verify(gated, "--flow", FLOW).status == 1


def _set(*path: str | int, to: Any) -> Change:
    def change(found: Any) -> None:
        for name in path[:-1]:
            found = found[name]
        found[path[-1]] = to

    return change


def _drop(*path: str | int) -> Change:
    def change(found: Any) -> None:
        for name in path[:-1]:
            found = found[name]
        del found[path[-1]]

    return change


SIGNED_BUT_REFUSED: dict[str, tuple[Change, str]] = {
    "another statement": (_set("_type", to="https://in-toto.io/Statement/v0.1"), "_type"),
    "another predicate": (_set("predicateType", to="https://slsa.dev/provenance/v1"), "predicateType"),
    "no predicate": (_drop("predicate"), "predicate"),
    "no result": (_drop("predicate", "verificationResult"), "verificationResult"),
    "a failed verdict": (_set("predicate", "verificationResult", to="FAILED"), "the verdict is FAILED, not PASSED"),
    "another artifact": (_set("subject", 0, "digest", "sha256", to="cd" * 32), f"not about {ASSERTED.digest}"),
    "no artifact": (_set("subject", to=[]), f"not about {ASSERTED.digest}"),
    "another algorithm": (_set("subject", 0, "digest", to={"sha512": "ab" * 64}), "not about"),
    "another flow": (_set("predicate", "resourceUri", to=f"{ADDRESS}/api/v1/flows/x"), "not for the flow"),
    "a time without zone": (_set("predicate", "timeVerified", to="2026-01-31T12:00:00"), "timeVerified"),
    "levels that are none": (_set("predicate", "verifiedLevels", to="SLSA_BUILD_LEVEL_3"), "verifiedLevels"),
    "a control character": (_set("predicate", "verificationResult", to="\x1b[2J"), "\\x1b[2J"),
}


@pytest.mark.parametrize("what", SIGNED_BUT_REFUSED)
def test_what_a_trusted_key_signed_may_still_say_something_else(verify, what: str) -> None:
    change, reason = SIGNED_BUT_REFUSED[what]
    done = verify(made(said(change)), *COMPARED)
    assert (done.status, done.err) == (1, ""), done
    [refusal] = [line for line in done.out.splitlines() if line.startswith("NOT ACCEPTED: ") and reason in line]
    assert refusal.isprintable()
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--max-age", "8w"), "it is too old: 2026-01-31"),
        (("--level", "1"), "it verifies SLSA_BUILD_LEVEL_UNEVALUATED, not SLSA_BUILD_LEVEL_1"),
        (("--policy", "production"), "it does not name the policy production"),
        (("--verifier", f"{VERIFIER}0"), "its verifier is"),
        (("--digest", ""), "not about"),
    ],
)
def test_what_is_asked_for_must_be_there(verify, options: tuple[str, str], reason: str) -> None:
    def old(found: dict[str, Any]) -> None:
        found["predicate"]["timeVerified"] = "2026-01-31T12:00:00Z"

    done = verify(made(said(old)), *options)
    assert (done.status, reason in done.out, "ACCEPTED\n" in done.out.replace("NOT ACCEPTED", "")) == (1, True, False)


def _other_payload(envelope: dict[str, Any]) -> None:
    envelope["payload"] = made(said(_set("predicate", "slsaVersion", to="9.9")))["payload"]


UNSIGNED: dict[str, tuple[Change, str]] = {
    "no signature": (_set("signatures", to=[]), "no signature"),
    "a changed payload": (_other_payload, "is of a trusted key"),
    "another payload type": (_set("payloadType", to="application/json"), "is of a trusted key"),
    "a signature that is none": (_set("signatures", 0, "sig", to="!"), "is of a trusted key"),
    "another key": (lambda found: found.update(made(said(), STRANGER)), f"(by {STRANGER.key_id})"),
    "a stranger under our name": (
        lambda found: found["signatures"][0].update(sig=made(said(), STRANGER)["signatures"][0]["sig"]),
        "is of a trusted key",
    ),
}


@pytest.mark.parametrize("what", UNSIGNED)
def test_what_no_trusted_key_signed_is_refused_and_not_shown(verify, what: str) -> None:
    change, reason = UNSIGNED[what]
    envelope = made(said())
    change(envelope)
    done = verify(envelope, *COMPARED)
    assert (done.status, reason in done.out, "artifact" in done.out) == (1, True, False), done


def test_a_trusted_key_may_have_signed_something_else(verify) -> None:
    done = verify(made(b"{}", payload_type="text/plain"))
    assert (done.status, "payload type is 'text/plain'" in done.out) == (1, True)
    assert verify(made(b"[" * 5000)).status == 1


@pytest.mark.parametrize(
    "key_id",
    ["another's spelling", new_signer().fingerprint, SIGNER.key_id.upper()],
    ids=["another's spelling", "another key", "capitals"],
)
def test_a_key_id_that_is_unknown_here_excludes_no_key(verify, key_id: str) -> None:
    envelope = made(said())
    envelope["signatures"][0]["keyid"] = key_id
    assert verify(envelope).status == 0


def test_one_of_several_signatures_suffices(verify) -> None:
    envelope, other = made(said()), made(said(), STRANGER)
    envelope["signatures"] = [{"sig": "!"}, other["signatures"][0], {**envelope["signatures"][0], "keyid": ""}]
    assert verify(envelope).status == 0
    del envelope["signatures"][-1]["keyid"]
    assert verify(envelope).status == 0, "a key id is not necessary"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"payloadType": 1}', "no payloadType"),
        (b'{"payloadType": "x", "payload": "!", "signatures": []}', "is not base64"),
        (b'{"payloadType": "x", "payload": "", "signatures": {}}', "no list of signatures"),
        (b" " * (1 << 20) + b"{}", "more than 1048576 characters"),
        (b" " * (5 << 20), "more than 1048576 characters"),
        (b"\xff", "not valid UTF-8"),
    ],
)
def test_what_is_no_envelope_cannot_be_read(verify, content: bytes, reason: str) -> None:
    done = verify(content)
    assert (done.status, done.out, reason in done.err) == (2, "", True), done


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no public key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "has no public key in PEM"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is not a readable public key"),
    ],
)
def test_what_is_no_key_is_named(verify, pem: Path, text: str, reason: str) -> None:
    pem.write_text(text)
    done = verify(made(said()))
    assert (done.status, f"{pem}" in done.err, reason in done.err) == (2, True, True), done


def test_a_folder_of_keys_and_other_algorithms(verify, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "ours.pub").write_text(new_signer("ecdsa-p256-sha256").pem + pem_of(STRANGER.public_key))
    (keys / "notes.txt").write_text("not a key")
    assert verify(made(said(), STRANGER), "--keys", keys).status == 0


def test_without_a_key_or_a_file_nothing_is_verified(trailgate, tmp_path: Path, pem: Path) -> None:
    for words, reason in (
        (("no-such-file", "--key", pem), "no-such-file"),
        ((pem,), "Name the keys to trust"),
        ((pem, "--key", tmp_path / "none"), "none: No such file"),
        ((pem, "--key", pem, "--max-age", "soon"), "--max-age: 'soon' is not a duration"),
    ):
        done = trailgate("verify-vsa", *words)
        assert (done.status, reason in done.err) == (2, True), done


def test_a_process_of_its_own_reads_standard_input(pem: Path, tmp_path: Path) -> None:
    """As an admission controller runs it: no settings, no servers, no home."""
    for envelope, status, told in (
        (made(said()), 0, "ACCEPTED"),
        (made(said(), STRANGER), 1, "NOT ACCEPTED"),
        ("", 2, ""),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "cli", "verify-vsa", "-", "--key", str(pem), *COMPARED, "--verifier", VERIFIER],
            cwd=tmp_path,
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            input=json.dumps(envelope),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, told in done.stdout) == (status, True), done
        assert "Traceback" not in done.stderr


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(build_app(services)), cookie_jar=DummyCookieJar()) as client:
        yield client


async def decide(services: Services) -> tuple[Caller, str]:
    """An organisation, and the id of a verdict of its."""
    async with serving(services) as client:
        api = await found_organisation(client, services)
        flow = (await api.make_flow())["id"]
        await api.report_artifact((await api.make_trail(flow))["id"], ASSERTED.digest)
        body = {"flowId": flow, "sha256Digest": ASSERTED.digest}
        return api, (await api.post("/assert", body, 200)).json["verdictId"]


def test_after_a_rotation_summaries_of_all_times_are_accepted(
    started: None, arrange, trailgate, tmp_path: Path
) -> None:
    caller, verdict = arrange(decide)
    keys = tmp_path / "all.pem"

    async def fetch(services: Services) -> Any:
        async with serving(services) as client:
            api = replace(caller, client=client)
            keys.write_text((await api.get("/ledger/keys", headers={"Accept": "application/x-pem-file"})).text)
            return (await api.get(f"/verdicts/{verdict}/vsa")).json

    old = arrange(fetch)
    assert trailgate("secrets", "rotate-signing-key").status == 0
    new = arrange(fetch)
    assert old["payload"] == new["payload"]
    assert old["signatures"][0]["keyid"] != new["signatures"][0]["keyid"]
    for envelope in (old, new):
        (tmp_path / "vsa.json").write_text(json.dumps(envelope))
        for trust in (("--trusted",), ("--key", keys)):
            done = trailgate("verify-vsa", tmp_path / "vsa.json", *trust, "--digest", ASSERTED.digest)
            assert done.status == 0, done
