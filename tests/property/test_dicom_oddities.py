"""A series with any combination of oddities is read right at the right place, or refused in words.

The generator knows the truth: every Hounsfield unit and where it lies in the patient.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import pydicom
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import StudyError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import FoundSeries, find_series
from ctdenoise.io.write import write_series
from tests.dicom.builders import as_bytes, ct_series, uid

IDENTITY = Step("denoise", {"model": "identity", "strength": 1.0})
SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless),
)
WITHOUT_META = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
SIZE = (33, 40)
SPOILS = ("truncated", "header cut", "no position", "no spacing", "slope zero", "no pixels")


@dataclass(frozen=True)
class Study:
    """Files, and what they hold.

    Args:
        files: Bytes of every file by name.
        truth: Every stack that they hold.
        spoilt: What was done to one of the files, if anything.
    """

    files: dict[str, bytes]
    truth: list[CTVolume]
    spoilt: str | None


@st.composite
def geometries(draw: st.DrawFn, size: tuple[int, int] = SIZE) -> Geometry:
    """Slices in any of the usual orientations, tilted, unevenly spaced, with gaps, or one only."""
    row, column = draw(
        st.sampled_from(
            (
                ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
                ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
                ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
                ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
                ((1.0, 0.0, 0.0), (0.0, 0.6, 0.8)),
            )
        )
    )
    spacing = draw(st.sampled_from((0.6, 1.0, 2.5, 5.0)))
    steps = draw(st.lists(st.sampled_from((1, 1, 1, 1, 2, 3, 1.3)), max_size=5))
    along = spacing * np.cumsum([0.0, *steps])
    tilt = draw(st.sampled_from((0.0, 0.0, 0.3, -0.4)))
    advance = np.cross(row, column) + tilt * np.array(column)
    first = np.array(draw(st.sampled_from(((0.0, 0.0, 0.0), (-120.5, 33.25, -410.0)))))
    return Geometry(*size, (0.75, 0.5), row, column, first + along[:, None] * advance)


@st.composite
def volumes(draw: st.DrawFn, geometry: Geometry, *, signed: bool, bits: int) -> tuple:
    """Hounsfield units on a grid, with the rescale of each slice and what means padding."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    slope = st.sampled_from((1.0, 0.5, 2.0, 1.25, 0.731))
    one = draw(slope)
    slopes = draw(
        st.one_of(
            st.just([one] * geometry.slices),
            st.lists(slope, min_size=geometry.slices, max_size=geometry.slices),
        )
    )
    intercept = draw(st.sampled_from((-1024.0, 0.0, -1000.5)))
    top = 1 << bits - 1
    low, high = (-top + 1, top) if signed else (1, 2 * top)
    stored = rng.integers(max(low, -2000), min(high, 4000), geometry.shape)
    padding, mask = draw(st.sampled_from((None, -top if signed else 0))), None
    if padding is not None:
        mask = rng.random(geometry.shape) < 0.2
        stored[mask] = padding
    factors = np.array([float(f"{value:g}") for value in slopes])[:, None, None]
    hu = (stored * factors + intercept).astype(np.float32)
    mask = None if mask is None or not mask.any() else mask
    return CTVolume(hu, geometry, padding=mask), slopes, intercept, padding


@st.composite
def stacks(draw: st.DrawFn, geometry: Geometry, number: int) -> tuple[CTVolume, list[Dataset]]:
    """One stack and its instances, in the order of the patient."""
    signed, bits = draw(st.booleans()), draw(st.sampled_from((12, 16)))
    volume, slopes, intercept, padding = draw(volumes(geometry, signed=signed, bits=bits))
    garbage = draw(st.booleans()) and bits == 12
    instance_numbers = draw(
        st.sampled_from(("ascending", "descending", "equal", "missing", "empty"))
    )

    def edit(dataset: Dataset, index: int) -> None:
        dataset.SOPInstanceUID = uid("oddity", number, index)
        dataset.AcquisitionNumber = str(number)
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        words = np.frombuffer(dataset.PixelData, "<u2") & ((1 << bits) - 1)
        if garbage:
            words = words | np.uint16(0xA000)
        elif signed:  # the sign fills the word
            shift = 16 - bits
            words = np.right_shift(np.left_shift(words, shift).view("<i2"), shift).view("<u2")
        dataset.PixelData = words.tobytes()
        match instance_numbers:
            case "descending":
                dataset.InstanceNumber = str(1000 - index)
            case "equal":
                dataset.InstanceNumber = "7"
            case "missing":
                del dataset.InstanceNumber
            case "empty":
                dataset.InstanceNumber = ""

    datasets = ct_series(
        volume, slope=slopes, intercept=intercept, signed=signed, padding_value=padding, edit=edit
    )
    return volume, datasets


@st.composite
def studies(draw: st.DrawFn) -> Study:
    """One or two stacks of a series, under any names, some files twice, one of them spoilt."""
    geometry = draw(geometries())
    truth, datasets = [], []
    for number in range(1, draw(st.sampled_from((1, 1, 2))) + 1):
        if number == 2 and draw(st.booleans()):  # another matrix instead of another phase
            geometry = replace(geometry, rows=SIZE[1], columns=SIZE[1])
        volume, instances = draw(stacks(geometry, number))
        truth.append(volume)
        datasets += instances
    syntaxes = draw(st.one_of(*(st.just([s]) for s in SYNTAXES), st.just(list(SYNTAXES))))
    spoilt = draw(st.sampled_from((None, None, None, *SPOILS)))
    victim = draw(st.integers(0, len(datasets) - 1))
    contents = [
        _encoded(dataset, syntaxes[index % len(syntaxes)], draw, spoilt, is_victim=index == victim)
        for index, dataset in enumerate(datasets)
    ]
    if draw(st.booleans()) and spoilt is None:
        contents.append(contents[victim])  # the same file twice
    suffix = draw(st.sampled_from((".dcm", "", ".IMA", ".1")))
    names = [f"IM{index:03d}{suffix}" for index in range(len(contents))]
    Random(draw(st.integers(0, 99))).shuffle(names)
    return Study(dict(zip(names, contents, strict=True)), truth, spoilt)


def _encoded(
    dataset: Dataset, syntax: str, draw: st.DrawFn, spoilt: str | None, *, is_victim: bool
) -> bytes:
    if is_victim:
        match spoilt:
            case "no position":
                del dataset.ImagePositionPatient
            case "no spacing":
                del dataset.PixelSpacing
            case "slope zero":
                dataset.RescaleSlope = "0"
    compressed = syntax not in SYNTAXES[:4]
    if compressed and dataset.BitsStored == 12:  # encoders refuse bits above those stored
        dataset.PixelData = _clean(dataset)
    meta = syntax not in WITHOUT_META or draw(st.booleans())
    data = as_bytes(dataset, syntax, file_meta=meta)
    if not is_victim:
        return data
    match spoilt:
        case "truncated":
            return data[: -len(data) // 8]
        case "header cut":
            return data[: draw(st.integers(150, 400))]
        case "no pixels":
            del dataset.PixelData
            return as_bytes(dataset, SYNTAXES[0], file_meta=True)
    return data


def _clean(dataset: Dataset) -> bytes:
    words = np.left_shift(np.frombuffer(dataset.PixelData, "<u2"), 4)
    view = words.view("<i2") if dataset.PixelRepresentation else words
    return np.right_shift(view, 4).tobytes()


@given(study=studies())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_odd_series_is_read_right_at_the_right_place_or_refused(study: Study) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "source"
        folder.mkdir()
        for file, data in study.files.items():
            (folder / file).write_bytes(data)
        found = _found(folder)
        readable = [series for series in found if series.readable]
        refused = [series for series in found if not series.readable]
        assert all(series.problems for series in refused)
        left = list(study.truth)
        for number, series in enumerate(readable):
            volume = read_volume(series)
            match = [one for one in left if _same(volume, one)]
            assert match, (study.spoilt, volume.shape, [str(note) for note in series.notes])
            left.remove(match[0])
            _assert_identity(volume, Path(name) / f"derived{number}")
        if study.spoilt is None:
            assert not left, [series.problems for series in refused]
        else:
            assert refused or not found, study.spoilt
        event(f"{len(readable)} read, {len(refused)} refused, {study.spoilt or 'nothing'} spoilt")


def _found(folder: Path) -> tuple[FoundSeries, ...]:
    """Every series; none where a folder of one damaged file is refused as a whole."""
    try:
        return find_series(folder)
    except StudyError:
        return ()


def _same(read: CTVolume, written: CTVolume) -> bool:
    if read.shape != written.shape or not read.geometry.matches(written.geometry):
        return False
    near = np.allclose(read.geometry.positions_mm, written.geometry.positions_mm, rtol=0, atol=1e-6)
    masks = [
        np.zeros(one.shape, bool) if one.padding is None else one.padding for one in (read, written)
    ]
    return near and np.array_equal(read.hu, written.hu) and np.array_equal(*masks)


def _assert_identity(volume: CTVolume, out: Path) -> None:
    """What was read and derived unchanged has the stored bits of its source."""
    paths = write_series(volume.with_step(IDENTITY), out)
    assert volume.source is not None
    for path, instance in zip(paths, volume.source.instances, strict=True):
        source, result = pydicom.dcmread(instance.path, force=True), pydicom.dcmread(path)
        assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    back = read_volume(out)
    assert np.array_equal(back.hu, volume.hu)
    assert np.array_equal(back.geometry.positions_mm, volume.geometry.positions_mm)
    assert (back.padding is None) == (volume.padding is None)
    assert volume.padding is None or np.array_equal(back.padding, volume.padding)
