import base64
import os
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from storage.keys import UnusableKey, load_master_keys, load_signer, signature_holds
from storage.secrets.commands import keep_secret
from storage.secrets.envelope import SecretCipher, Undecipherable
from storage.secrets.queries import open_secrets
from storage.services import Services
from storage.settings import Settings
from tests.storage.world import World


def test_a_secret_opens_only_with_its_key_and_in_its_place() -> None:
    envelope = SecretCipher([os.urandom(32)])
    sealed = envelope.seal(b"secret", b"secrets/1/use")
    assert envelope.open(sealed, b"secrets/1/use") == b"secret"
    assert b"secret" not in sealed.data + sealed.wrapped
    with pytest.raises(Undecipherable):
        envelope.open(sealed, b"secrets/2/use")
    with pytest.raises(Undecipherable):
        SecretCipher([os.urandom(32)]).open(sealed, b"secrets/1/use")


def test_the_same_secret_never_looks_the_same() -> None:
    envelope = SecretCipher([os.urandom(32)])
    one, two = envelope.seal(b"secret", b"x"), envelope.seal(b"secret", b"x")
    assert one.data != two.data
    assert one.wrapped != two.wrapped


async def test_a_stored_secret_comes_back_and_not_for_another_use(services: Services) -> None:
    world = await World.founded(services)
    async with services.database.transaction() as tx:
        secret_id = await keep_secret(tx, world.tenant, services.envelope, "hush", "this use")
        stored = await tx.row("SELECT * FROM secrets WHERE id = $1", secret_id)
        assert stored is not None
        assert b"hush" not in b"".join(value for value in stored.values() if isinstance(value, bytes))
        assert await open_secrets(tx, services.envelope, [secret_id, uuid4()], "this use") == {secret_id: "hush"}
        with pytest.raises(Undecipherable):
            await open_secrets(tx, services.envelope, [secret_id], "another use")


def test_keys_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = load_master_keys(settings)
    assert load_master_keys(settings) == first
    assert load_signer(settings).key_id == load_signer(settings).key_id
    for name in ("master.key", "signing.key"):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {"master.key", "signing.key"}


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"short").decode()])
def test_an_unusable_key_says_what_is_wrong(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnusableKey, match=r"base64|bytes"):
        load_master_keys(Settings(data_dir=tmp_path, master_key=text))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "signing.key").write_text(text)
    with pytest.raises(UnusableKey, match=r"signing\.key"):
        load_signer(Settings(data_dir=tmp_path))


def test_a_key_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    path.mkdir(parents=True)
    with pytest.raises(UnusableKey, match=r"master\.key: Is a directory: let the user who runs Trailgate read"):
        load_master_keys(Settings(data_dir=tmp_path))
    path.rmdir()
    path.write_bytes(b"\xff" * 32)
    with pytest.raises(UnusableKey, match=r"master\.key is not base64\. Restore the file from your copy"):
        load_master_keys(Settings(data_dir=tmp_path))


def test_a_draft_that_a_killed_process_left_does_not_prevent_a_key(tmp_path: Path) -> None:
    """In a container the next process has the same id."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / f".master.key.{os.getpid()}").touch()
    assert [len(key) for key in load_master_keys(Settings(data_dir=tmp_path))] == [32]


def test_a_signature_holds_for_its_bytes_alone(tmp_path: Path) -> None:
    signer = load_signer(Settings(data_dir=tmp_path))
    signature = signer.sign(b"checkpoint")
    assert signature_holds(signer.public_key, signature, b"checkpoint")
    assert not signature_holds(signer.public_key, signature, b"Checkpoint")
    assert not signature_holds(signer.public_key[::-1], signature, b"checkpoint")
    assert not signature_holds(b"not a key", signature, b"checkpoint")
