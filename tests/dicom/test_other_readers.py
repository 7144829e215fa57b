"""Other people's readers see in a derived series what we wrote, where we wrote it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.readers import Voxels, by_dcm2niix, by_highdicom, by_simpleitk

DENOISE = Step("denoise", {"model": "redcnn", "model_digest": "0123456789ab", "strength": 1.0})

REGULAR = ["series/siemens_chest", "series/ge_abdomen", "series/philips_chest"]
TILTED = ["zoo/ge_head_tilt_uneven_gaps", "zoo/philips_tilted_with_scout"]

pytestmark = pytest.mark.ctdata


def derived(source: Path, out: Path, transfer_syntax: str = "explicit") -> CTVolume:
    """Five slices with other values, written; what they hold by our own reader."""
    volume = read_volume(source)
    part = volume.select(slice(5, 10))
    noise = np.random.default_rng(0).normal(0, 8, part.shape).astype(np.float32)
    settings = DicomSettings.model_validate({"transfer_syntax": transfer_syntax})
    write_series(part.with_hu(part.hu + noise, DENOISE), out, settings=settings)
    return read_volume(out)


def assert_same(voxels: Voxels, ours: CTVolume) -> None:
    values, affine = voxels
    np.testing.assert_allclose(values, ours.hu, rtol=0, atol=1e-3)
    np.testing.assert_allclose(affine, ours.geometry.affine(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("syntax", ["explicit", "deflated", "rle", "jpeg-ls", "jpeg2000"])
def test_simpleitk_reads_every_syntax_as_we_do(ctdata: Path, tmp_path: Path, syntax: str) -> None:
    ours = derived(ctdata / REGULAR[0], tmp_path / "out", syntax)
    assert_same(by_simpleitk(tmp_path / "out"), ours)


@pytest.mark.parametrize("name", REGULAR)
def test_simpleitk_reads_a_derived_series_as_we_do(ctdata: Path, tmp_path: Path, name: str) -> None:
    ours = derived(ctdata / name, tmp_path / "out")
    assert_same(by_simpleitk(tmp_path / "out"), ours)


@pytest.mark.parametrize("name", [*REGULAR[:2], "series/philips_head_phantom_1mm_UB"])
def test_highdicom_reads_a_derived_series_as_we_do(ctdata: Path, tmp_path: Path, name: str) -> None:
    """Not the chest by Philips: its anonymiser gave every slice a frame of reference of its own,
    which highdicom refuses in source and result alike."""
    ours = derived(ctdata / name, tmp_path / "out")
    assert_same(by_highdicom(tmp_path / "out"), ours)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
@pytest.mark.parametrize("name", REGULAR)
def test_dcm2niix_reads_a_derived_series_as_we_do(ctdata: Path, tmp_path: Path, name: str) -> None:
    ours = derived(ctdata / name, tmp_path / "out")
    values, affine = by_dcm2niix(tmp_path / "out", tmp_path / "nifti")
    padding = np.zeros(ours.shape, bool) if ours.padding is None else ours.padding
    np.testing.assert_allclose(values[~padding], ours.hu[~padding], rtol=0, atol=1e-3)
    np.testing.assert_allclose(affine, ours.geometry.affine(), rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", TILTED)
def test_a_reader_places_a_tilted_derived_series_where_it_places_its_source(
    ctdata: Path, tmp_path: Path, name: str
) -> None:
    """SimpleITK forgets the shear of both alike: what it says of one it says of the other."""
    source = read_volume(ctdata / name)
    assert source.source is not None
    shutil.copytree(source.source.instances[0].path.parent, tmp_path / "source")
    chosen = [instance.path.name for instance in source.source.instances]
    for path in (tmp_path / "source").iterdir():
        if path.name not in chosen:
            path.unlink()
    write_series(source.with_step(DENOISE), tmp_path / "out")
    before, after = by_simpleitk(tmp_path / "source"), by_simpleitk(tmp_path / "out")
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])
