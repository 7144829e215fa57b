from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.provenance import Step, history_digest
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, InputError
from tests.builders import water_disc


def padded():
    geometry = Geometry.axial((2, 3, 3), pixel_spacing_mm=1.0, slice_spacing_mm=1.0)
    hu = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    padding = np.zeros(hu.shape, dtype=bool)
    padding[:, 0, 0] = True
    return CTVolume(hu, geometry, padding=padding)


def test_new_voxels_leave_padding_alone_and_add_a_line_of_history():
    before = padded()
    after = before.with_hu(np.full(before.shape, 7.0, np.float32), Step("denoise", {"strength": 1}))
    np.testing.assert_array_equal(after.hu[before.padding], before.hu[before.padding])
    assert (after.hu[~before.padding] == 7.0).all()
    assert [step.name for step in after.history] == ["denoise"]
    assert before.history == ()


def test_voxels_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        padded().hu[0, 0, 0] = 1.0


def test_a_mask_without_padding_is_no_mask():
    volume = water_disc()
    empty = np.zeros(volume.shape, dtype=bool)
    assert CTVolume(volume.hu, volume.geometry, padding=empty).padding is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_numbers_are_refused(bad):
    volume = water_disc()
    hu = volume.hu.copy()
    hu[1, 2, 3] = bad
    with pytest.raises(InputError, match="not finite"):
        CTVolume(hu, volume.geometry)


def test_shapes_must_agree():
    volume = water_disc(slices=3)
    with pytest.raises(GeometryError, match="do not fit"):
        CTVolume(volume.hu[:2], volume.geometry)
    with pytest.raises(InputError, match="float32"):
        CTVolume(volume.hu.astype(np.float64), volume.geometry)


def test_selected_slices_keep_what_belongs_to_them():
    instances = tuple(SourceInstance(path=f"{i}.dcm") for i in range(4))
    base = water_disc(slices=4)
    volume = CTVolume(
        base.hu,
        base.geometry,
        Acquisition(exposure_mas=(1.0, 2.0, 3.0, 4.0)),
        SourceSeries("dicom", instances),
    )
    some = volume.select(slice(1, 3))
    assert some.shape[0] == 2
    assert some.acquisition.exposure_mas == (2.0, 3.0)
    assert [i.path for i in some.source.instances] == ["1.dcm", "2.dcm"]
    np.testing.assert_array_equal(some.geometry.positions_mm, volume.geometry.positions_mm[1:3])


def test_equal_histories_have_equal_digests():
    a = (Step("denoise", {"strength": 0.5, "model": "x"}),)
    b = (Step("denoise", {"model": "x", "strength": 0.5}),)
    c = (Step("denoise", {"model": "x", "strength": 0.6}),)
    assert history_digest(a) == history_digest(b) != history_digest(c)


def test_a_step_holds_plain_json_only_and_cannot_be_changed():
    with pytest.raises((TypeError, ValueError)):
        Step("x", {"a": object()})
    with pytest.raises(ValueError, match="JSON"):
        Step("x", {"a": float("nan")})
    with pytest.raises(TypeError):
        Step("x", {"a": 1}).params["a"] = 2


def test_a_pair_refuses_different_grids_and_impossible_doses():
    volume = water_disc()
    with pytest.raises(GeometryError, match="different grids"):
        Pair(volume, water_disc(slice_spacing_mm=1.0), Exposure(0.5, 1e5))
    with pytest.raises(GeometryError, match="Labels"):
        Pair(volume, volume, Exposure(0.5, 1e5), labels=np.zeros((1, 2, 3), np.uint8))
    for fraction in (0.0, -0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="dose fraction"):
            Exposure(fraction, 1e5)
