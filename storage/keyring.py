"""The keys of a process, checked against those that the database names: a lost key is never replaced without a word."""

from collections.abc import Mapping
from dataclasses import dataclass

from storage.database import Reader
from storage.keys import (
    Signer,
    UnusableKey,
    load_master_keys,
    load_signer,
    load_trusted_keys,
    master_key_file,
    signing_key_file,
    trusted_keys_file,
)
from storage.ledger.marks import marks_dir
from storage.secrets.envelope import SecretCipher
from storage.settings import Settings


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one process. `trusted` are the public keys that checkpoints may be signed with, by id."""

    cipher: SecretCipher
    signer: Signer
    trusted: Mapping[str, bytes]


_NAMED = """
SELECT (SELECT key_id FROM signing_keys WHERE is_current) AS signing,
       coalesce(
         (SELECT key_id FROM master_keys WHERE is_current), (SELECT key_id FROM secrets ORDER BY id DESC LIMIT 1)
       ) AS master,
       EXISTS (SELECT FROM master_keys) AS complete
"""


async def open_keyring(reader: Reader, settings: Settings) -> Keyring:
    """Load the keys. The first start on an empty database creates those that are not set.

    Raises UnusableKey if the database was written with other keys: they must be restored.
    """
    if not await reader.value("SELECT to_regclass('master_keys') IS NOT NULL"):
        return _loaded(settings)  # not migrated yet
    [named] = await reader.rows(_NAMED)
    if named["signing"]:
        _refuse_lost(settings)
    keyring = _loaded(settings)
    if named["signing"]:
        _refuse_others(settings, keyring, named["signing"], named["master"])
        if not named["complete"] and marks_dir(settings).exists():
            raise UnusableKey("The database does not name its master key any more: somebody changed it. Keep a copy.")
    return keyring


def _loaded(settings: Settings) -> Keyring:
    master_keys = load_master_keys(settings)
    return Keyring(SecretCipher(master_keys), load_signer(settings), load_trusted_keys(settings))


def _refuse_lost(settings: Settings) -> None:
    for name, setting, file in (
        ("master", settings.master_key, master_key_file(settings)),
        ("signing", settings.signing_key, signing_key_file(settings)),
    ):
        if setting is None and not file.exists():
            raise UnusableKey(
                f"The {name} key is gone, but the database was written with one: restore {file} from your copy, "
                f"or set TRAILGATE_{name.upper()}_KEY. If it is lost for good, run `trailgate secrets replace-lost`."
            )


def _refuse_others(settings: Settings, keyring: Keyring, signing: str, master: str | None) -> None:
    if signing not in keyring.trusted:
        raise UnusableKey(
            f"The signing key is {keyring.signer.key_id}, but the database was written with {signing}: restore that "
            f"key. After a rotation, its public key belongs in {trusted_keys_file(settings)} or TRAILGATE_TRUSTED_KEYS."
        )
    if master and master not in keyring.cipher.key_ids:
        raise UnusableKey(
            f"The master key is {keyring.cipher.key_id}, but the database was written with {master}: restore that key. "
            "If it is lost for good, run `trailgate secrets replace-lost`."
        )
