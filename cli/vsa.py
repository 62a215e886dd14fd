"""`trailgate verify-vsa`: verify a signed verdict anywhere, without a server and without a database."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cli.durations import duration
from cli.installation import read_settings
from cli.output import note, printable, say
from domain.errors import Invalid
from domain.facts.summaries import Expected, Summary
from integrations.formats.dsse.keys import read_public_key
from integrations.formats.dsse.verify import (
    MAX_ENVELOPE,
    DsseEnvelope,
    Unverifiable,
    find_signer,
    pae,
    read_envelope,
)
from integrations.formats.intoto.summaries import read_summary
from storage.keys import key_id, load_trusted_keys, pem_of

_STANDARD_INPUT = "-"
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_KEY_SUFFIXES = {".pem", ".pub"}
_COMPARED = {
    "--digest": "the artifact",
    "--verifier": "the organisation that judged it",
    "--resource, --environment or --flow": "what it was judged for",
}


def verify_vsa(
    file: Annotated[
        str, typer.Argument(help="The envelope, as `GET /api/v1/verdicts/{id}/vsa` returns it; - to read it.")
    ],
    *,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", "--keys", help="Public keys in PEM: a file, or a folder of them; may be repeated."),
    ] = None,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Use the keys of this installation, or TRAILGATE_TRUSTED_KEYS.")
    ] = False,
    digest: Annotated[str | None, typer.Option(help="SHA-256 of the artifact that it must be about.")] = None,
    verifier: Annotated[str | None, typer.Option(help="URI of the organisation that must have judged it.")] = None,
    resource: Annotated[str | None, typer.Option(help="URI of what it must have been judged for.")] = None,
    environment: Annotated[str | None, typer.Option(help="Id of the environment it must be allowed in.")] = None,
    flow: Annotated[str | None, typer.Option(help="Id of the flow whose requirements it must fulfil.")] = None,
    policy: Annotated[str | None, typer.Option(help="Id or name of a policy that must have been applied.")] = None,
    level: Annotated[int | None, typer.Option(min=1, max=3, help="SLSA build level that must be verified.")] = None,
    max_age: Annotated[str | None, typer.Option(help="How old the verdict may be, such as 12h or 30d.")] = None,
) -> None:
    """Verify a signed verdict, offline. Status 0: signed and as asked for, 1: not so, 2: could not be read."""
    age = duration("--max-age", max_age) if max_age is not None else None
    expected = Expected(digest, verifier, resource, environment, flow, policy, level, age)
    keys = [*_keys(key or []), *(_own_keys() if trusted else [])]
    if not keys:
        raise Invalid("Name the keys to trust: with --key, or with --trusted on a host of the installation.")
    envelope = _read(file)
    try:
        signer = _signer(envelope, keys)
        summary = read_summary(envelope)
    except Unverifiable as error:
        raise _refused(error.reason) from error
    _show(summary, signer)
    if reasons := expected.refusals(summary, datetime.now(UTC)):
        raise _refused(*reasons)
    _note_uncompared(expected)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key that the caller trusts: its fingerprint, its id in signatures, its PEM, and where it comes from."""

    id: str
    key_id: str
    public_key: str
    source: str


def _keys(paths: Sequence[Path]) -> Iterator[TrustedKey]:
    """Read the keys in files, and in the files of folders. Raises Invalid for a file without one."""
    for path in paths:
        files = sorted(one for one in path.iterdir() if one.suffix in _KEY_SUFFIXES) if path.is_dir() else [path]
        for file in files:
            blocks = _PEM.findall(file.read_text(encoding="utf-8"))
            if not blocks:
                raise Invalid(f"{file} has no public key in PEM.")
            yield from (_key(block, str(file)) for block in blocks)


def _own_keys() -> list[TrustedKey]:
    return [_key(pem_of(public_key), "this installation") for public_key in load_trusted_keys(read_settings()).values()]


def _key(pem: str, source: str) -> TrustedKey:
    """Read one key. Raises Invalid for one that is broken or too weak."""
    try:
        read = read_public_key(pem)
    except Invalid as error:
        raise Invalid(f"{source}: {error.message}") from error
    name = key_id(read.key.public_bytes_raw()) if isinstance(read.key, Ed25519PublicKey) else read.fingerprint
    return TrustedKey(read.fingerprint, name, read.pem, source)


def _read(file: str) -> DsseEnvelope:
    """Read an envelope. Raises Invalid for anything else."""
    if file == _STANDARD_INPUT:
        content = sys.stdin.buffer.read(4 * MAX_ENVELOPE + 1)
    else:
        with Path(file).open("rb") as opened:
            content = opened.read(4 * MAX_ENVELOPE + 1)
    try:
        return read_envelope(content.decode())
    except Unverifiable as error:
        raise Invalid(error.reason) from error


def _signer(envelope: DsseEnvelope, keys: Sequence[TrustedKey]) -> TrustedKey:
    """Return the key of the first valid signature: one suffices. Raises Unverifiable if there is none."""
    if not envelope.signatures:
        raise Unverifiable("It bears no signature.")
    known = {name for one in keys for name in (one.id, one.key_id)}
    # A key id is a hint in the signer's own spelling: one that is unknown here does not exclude any key.
    signatures = [one if one.key_id in known else replace(one, key_id=None) for one in envelope.signatures]
    signer = find_signer(pae(envelope.payload_type, envelope.payload), signatures, keys)
    if signer is None:
        named = sorted({one.key_id or "none" for one in envelope.signatures})[:5]
        ours = sorted({one.key_id for one in keys})[:5]
        raise Unverifiable(f"None of its signatures (by {', '.join(named)}) is of a trusted key ({', '.join(ours)}).")
    return signer


def _show(summary: Summary, signer: TrustedKey) -> None:
    rows = {
        "result": summary.result,
        "artifact": ", ".join(sorted(summary.digests)),
        "resource": summary.resource,
        "verifier": summary.verifier,
        "levels": ", ".join(summary.levels),
        "given": summary.verified_at,
        "verdict": summary.verdict,
        "signed by": f"{signer.key_id} ({signer.source})",
    }
    for name, value in rows.items():
        say(f"{name:<9}  {printable(value)}")


def _refused(*reasons: str) -> typer.Exit:
    for reason in reasons:
        say(f"NOT ACCEPTED: {printable(reason)}")
    return typer.Exit(1)


def _note_uncompared(expected: Expected) -> None:
    say("ACCEPTED")
    resource = expected.resource or expected.environment or expected.flow
    given = dict(zip(_COMPARED, (expected.digest, expected.verifier or resource, resource), strict=True))
    for option, what in _COMPARED.items():
        if given[option] is None:
            note(f"Not compared, because {option} is missing: {what}.")
