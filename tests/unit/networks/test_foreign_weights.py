"""Reading weights of others runs nothing and takes no more memory than the file has bytes."""

from __future__ import annotations

import os
import pickle
import tarfile
import time
import zipfile

import pytest
import torch

from ctdenoise.errors import CheckpointError, UsageError
from ctdenoise.networks import foreign_weights
from ctdenoise.networks.foreign_weights import read_state_dicts


class Command:
    """What a pickle can do: run a command while it is opened."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


WRITERS = {
    "zip": torch.save,
    "legacy": lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
    "pickle": lambda content, path: path.write_bytes(pickle.dumps(content)),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_malicious_file_is_refused_and_runs_nothing(writer, tmp_path):
    marker = tmp_path / "ran"
    path = tmp_path / "w.pt"
    WRITERS[writer]({"conv1.weight": torch.zeros(3), "extra": Command(marker)}, path)
    with pytest.raises(CheckpointError) as caught:
        read_state_dicts(path)
    assert not marker.exists()
    assert str(caught.value).count("\n") == 1
    if writer != "pickle":
        assert f"asks to run `{os.name}.system`" in str(caught.value)


def test_the_malicious_file_would_have_run(tmp_path):
    marker = tmp_path / "ran"
    torch.save(Command(marker), tmp_path / "w.pt")
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert marker.exists()


def test_torchscript_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pt")
    with zipfile.ZipFile(tmp_path / "w.pt", "a") as archive:
        archive.writestr("w/constants.pkl", b"")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_state_dicts(tmp_path / "w.pt")


def test_tar_files_of_the_first_torch_are_refused(tmp_path):
    with tarfile.open(tmp_path / "w.pt", "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    with pytest.raises(CheckpointError, match="no file of weights"):
        read_state_dicts(tmp_path / "w.pt")


def test_a_torch_that_runs_code_is_not_used(tmp_path, monkeypatch):
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pt")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(UsageError, match="CVE-2025-32434"):
        read_state_dicts(tmp_path / "w.pt")


class TestBounds:
    """More is claimed than there is."""

    def test_on_the_size_of_the_file(self, tmp_path):
        path = tmp_path / "w.pt"
        with path.open("wb") as opened:
            opened.truncate(foreign_weights.MOST_BYTES + 1)  # takes no room on the disk
        with pytest.raises(CheckpointError, match="up to 1 GiB"):
            read_state_dicts(path)

    def test_on_what_a_zip_file_unpacks_to(self, tmp_path):
        torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "w.pt")
        with zipfile.ZipFile(tmp_path / "w.pt", "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w/data/1", bytes(2**26))
        with pytest.raises(CheckpointError, match="claims to hold 64 MiB"):
            read_state_dicts(tmp_path / "w.pt")

    def test_on_the_objects_of_a_pickle(self, tmp_path):
        torch.save({"names": [[] for _ in range(300_000)]}, tmp_path / "w.pt")
        with pytest.raises(CheckpointError, match="500,000 objects"):
            read_state_dicts(tmp_path / "w.pt")

    def test_on_the_storage_of_an_old_file(self, tmp_path):
        path = tmp_path / "w.pt"
        torch.save({"w": torch.zeros(0x010203)}, path, _use_new_zipfile_serialization=False)
        content = path.read_bytes()
        # numel 0x010203 becomes 0x7f010203: 8 GiB of numbers that are not there
        path.write_bytes(content.replace(b"\x03\x02\x01\x00", b"\x03\x02\x01\x7f")[:4096])
        started = time.perf_counter()
        with pytest.raises(CheckpointError, match="damaged"):
            read_state_dicts(path)
        assert time.perf_counter() - started < 2.0  # the time to fill 8 GiB is longer

    def test_on_containers_that_hold_themselves(self, tmp_path):
        content = {"conv1.weight": torch.zeros(3)}
        content["again"] = content
        torch.save(content, tmp_path / "w.pt")
        assert list(read_state_dicts(tmp_path / "w.pt")) == [""]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_file_that_was_cut_off_is_damaged(zipped, kept, tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"w": torch.rand(2000)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CheckpointError, match="no file of weights, or it is damaged"):
        read_state_dicts(path)


@pytest.mark.parametrize(
    "content", [b"", b"epochs: 3\n" * 9, bytes(range(256)) * 4], ids=["empty", "text", "binary"]
)
def test_other_files_are_no_weights(content, tmp_path):
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="no file of weights"):
        read_state_dicts(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        read_state_dicts(tmp_path / "absent.pt")
