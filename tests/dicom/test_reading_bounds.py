"""Absurd sizes are refused before memory is taken, and odd folders are gone through."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless

from ctdenoise.core import memory
from ctdenoise.errors import StudyError
from ctdenoise.io.read import open_series, read_volume
from ctdenoise.io.study import find_series
from tests.conftest import ROOT
from tests.dicom.builders import (
    as_bytes,
    ct_series,
    marked_volume,
    multi_frame,
    series_files,
)
from tests.dicom.reading import refusal_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and files of POSIX")

MEBIBYTE = 2**20
_PROGRAM = """
import json, resource, sys, time
from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.read import read_volume
def peak(who):
    return resource.getrusage(who).ru_maxrss * 1024
own = peak(resource.RUSAGE_SELF)
began, said = time.monotonic(), ""
try:
    read_volume(sys.argv[1])
except CTDenoiseError as error:
    said = str(error)
seconds = time.monotonic() - began
from ctdenoise.io.decoder_process import end_processes
end_processes()
print(json.dumps({
    "said": said, "seconds": seconds,
    "own": peak(resource.RUSAGE_SELF) - own, "decoder": peak(resource.RUSAGE_CHILDREN),
}))
"""


def refused_within(folder: Path, *, own_mebibytes: int, decoder_mebibytes: int = 0) -> str:
    """The refusal of a folder, read in a process whose memory is measured."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, folder],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    result = json.loads(done.stdout)
    assert result["own"] < own_mebibytes * MEBIBYTE, result
    assert result["decoder"] <= decoder_mebibytes * MEBIBYTE, result
    assert result["seconds"] < 60, result
    assert result["said"], "it was read"
    return str(result["said"])


def one_slice(syntax: str | None = None) -> bytes:
    dataset = ct_series(marked_volume(slices=1))[0]
    return as_bytes(dataset) if syntax is None else as_bytes(dataset, syntax)


def with_element(element: bytes) -> bytes:
    """A slice with an element before its pixels that the dictionary does not know."""
    data = one_slice()
    start = data.index(b"\xe0\x7f\x10\x00")
    return data[:start] + element + data[start:]


def test_a_length_of_four_gigabytes_costs_what_the_file_has(tmp_path: Path) -> None:
    element = b"\x51\x00\x01\x10UT\0\0" + (0xFFFFFFF0).to_bytes(4, "little")
    (tmp_path / "a.dcm").write_bytes(with_element(element))
    refused_within(tmp_path, own_mebibytes=16)


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(with_element(b"\x51\x00\x01\x10UT\0\0" + (3 << 30).to_bytes(4, "little")))
    os.truncate(path, 4 << 30)  # no blocks on the disk
    assert "larger than that of any CT" in refused_within(tmp_path, own_mebibytes=80)


def test_millions_of_elements_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(with_element(b"\x51\x00\x01\x10LO\0\0" * 3_000_000))
    assert "more elements" in refused_within(tmp_path, own_mebibytes=128)


def test_millions_of_items_are_not_made(tmp_path: Path) -> None:
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 1_500_000
    sequence = b"\x00\x52\x30\x92SQ\0\0" + len(items).to_bytes(4, "little") + items
    (tmp_path / "a.dcm").write_bytes(with_element(sequence))
    assert "more sequence items" in refused_within(tmp_path, own_mebibytes=128)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Rows": 4096, "Columns": 4096}, "shorter than its header says"),
        ({"Rows": 65535, "Columns": 65535}, "more than CT has"),
        ({"NumberOfFrames": "20000"}, "shorter than its header says"),
        ({"NumberOfFrames": "999999999999"}, "more than CT has"),
    ],
)
def test_a_forged_size_is_refused(tmp_path: Path, values: dict[str, object], reason: str) -> None:
    dataset = ct_series(marked_volume(slices=1))[0]
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    (tmp_path / "a.dcm").write_bytes(as_bytes(dataset))
    assert reason in refused_within(tmp_path, own_mebibytes=16)


def test_frames_of_an_enhanced_object_that_are_not_there_are_refused(tmp_path: Path) -> None:
    dataset = multi_frame(marked_volume(slices=3))
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 3]
    (tmp_path / "a.dcm").write_bytes(as_bytes(dataset))
    assert "shorter than its header says" in refused_within(tmp_path, own_mebibytes=16)


def encapsulated(frame: bytes, syntax: str, data: bytes) -> bytes:
    """A slice whose only fragment is another one."""
    start = data.index(b"\xe0\x7f\x10\x00")
    header = data[: start + 12]
    frame += b"\0" * (len(frame) % 2)
    item = b"\xfe\xff\x00\xe0"
    return (
        header
        + item
        + bytes(4)
        + item
        + len(frame).to_bytes(4, "little")
        + frame
        + b"\xfe\xff\xdd\xe0\0\0\0\0"
    )


def test_an_rle_bomb_is_refused_before_it_is_inflated(tmp_path: Path) -> None:
    segments = b"".join(n.to_bytes(4, "little") for n in (2, 64, 64 + 20 * MEBIBYTE)) + bytes(52)
    bomb = segments + b"\x81\x00" * (20 * MEBIBYTE)  # a run of 128 for every two bytes
    (tmp_path / "a.dcm").write_bytes(encapsulated(bomb, RLELossless, one_slice(RLELossless)))
    said = refused_within(tmp_path, own_mebibytes=160)
    assert "another size than its header says" in said or "larger than its header" in said


def forged_j2k(change: Callable[[bytearray, int], None]) -> bytes:
    data = bytearray(one_slice(JPEG2000Lossless))
    change(data, data.index(b"\xff\x4f\xff\x51"))
    return bytes(data)


def _one_pixel_tiles(data: bytearray, start: int) -> None:
    data[start + 24 : start + 32] = b"\0\0\0\1" * 2


def _sixteen_thousand_components(data: bytearray, start: int) -> None:
    data[start + 40 : start + 42] = (16384).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_one_pixel_tiles, "different size|too many tiles"), (_sixteen_thousand_components, "kind")],
)
def test_a_forged_j2k_stream_never_reaches_a_decoder(
    tmp_path: Path, change: Callable[[bytearray, int], None], reason: str
) -> None:
    volume = marked_volume(slices=1, size=(80, 80))
    data = bytearray(as_bytes(ct_series(volume)[0], JPEG2000Lossless))
    change(data, data.index(b"\xff\x4f\xff\x51"))
    (tmp_path / "a.dcm").write_bytes(bytes(data))
    said = refused_within(tmp_path, own_mebibytes=16)
    assert any(part in said for part in reason.split("|"))


def test_a_volume_larger_than_the_memory_is_refused_and_its_slices_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = marked_volume(slices=6)
    series_files(tmp_path, ct_series(volume))
    slice_bytes = 4 * volume.shape[1] * volume.shape[2]
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 * slice_bytes)
    assert "GB of memory are needed at once" in refusal_of(tmp_path)
    with open_series(tmp_path) as reader:
        assert reader.read(slice(0, 5)).shape[0] == 5


def test_pipes_devices_and_loops_in_a_folder_do_not_stop_it(tmp_path: Path) -> None:
    series_files(tmp_path / "study", ct_series(marked_volume()))
    os.mkfifo(tmp_path / "study" / "0000.dcm")
    (tmp_path / "study" / "zero.dcm").symlink_to("/dev/zero")
    (tmp_path / "study" / "again").symlink_to(tmp_path / "study")
    (tmp_path / "study" / "itself").symlink_to(tmp_path / "study" / "itself")
    (tmp_path / "study" / "gone").symlink_to(tmp_path / "nowhere")
    assert read_volume(tmp_path / "study").shape[0] == 6


@pytest.mark.parametrize("name", ["pipe.dcm", "pipe.nii", "pipe.mha", "pipe.nrrd", "DICOMDIR"])
def test_a_pipe_is_no_study(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(StudyError):
        find_series(tmp_path / name)


def test_a_folder_that_cannot_be_opened_is_said_and_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    series_files(tmp_path, ct_series(marked_volume()))
    (tmp_path / "Someone").mkdir()
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("Someone"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with caplog.at_level(logging.WARNING):
        assert len(find_series(tmp_path)) == 1
    assert "left out (Permission denied)" in caplog.text
    assert "Someone" not in caplog.text


def test_a_file_that_changes_after_it_was_listed_is_refused(tmp_path: Path) -> None:
    paths = series_files(tmp_path, ct_series(marked_volume()))
    (found,) = find_series(tmp_path)

    def other(dataset: Dataset, index: int) -> None:
        dataset.RescaleSlope = "2"

    paths[2].write_bytes(as_bytes(ct_series(marked_volume(), edit=other)[2]))
    with pytest.raises(StudyError, match=r"changed since it was listed \(1 of 6: 0003.dcm\)"):
        read_volume(found)


def test_a_file_whose_other_attributes_change_is_still_read(tmp_path: Path) -> None:
    paths = series_files(tmp_path, ct_series(marked_volume()))
    (found,) = find_series(tmp_path)

    def other(dataset: Dataset, index: int) -> None:
        dataset.StudyDescription = "Thorax, with contrast"

    paths[2].write_bytes(as_bytes(ct_series(marked_volume(), edit=other)[2]))
    assert (read_volume(found).hu == marked_volume().hu).all()


def test_a_file_that_was_cut_after_it_was_listed_is_refused(tmp_path: Path) -> None:
    paths = series_files(tmp_path, ct_series(marked_volume()))
    (found,) = find_series(tmp_path)
    os.truncate(paths[4], paths[4].stat().st_size - 10)
    with pytest.raises(StudyError, match=r"incomplete \(1 of 6: 0005.dcm\)"):
        read_volume(found)
