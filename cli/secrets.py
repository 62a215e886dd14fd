"""`trailgate secrets`: rotate the master key and the signing key."""

import asyncio
import base64
import os
from typing import Annotated

import typer

from cli.installation import located, opened, read_settings
from cli.output import counted, note, progress, say
from domain.errors import Conflict
from storage.database import Database
from storage.identity.bootstrap import register_master_key
from storage.inbox.codes import renew_delivery_codes
from storage.keyring import open_keyring
from storage.keys import (
    KEY_BYTES,
    UnusableKey,
    add_trusted_key,
    load_master_keys,
    load_signer,
    master_key_file,
    signing_key_file,
    trusted_keys_file,
    write_keys,
)
from storage.ledger.renewal import renew_codes
from storage.registry import SECRET_PURPOSES
from storage.secrets.envelope import SecretCipher
from storage.secrets.rotation import rewrap_secrets
from storage.settings import Settings

secrets = typer.Typer(help="Rotate the keys of this installation.", no_args_is_help=True)

_SERVING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('trailgate api', 'trailgate worker')
"""

_LOST_SIGNING_KEY = "SELECT key_id, public_key FROM signing_keys WHERE is_current AND key_id <> $1"


@secrets.command("rotate")
def rotate_master_key() -> None:
    """Encrypt all secrets with a new master key. Stop the API and the workers first.

    With TRAILGATE_MASTER_KEY, set it to the new key, a comma and the old one before; remove the old one afterwards.
    May be repeated after an interruption.
    """
    with located(read_settings()) as settings:
        asyncio.run(_refuse_while_serving(settings))
        asyncio.run(_check_keys(settings))
        if settings.master_key is None:
            _add_master_key(settings)
        number = asyncio.run(_rewrap(settings))
        keys = load_master_keys(settings)
        if settings.master_key is None:
            write_keys(master_key_file(settings), keys[:1])
    say(f"{counted(number, 'secret')} now encrypted with master key {SecretCipher(keys).key_id}")
    if settings.master_key is not None:
        note("Remove the old key from TRAILGATE_MASTER_KEY now, and start the API and the workers.")
    else:
        note(f"Back up {master_key_file(settings)}, and destroy copies of the old key when older backups are gone.")


@secrets.command("rotate-signing-key")
def rotate_signing_key() -> None:
    """Sign checkpoints with a new key from the next start on. Stop the API and the workers first.

    The public key of the old one is added to the trusted keys; the next start records the rotation in every ledger.
    """
    with located(read_settings()) as settings:
        asyncio.run(_refuse_while_serving(settings))
        old = load_signer(settings)
        public_key = base64.b64encode(old.public_key).decode()
        if settings.signing_key is not None:
            raise Conflict(
                "The key comes from TRAILGATE_SIGNING_KEY: set that to 32 new random bytes in base64, add "
                f"{public_key} to TRAILGATE_TRUSTED_KEYS, and start the API and the workers.",
                "state",
            )
        add_trusted_key(settings, old.public_key)
        write_keys(signing_key_file(settings), [os.urandom(KEY_BYTES)])
    say(f"checkpoints will be signed with key {load_signer(settings).key_id} instead of {old.key_id}")
    note(f"Back up {signing_key_file(settings)} and {trusted_keys_file(settings)}, and tell the auditors the new key.")


@secrets.command("replace-lost")
def replace_lost_keys(*, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Go on with the keys that are here, or with new ones, after the old ones are lost for good.

    Secrets of a lost master key stay unreadable: enter them again. Old checkpoints stay valid by the public key that
    the database names; whether it is the right one, only your own copy can tell.
    """
    with located(read_settings()) as settings:
        asyncio.run(_refuse_while_serving(settings))
        if not asyncio.run(_keys_are_lost(settings)):
            raise Conflict("The database was written with the keys that are here: nothing is lost.", "state")
        if not yes:
            typer.confirm(
                "The ledgers are then taken as the database has them now: only copies of the checkpoints elsewhere can "
                "still show that somebody changed them before. Go on?",
                abort=True,
            )
        trusted = asyncio.run(_replace_lost(settings))
    say(
        f"the keys of this installation are in {settings.keys_dir}; trusted beside them: {', '.join(trusted) or 'none'}"
    )
    note("Back up the keys, start the API and the workers, and tell the auditors. If the master key was lost, rotate")
    note("the secret of every webhook config, and enter the channelConfig of every notification rule again.")


async def _replace_lost(settings: Settings) -> list[str]:
    """Renew all codes, name the keys that are here, and trust the public key that the database names as current."""
    cipher, signer = SecretCipher(load_master_keys(settings)), load_signer(settings)
    async with opened(settings) as database, database.transaction() as tx:
        await renew_codes(tx, unchecked=True)
        await renew_delivery_codes(tx, unchecked=True)
        await register_master_key(tx, cipher)
        lost = await tx.rows(_LOST_SIGNING_KEY, signer.key_id)
        for row in lost:
            add_trusted_key(settings, row["public_key"])
    return [row["key_id"] for row in lost]


async def _check_keys(settings: Settings) -> None:
    """Raise UnusableKey if the database was written with other keys than those that are here."""
    async with opened(settings) as database, database.read() as reader:
        await open_keyring(reader, settings)


async def _keys_are_lost(settings: Settings) -> bool:
    try:
        await _check_keys(settings)
    except UnusableKey:
        return True
    return False


async def _refuse_while_serving(settings: Settings) -> None:
    async with opened(settings) as database, database.read() as reader:
        if serving := await reader.value(_SERVING):
            raise Conflict(
                f"{serving} connections of the API or a worker are open: stop these first, they hold the old key.",
                "state",
            )


def _add_master_key(settings: Settings) -> None:
    """Put a new key before the old one, unless an interrupted rotation did so already."""
    keys = load_master_keys(settings)
    if len(keys) == 1:
        write_keys(master_key_file(settings), [os.urandom(KEY_BYTES), *keys])


async def _rewrap(settings: Settings) -> int:
    """Wrap every secret anew and renew all codes; return the number of secrets."""
    number, cipher = 0, SecretCipher(load_master_keys(settings))
    async with opened(settings) as database:
        with progress("secrets") as advance:
            async for number in rewrap_secrets(database, cipher, SECRET_PURPOSES):
                advance(number)
        await _renew(database, cipher)
    return number


async def _renew(database: Database, cipher: SecretCipher) -> None:
    async with database.transaction() as tx:
        await renew_codes(tx)
        await renew_delivery_codes(tx)
        await register_master_key(tx, cipher)
