"""Laws of every projector, over generated images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctdenoise.config.kernels import RampKernelSettings
from ctdenoise.core.arrays import FloatArray
from ctdenoise.errors import SimulationError
from ctdenoise.simulation.fbp import FilteredBackProjection
from ctdenoise.simulation.projection import JosephProjector, Projector
from ctdenoise.simulation.scanner import Fan, PixelGrid
from ctdenoise.simulation.vectors import LANES, aligned_zeros

FAN = Fan(500.0, 0.01, 41, 24)
GRID = PixelGrid(30, 37, 3.0, 2.0, 16.2, 15.1)
PROJECTORS: list[Projector] = [JosephProjector(FAN, GRID)]


@pytest.fixture(params=PROJECTORS, ids=lambda projector: type(projector).__name__)
def projector(request) -> Projector:
    return request.param


def images(seed: int, lanes: int = LANES) -> FloatArray:
    values = aligned_zeros(GRID.rows, GRID.columns, lanes)
    values[...] = np.random.default_rng(seed).random(values.shape)
    return values


seeds = st.integers(0, 2**32 - 1)
law = settings(max_examples=8, deadline=None)


@given(seeds, seeds, st.floats(-3, 3))
@law
def test_projection_is_linear(one, two, factor):
    for projector in PROJECTORS:
        x, y = images(one), images(two)
        both = aligned_zeros(*x.shape)
        both[...] = x + np.float32(factor) * y
        expected = projector.project(x) + np.float32(factor) * projector.project(y)
        assert projector.project(both) == pytest.approx(expected, rel=1e-4, abs=1e-2)


@given(seeds, st.integers(0, LANES - 1))
@law
def test_lanes_are_projected_on_their_own(seed, lane):
    for projector in PROJECTORS:
        many = images(seed, 2 * LANES)
        alone = aligned_zeros(GRID.rows, GRID.columns, LANES)
        alone[:, :, lane] = many[:, :, LANES + lane]
        expected = projector.project(many)[:, :, LANES + lane]
        assert np.array_equal(projector.project(alone)[:, :, lane], expected)


def test_nothing_projects_to_nothing(projector):
    zeros = aligned_zeros(GRID.rows, GRID.columns, LANES)
    assert not projector.project(zeros).any()


@given(seeds)
@law
def test_positive_images_have_no_negative_line_integrals(seed):
    for projector in PROJECTORS:
        assert projector.project(images(seed)).min() >= 0


@pytest.mark.parametrize("lanes", [1, LANES - 1, LANES + 8])
def test_slices_that_do_not_fill_whole_vectors_are_refused(projector, lanes):
    with pytest.raises(SimulationError, match="whole vectors"):
        projector.project(images(0, lanes))


def test_a_sinogram_of_another_fan_is_refused():
    reconstruction = FilteredBackProjection(FAN, GRID, RampKernelSettings())
    with pytest.raises(SimulationError, match="not one of this fan"):
        reconstruction.reconstruct(aligned_zeros(FAN.views + 8, FAN.channels, LANES))
    with pytest.raises(SimulationError, match="whole vectors"):
        reconstruction.reconstruct(aligned_zeros(FAN.views, FAN.channels, LANES + 8))
    with pytest.raises(SimulationError, match="multiple of 8"):
        FilteredBackProjection(Fan(500.0, 0.01, 41, 20), GRID, RampKernelSettings())
