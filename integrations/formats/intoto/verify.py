"""Verification of provenance claims.

A claim is verified only by a valid signature of a registered key over a statement about the claim's own digest. The
statement must confirm everything that is claimed, because the rest would be unsigned.
"""

from collections.abc import Sequence

from pydantic.alias_generators import to_camel

from domain.errors import Rejected
from domain.facts.provenance import Build, CheckStatus, ProvenanceClaim, ProvenanceFinding, ProvenanceKey
from integrations.formats.dsse.verify import DsseEnvelope, DsseSignature, Unverifiable, find_signer, pae, read_envelope
from integrations.formats.intoto.parse import PAYLOAD_TYPES, Statement, read_statement

UNTRUSTED = "A certificate in a Sigstore bundle is not trusted by itself; register the public key of its signer."
UNSIGNED = "It is not signed: there is neither an envelope nor a provenanceSignature."


def read_stated(envelope: str | None, digest: str) -> Statement | None:
    """Parse the SLSA provenance in an envelope without checking signatures; None if there is no envelope.

    Raises Unverifiable for an envelope that cannot be read or contains none, Rejected if its statement is only about
    artifacts other than `digest`.
    """
    if envelope is None:
        return None
    statement = _opened(envelope)[1]
    if statement.digests and digest not in statement.digests:
        raise Rejected(f"The envelope is about another artifact: none of its subjects is {digest}.")
    _build(statement)
    return statement


def check(claim: ProvenanceClaim, keys: Sequence[ProvenanceKey]) -> ProvenanceFinding:
    """Look for a valid signature by one of these keys: first in the envelope, then the detached one. Never raises."""
    reasons: list[str] = []
    for given, prove in ((claim.envelope, _by_envelope), (claim.signature, _by_signature)):
        if given is None:
            continue
        try:
            return prove(claim, given, keys)
        except Unverifiable as error:
            reasons.append(error.reason)
    return ProvenanceFinding(CheckStatus.UNVERIFIED, " ".join(reasons) or UNSIGNED)


def _by_envelope(claim: ProvenanceClaim, text: str, keys: Sequence[ProvenanceKey]) -> ProvenanceFinding:
    envelope, statement = _opened(text)
    if claim.digest not in statement.digests:
        raise Unverifiable("None of the statement's subjects has this artifact's SHA-256.")
    unsigned = claim.build.unstated(_build(statement))
    if unsigned:
        raise Unverifiable(f"The statement does not say the same of {', '.join(map(to_camel, unsigned))}.")
    try:
        key = _signer(pae(envelope.payload_type, envelope.payload), envelope.signatures, keys)
    except Unverifiable as error:
        raise Unverifiable(f"{error.reason} {UNTRUSTED}" if envelope.bundled else error.reason) from error
    reason = f"The envelope bears a good signature of the key '{key.name}'."
    return ProvenanceFinding(CheckStatus.VERIFIED, reason, key, statement.predicate_type)


def _by_signature(claim: ProvenanceClaim, text: str, keys: Sequence[ProvenanceKey]) -> ProvenanceFinding:
    key = _signer(claim.statement(), [DsseSignature(text)], keys)
    return ProvenanceFinding(
        CheckStatus.VERIFIED, f"provenanceSignature is a good signature of the key '{key.name}'.", key
    )


def _build(statement: Statement) -> Build:
    if statement.build is None:
        raise Unverifiable(f"The predicate type {statement.predicate_type!r} is no SLSA provenance v0.2 or v1.")
    return statement.build


def _opened(text: str) -> tuple[DsseEnvelope, Statement]:
    envelope = read_envelope(text)
    if envelope.payload_type not in PAYLOAD_TYPES:
        raise Unverifiable(f"The payload type {_shown(envelope.payload_type)} is not one of in-toto's.")
    return envelope, read_statement(envelope.payload)


def _signer(message: bytes, signatures: Sequence[DsseSignature], keys: Sequence[ProvenanceKey]) -> ProvenanceKey:
    if not signatures:
        raise Unverifiable("The envelope bears no signature.")
    key = find_signer(message, signatures, keys)
    if key is None:
        raise Unverifiable(_refusal(signatures, keys))
    return key


def _refusal(signatures: Sequence[DsseSignature], keys: Sequence[ProvenanceKey]) -> str:
    if not keys:
        return "No public key is registered to check the signature with."
    names = {signature.key_id for signature in signatures}
    if len(names) == 1 and None not in names:
        return f"No registered key of the id {_shown(str(names.pop()))} made the signature."
    return "No registered key made any of the signatures that were looked at."


def _shown(text: str) -> str:
    """Make untrusted text safe to store and show: ASCII, escaped, at most 80 characters of it."""
    return ascii(text[:80])
