"""MetaImage and NRRD go through every command as NIfTI does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.io.image_files import is_compressed
from ctdenoise.io.image_writer import write_image
from ctdenoise.io.pairs import find_pairs, read_pair
from ctdenoise.io.read import read_volume
from ctdenoise.tasks import every_series, infer, inspect, simulate
from tests.builders import water_disc
from tests.dicom.builders import ct_series, series_files


@pytest.mark.parametrize(("name", "kind"), [("scan.mha", "mha"), ("scan.nrrd", "nrrd")])
@pytest.mark.parametrize("packed", [False, True])
def test_infer_gives_the_format_and_compression_of_the_source(
    tmp_path: Path, name: str, kind: str, packed: bool
) -> None:
    volume = water_disc(slices=3, size=48, noise_hu=20.0)
    source = write_image(volume, tmp_path / name, packed=packed)
    infer.run(source, model="identity", settings=InferSettings(), out=tmp_path / "out")
    result = tmp_path / "out" / f"image.{kind}"
    assert is_compressed(result) is packed
    np.testing.assert_array_equal(read_volume(result).hu, np.rint(volume.hu))
    assert read_volume(result).geometry.matches(volume.geometry)


@pytest.mark.parametrize("kind", ["mha", "nrrd"])
def test_infer_writes_dicom_as_the_format_asked_for(tmp_path: Path, kind: str) -> None:
    volume = water_disc(slices=3, size=48)
    series_files(tmp_path / "study", ct_series(volume))
    infer.run(
        tmp_path / "study",
        model="identity",
        settings=InferSettings(),
        out=tmp_path / "out",
        file_format=kind,
    )
    result = sitk.ReadImage(str(tmp_path / "out" / f"image.{kind}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result), volume.hu)


def test_pairs_are_made_of_a_metaimage(tmp_path: Path) -> None:
    volume = water_disc(slices=3, size=48, noise_hu=8.0)
    source = write_image(volume, tmp_path / "scan.mha", packed=True)
    settings = SimulateSettings(dose=0.5, mode="image_domain")
    simulate.run(source, settings, out=tmp_path / "pair", seed=1)
    (files,) = find_pairs([tmp_path / "pair"])
    np.testing.assert_array_equal(read_pair(files).full.hu, np.rint(volume.hu))


def test_raw_files_under_equal_headers_are_different_series(tmp_path: Path) -> None:
    names = set()
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        values = np.random.default_rng(seed).integers(-1000, 1000, (3, 8, 8)).astype(np.int16)
        sitk.WriteImage(sitk.GetImageFromArray(values), str(folder / "a.mhd"))
        (found,) = inspect.run(folder)
        assert (found.kind, found.slices) == ("mha", 3)
        names.add(every_series.series_folder(found))
    assert len(names) == 2
