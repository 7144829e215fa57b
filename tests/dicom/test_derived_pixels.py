"""Stored values of a derived series: on the scale of the source, padding left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, derive, read_source

SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_the_same_hu_give_the_same_stored_values_in_every_syntax(
    tmp_path: Path, syntax: str, signed: bool
) -> None:
    options = {"syntax": syntax, "signed": signed, "intercept": -24.0 if signed else -1024.0}
    sources, derived = derive(tmp_path, **options)
    for source, one in zip(sources, derived, strict=True):
        assert one.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert np.array_equal(one.pixel_array, source.pixel_array)
        assert "LossyImageCompression" not in one


@pytest.mark.parametrize("slope", [0.1, 0.5, 2.0, (1.0, 0.25, 3.7)])
def test_each_slice_is_stored_on_its_own_scale(
    tmp_path: Path, slope: float | tuple[float, ...]
) -> None:
    sources, derived = derive(tmp_path, slope=slope)
    for source, one in zip(sources, derived, strict=True):
        assert np.array_equal(one.pixel_array, source.pixel_array)
        assert one.RescaleSlope == source.RescaleSlope


def test_new_hu_are_stored_to_half_a_step(tmp_path: Path) -> None:
    volume = read_source(tmp_path / "source", slope=0.5)
    noise = np.random.default_rng(0).normal(0.0, 30.0, volume.shape).astype(np.float32)
    write_series(volume.with_hu(volume.hu + noise, DENOISE), tmp_path / "out")
    back = read_volume(tmp_path / "out")
    expected = np.clip(volume.hu + noise, -1024.0, None)
    assert np.abs(back.hu - expected).max() <= 0.25 + 1e-4


def test_a_lossy_source_marks_the_derived_images_for_ever(tmp_path: Path) -> None:
    volume = marked_volume(slices=2, size=(16, 16))
    datasets = ct_series(volume)
    folder = tmp_path / "source"
    paths = series_files(folder, datasets)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
        for keyword in ("LossyImageCompression", "LossyImageCompressionRatio"):
            if keyword in dataset:
                del dataset[keyword]
        if "LossyImageCompressionMethod" in dataset:
            del dataset.LossyImageCompressionMethod
        dataset.save_as(path)
    (first, *_) = write_series(read_volume(folder).with_step(DENOISE), tmp_path / "one")
    one = pydicom.dcmread(first)
    assert one.LossyImageCompression == "01"
    assert one.LossyImageCompressionMethod == "ISO_14495_1"
    assert one.LossyImageCompressionRatio > 0
    (second, *_) = write_series(read_volume(tmp_path / "one").with_step(DENOISE), tmp_path / "two")
    two = pydicom.dcmread(second)
    assert two.LossyImageCompression == "01"
    assert two.LossyImageCompressionMethod == "ISO_14495_1"


@pytest.mark.parametrize("signed", [True, False])
def test_padding_comes_back_bit_for_bit_and_no_pixel_joins_it(tmp_path: Path, signed: bool) -> None:
    volume = marked_volume(slices=2, size=(16, 24))
    padding = np.zeros(volume.shape, dtype=bool)
    padding[:, :3] = True
    value, intercept = (-2000, -24.0) if signed else (0, -1024.0)
    source = read_source(
        tmp_path / "source",
        volume=replace(volume, padding=padding),
        padding_value=value,
        signed=signed,
        intercept=intercept,
    )
    assert source.padding is not None
    hu = np.full(source.shape, value + intercept, dtype=np.float32)  # all land on the padding value
    paths = write_series(source.with_hu(hu, DENOISE), tmp_path / "out")
    for index, path in enumerate(paths):
        stored = pydicom.dcmread(path).pixel_array
        assert (stored[source.padding[index]] == value).all()
        assert (stored[~source.padding[index]] != value).all()
    back = read_volume(tmp_path / "out")
    assert np.array_equal(back.padding, source.padding)
