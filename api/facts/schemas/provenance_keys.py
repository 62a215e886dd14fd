"""Request and response models of provenance keys."""

from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from api.http.texts import Name
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.facts.provenance import KeyAlgorithm, NewProvenanceKey
from integrations.formats.dsse.keys import read_public_key

MAX_PEM = 16_384
"""Characters: ten times what an RSA key of 8192 bits needs."""


class ProvenanceKeyIn(WireIn):
    """A public key to register. Its type decides the algorithm: Ed25519, ECDSA P-256 or RSA-PSS with SHA-256."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "name": "release builds",
                    "publicKeyPem": "-----BEGIN PUBLIC KEY-----\n"
                    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                    "-----END PUBLIC KEY-----\n",
                }
            ]
        }
    }

    name: Name
    public_key_pem: Annotated[
        str, StringConstraints(max_length=MAX_PEM), Field(description="SubjectPublicKeyInfo as PEM (RFC 7468)")
    ]
    key_id: Annotated[
        Name | None,
        Field(description="The key id in signatures. Default, and always accepted: the hex SHA-256 of the key's DER"),
    ] = None

    def to_command(self) -> NewProvenanceKey:
        """Return the input of the command. Raises Invalid for anything but a public key of these types."""
        public_key = read_public_key(self.public_key_pem)
        key_id = self.key_id or public_key.fingerprint
        return NewProvenanceKey(self.name, key_id, public_key.algorithm, public_key.pem)


class ProvenanceKeyOut(WireModel):
    """A registered public key. `keyId` is the key id in signatures."""

    id: UUID
    name: str
    key_id: str
    algorithm: KeyAlgorithm
    public_key_pem: str = shows("public_key")
    version: int
    created_at: Instant
