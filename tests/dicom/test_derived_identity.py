"""Nothing done to the voxels is nothing done to the stored values, on real files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series

IDENTITY = Step("denoise", {"model": "identity", "strength": 1.0})

SERIES = [
    "siemens_chest",
    "ge_abdomen",
    "philips_chest",
    "philips_head_phantom_5mm_UB",
    "philips_head_phantom_1mm_UB",
    "philips_head_phantom_1mm_YA",
]
ENCODINGS = ("UNC", "RLE", "JPLL", "JLSL", "JLSN", "J2KR", "J2KI")
NEMA = [f"CT{number}_{encoding}" for number in (1, 2) for encoding in ENCODINGS]

pytestmark = pytest.mark.ctdata


def assert_identical(volume: CTVolume, out: Path) -> None:
    paths = write_series(volume.with_step(IDENTITY), out)
    assert volume.source is not None
    assert len(paths) == len(volume.source.instances)
    for path, instance in zip(paths, volume.source.instances, strict=True):
        source, result = pydicom.dcmread(instance.path), pydicom.dcmread(path)
        assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert result.ImagePositionPatient == source.ImagePositionPatient
        unused = source.BitsAllocated - source.BitsStored
        words = [np.left_shift(one.pixel_array, unused) for one in (source, result)]
        assert words[0].dtype.itemsize == words[1].dtype.itemsize
        assert np.array_equal(*words)
    back = read_volume(out)
    assert np.array_equal(back.hu, volume.hu)
    assert back.geometry.matches(volume.geometry)
    assert (back.padding is None) == (volume.padding is None)
    if volume.padding is not None:
        assert np.array_equal(back.padding, volume.padding)


@pytest.mark.parametrize("name", SERIES)
def test_a_series_comes_back_bit_for_bit(ctdata: Path, tmp_path: Path, name: str) -> None:
    assert_identical(read_volume(ctdata / "series" / name), tmp_path / "out")


def test_a_tilted_uneven_series_comes_back_bit_for_bit(ctdata: Path, tmp_path: Path) -> None:
    volume = read_volume(ctdata / "zoo" / "ge_head_tilt_uneven_gaps")
    assert volume.geometry.tilt_degrees > 15
    assert_identical(volume, tmp_path / "out")


@pytest.mark.parametrize("name", NEMA)
def test_every_transfer_syntax_comes_back_bit_for_bit(
    ctdata: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    shutil.copy(ctdata / "zoo" / "nema_transfer_syntaxes" / name, folder)
    assert_identical(read_volume(folder), tmp_path / "out")
    one = pydicom.dcmread(tmp_path / "out" / "00001.dcm")
    lossy = name.endswith(("JLSN", "J2KI"))
    assert (one.get("LossyImageCompression") == "01") is lossy
