"""Multi-frame objects grow block by block, and a run that was killed goes on to the same bytes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.growing import Mark
from ctdenoise.io.read import open_series, read_volume
from ctdenoise.io.series_writer import SeriesWriter
from tests.dicom.builders import marked_volume
from tests.dicom.deriving import DENOISE
from tests.dicom.multi_frames import Stored, multi_frame_ct, object_file, small_volume

SYNTAXES = ["explicit", "implicit", "deflated", "rle", "jpeg-ls"]


@pytest.fixture
def alternating(tmp_path: Path) -> CTVolume:
    """Two objects with padding whose slices alternate, with what was done to them."""
    volume = small_volume(8, padded=True)
    for number, which in enumerate(([6, 0, 2, 4], [1, 3, 5, 7])):
        part = multi_frame_ct(
            volume, name=str(number), order=which, stored=Stored(padding_value=63536)
        )
        object_file(tmp_path / "source", part, name=f"object{number}")
    return read_volume(tmp_path / "source").with_step(DENOISE)


def writer(volume: CTVolume, folder: Path, syntax: str) -> SeriesWriter:
    folder.mkdir(exist_ok=True)
    settings = DicomSettings(transfer_syntax=syntax)
    return SeriesWriter(volume, folder, settings=settings, posix_s=1_700_000_000)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def written(volume: CTVolume, folder: Path, syntax: str, ends: list[int]) -> list[Mark]:
    """Write in blocks; the mark after each."""
    one, marks = writer(volume, folder, syntax), []
    for start, end in zip([0, *ends], [*ends, 8], strict=True):
        one.write(volume.select(slice(start, end)))
        marks.append(one.mark())
    return marks


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_blocks_of_any_size_give_the_same_files(
    tmp_path: Path, alternating: CTVolume, syntax: str
) -> None:
    whole = written(alternating, tmp_path / "whole", syntax, [])
    parts = written(alternating, tmp_path / "parts", syntax, [1, 4, 6])
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
    assert whole[-1] == parts[-1]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("killed_after", [1, 3, 7, 8])
def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, alternating: CTVolume, syntax: str, killed_after: int
) -> None:
    ends = [1, 3, 5, 7]
    marks = written(alternating, tmp_path / "whole", syntax, ends)
    first = writer(alternating, tmp_path / "killed", syntax)
    first.write(alternating.select(slice(0, killed_after)))
    again = writer(alternating, tmp_path / "killed", syntax)
    known = [mark for mark in marks if mark.length <= killed_after]
    count = again.whole_marks(known)
    # Deflated data cannot be gone on with: all is done again.
    assert count == (0 if syntax == "deflated" else len(known))
    again.cut_to(known[count - 1] if count else None)
    done = known[count - 1].length if count else 0
    if done < 8:
        again.write(alternating.select(slice(done, 8)))
    assert again.mark() == marks[-1]
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("syntax", ["explicit", "rle"])
def test_damage_is_not_believed(tmp_path: Path, alternating: CTVolume, syntax: str) -> None:
    marks = written(alternating, tmp_path / "out", syntax, [2, 4, 6])
    path = tmp_path / "out" / "00002.dcm"
    data = bytearray(path.read_bytes())
    data[-10] ^= 1  # in the last frame of the second object
    path.write_bytes(data)
    again = writer(alternating, tmp_path / "out", syntax)
    assert again.whole_marks(marks) == 3
    path.write_bytes(bytes(200) + path.read_bytes()[200:])
    assert again.whole_marks(marks) == 0


@pytest.mark.parametrize("syntax", ["explicit", "rle"])
def test_the_end_of_a_complete_file_is_written_again(
    tmp_path: Path, alternating: CTVolume, syntax: str
) -> None:
    marks = written(alternating, tmp_path / "out", syntax, [4])
    whole = contents(tmp_path / "out")
    path = tmp_path / "out" / "00001.dcm"
    path.write_bytes(whole["00001.dcm"] + b"left over")
    again = writer(alternating, tmp_path / "out", syntax)
    assert again.whole_marks(marks) == 2
    again.cut_to(marks[-1])
    assert contents(tmp_path / "out") == whole


def test_a_file_that_is_not_ours_goes_and_a_missing_one_is_noticed(
    tmp_path: Path, alternating: CTVolume
) -> None:
    marks = written(alternating, tmp_path / "out", "explicit", [4])
    (tmp_path / "out" / "other.dcm").write_bytes(b"left by something else")
    (tmp_path / "out" / "00002.dcm").unlink()
    again = writer(alternating, tmp_path / "out", "explicit")
    assert again.whole_marks(marks) == 0
    again.cut_to(None)
    assert not contents(tmp_path / "out")


@pytest.mark.parametrize("syntax", ["explicit", "deflated", "rle"])
def test_memory_does_not_grow_with_the_object(tmp_path: Path, syntax: str) -> None:
    volume = marked_volume(slices=24, size=(256, 256))
    dataset = multi_frame_ct(volume, stored=Stored(padding_value=63536))
    path = object_file(tmp_path / "source", dataset)
    with open_series(path) as reader:
        one = writer(reader.read(slice(None)).with_step(DENOISE), tmp_path / "out", syntax)
        tracemalloc.start()
        for index in range(24):
            one.write(reader.read([index]))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * 256 * 256 * 4 + 2**20  # some slices and the header; the object has 3 MB
    assert (read_volume(tmp_path / "out").hu == volume.hu).all()
