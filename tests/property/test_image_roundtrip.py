"""Writing an image file and reading it back gives the same volume, whatever its orientation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.image_reader import read_image
from ctdenoise.io.image_writer import write_image

POSITIONS_MM = st.floats(-500.0, 500.0, allow_nan=False)
SPACINGS_MM = st.floats(0.2, 5.0)


@st.composite
def volumes(draw: st.DrawFn) -> CTVolume:
    """Any small volume on an orthogonal, evenly spaced grid of any orientation."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    if draw(st.booleans()):  # an orientation along the axes, flips included
        rotation = np.eye(3)[list(draw(st.permutations(range(3))))]
        rotation *= np.array(draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3)))
    else:  # any orientation
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    slices, rows, columns = (draw(st.integers(1, 6)) for _ in range(3))
    row, column = rotation[:, 0], rotation[:, 1]
    step = np.cross(row, column) * draw(SPACINGS_MM)
    first = np.array([draw(POSITIONS_MM) for _ in range(3)])
    geometry = Geometry(
        rows,
        columns,
        (draw(SPACINGS_MM), draw(SPACINGS_MM)),
        tuple(float(v) for v in row),
        tuple(float(v) for v in column),
        first + np.arange(slices)[:, None] * step,
    )
    hu = rng.integers(-32768, 32768, geometry.shape).astype(np.float32)
    return CTVolume(hu, geometry)


@given(
    volume=volumes(),
    suffix=st.sampled_from([".nii", ".nii.gz", ".mha", ".nrrd"]),
    packed=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_written_volume_is_read_back_unchanged(
    volume: CTVolume, suffix: str, packed: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        read = read_image(write_image(volume, Path(folder) / f"volume{suffix}", packed=packed))
    np.testing.assert_array_equal(read.hu, volume.hu)
    ours, theirs = volume.geometry, read.geometry
    # NIfTI keeps its affine in float32: half a unit in the last place of 500 mm is 3e-5 mm. The
    # others keep it as text that gives every double back.
    atol = 1e-4 if suffix.startswith(".nii") else 1e-9
    np.testing.assert_allclose(theirs.positions_mm, ours.positions_mm, rtol=0, atol=atol)
    np.testing.assert_allclose(theirs.pixel_spacing_mm, ours.pixel_spacing_mm, rtol=0, atol=atol)
    np.testing.assert_allclose(theirs.row_direction, ours.row_direction, rtol=0, atol=1e-5)
    np.testing.assert_allclose(theirs.column_direction, ours.column_direction, rtol=0, atol=1e-5)
    assert theirs.matches(ours)
