"""Keys and folders: what is well, and each thing that can be wrong with them, made on a real disk."""

import base64
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.checks.files import examine_files
from cli.checks.findings import DoctorFinding, Level
from storage.blobs.store import BlobStore
from storage.keys import existing_master_keys, load_master_keys, load_signer
from storage.settings import Settings

KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of an installation that has been started once."""
    made = Settings(data_dir=tmp_path / "data")
    load_master_keys(made)
    load_signer(made)
    BlobStore(made.blobs).prepare()
    return made


def examined(settings: Settings) -> dict[str, DoctorFinding]:
    return {finding.check: finding for finding in examine_files(settings)}


def levels(settings: Settings) -> dict[str, str]:
    return {check: finding.level.value for check, finding in examined(settings).items()}


WELL = {"master key": "ok", "signing key": "ok", "evidence": "ok", "checkpoints": "ok"}


def test_all_is_well_and_nothing_is_made(settings: Settings) -> None:
    before = sorted(settings.data_dir.parent.rglob("*"))
    assert levels(settings) == WELL
    assert sorted(settings.data_dir.parent.rglob("*")) == before
    assert not settings.checkpoints.exists()


def test_before_the_first_start_no_key_is_made(tmp_path: Path) -> None:
    fresh = Settings(data_dir=tmp_path / "never")
    assert levels(fresh) == WELL | {"master key": "warn", "signing key": "warn"}
    assert existing_master_keys(fresh) is None
    assert not fresh.data_dir.exists()


@pytest.mark.parametrize("name", ["master", "signing"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_key_that_others_may_read(settings: Settings, name: str, mode: int) -> None:
    path = settings.keys_dir / f"{name}.key"
    path.chmod(mode)
    finding = examined(settings)[f"{name} key"]
    assert (finding.level, finding.advice) == (Level.FAIL, f"chmod 600 {path}")
    assert f"mode 0{mode:o}" in finding.found
    path.chmod(0o600)
    assert levels(settings) == WELL


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"short").decode(), ""])
def test_a_key_that_is_none(settings: Settings, text: str) -> None:
    (settings.keys_dir / "master.key").write_text(text)
    finding = examined(settings)["master key"]
    assert finding.level is Level.FAIL
    assert "TRAILGATE_MASTER_KEY" in finding.advice
    assert existing_master_keys(settings) is None


def test_a_key_that_cannot_be_read(settings: Settings) -> None:
    (settings.keys_dir / "signing.key").unlink()
    (settings.keys_dir / "signing.key").mkdir(mode=0o700)
    assert levels(settings) == WELL | {"signing key": "fail"}


def test_keys_of_the_environment_need_no_files(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path, master_key=SecretStr(KEY), signing_key=SecretStr("nonsense"))
    found = examined(given)
    assert (found["master key"].level, found["master key"].found) == (Level.OK, "set by TRAILGATE_MASTER_KEY")
    assert found["signing key"].level is Level.FAIL
    assert existing_master_keys(given) == (b"k" * 32,)
    assert KEY not in str(found)


@pytest.mark.parametrize("in_the_way", ["file", "proc"])
def test_a_folder_that_cannot_be_written_to(settings: Settings, tmp_path: Path, in_the_way: str) -> None:
    place = tmp_path / "file" if in_the_way == "file" else Path("/proc/sys")
    if in_the_way == "file":
        place.write_text("")
    finding = examined(settings.model_copy(update={"checkpoint_dir": place / "checkpoints"}))["checkpoints"]
    assert (finding.level, f"{place} cannot be written to" in finding.found) == (Level.FAIL, True), finding


def test_a_folder_of_somebody_else(settings: Settings) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    settings.blobs.chmod(0o500)
    assert examined(settings)["evidence"].level is Level.FAIL


def test_too_little_space_for_the_largest_file(settings: Settings) -> None:
    tight = settings.model_copy(update={"evidence_max_size": 2**60})
    finding = examined(tight)["evidence"]
    assert (finding.level, "free disk space" in finding.advice) == (Level.WARN, True)
