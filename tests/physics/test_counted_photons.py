"""Scans reconstructed from counted photons, and noise insertion judged by them."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.config.artefacts import ArtefactSettings, MetalSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import SimulationError
from ctdenoise.phantoms.rays import fan_rays
from ctdenoise.phantoms.shapes import Shape, line_integrals
from ctdenoise.phantoms.solids import elliptic_cylinder
from ctdenoise.simulation.counting import count_photons
from ctdenoise.simulation.low_dose import simulate_doses, simulate_low_dose
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import added_noise, native_noise, slice_keys
from ctdenoise.simulation.reconstruct import reconstruct_scan
from ctdenoise.simulation.vectors import LANES, aligned_zeros
from tests.builders import water_disc
from tests.physics.fan_scan import ellipse, settings

Array = np.ndarray

SLICES = 64
BODY = (90.0, 60.0)
REGIONS = {
    "centre": (slice(40, 56), slice(40, 56)),
    "side": (slice(40, 56), slice(76, 88)),
    "front": (slice(22, 30), slice(40, 56)),
}


def exact(shapes: tuple[Shape, ...], model: ScanModel) -> Array:
    """Line integrals of shapes, [view, channel]."""
    fan = model.fan
    # The angles of `fan_rays` count from the x axis, those of a scan from the y axis.
    origins, directions = fan_rays(
        fan.view_angles + np.pi / 2, fan.fan_angles, source_to_isocentre_mm=fan.distance_mm
    )
    return model.mu_water_per_mm * line_integrals(shapes, origins, directions)


def test_exact_line_integrals_reconstruct_to_water_and_contrast():
    shapes = (
        Shape("water", 0.0, (elliptic_cylinder((0.0, 0.0), (100.0, 100.0)),)),
        Shape("insert", 200.0, (elliptic_cylinder((30.0, -50.0), (15.0, 15.0)),)),
    )
    geometry = Geometry.axial((1, 128, 128), pixel_spacing_mm=2.0, slice_spacing_mm=2.0)
    wanted = SimulateSettings(kernel=GaussianKernelSettings(f50_per_mm=0.335))
    model = ScanModel.of(geometry, Acquisition(kvp=120.0), wanted)
    hu = reconstruct_scan(exact(shapes, model), model)[0]
    x = (np.arange(128) - 63.5) * 2.0
    from_centre = np.hypot(x[None, :], x[:, None])
    from_insert = np.hypot(x[None, :] - 30.0, x[:, None] + 50.0)
    water = hu[from_centre < 20].mean()
    assert water == pytest.approx(0, abs=0.1)
    # The insert lies where it was put, and has its contrast to half a per cent.
    assert hu[from_insert < 10].mean() - water == pytest.approx(200, rel=0.005)
    assert np.abs(hu[(from_centre < 90) & (from_insert > 25)]).max() < 2
    assert hu[0, 0] == pytest.approx(-1000, abs=1)


def counted(mean: float, *, native: bool, dose: float, electronic: float) -> Array:
    """Log changes of many rays with a mean at full dose."""
    statistics = (
        native_noise(dose, electronic_noise=electronic, floor=1.0)
        if native
        else added_noise(dose, electronic_noise=electronic, floor=1.0, dual_below=0.0)
    )
    out = aligned_zeros(80, 50, LANES)
    keys = slice_keys([str(index).encode() for index in range(LANES)])
    photons = np.full(LANES, mean, np.float32)
    count_photons(np.zeros_like(out), statistics, photons=photons, keys=keys, out=out)
    return out.astype(np.float64)


@pytest.mark.parametrize("native", [True, False])
def test_counts_have_the_variance_of_the_dose(native):
    mean, dose, electronic = 20_000.0, 0.25, 30.0
    change = counted(mean, native=native, dose=dose, electronic=electronic)
    low = dose * mean
    if native:
        expected = (low + electronic**2) / low**2
    else:
        expected = (dose * (1 - dose) * mean + (1 - dose**2) * electronic**2) / low**2
    assert change.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / change.size) + 2e-3)
    # The mean of a logarithm: half its variance.
    error = change.std() / np.sqrt(change.size)
    assert change.mean() == pytest.approx(expected / 2, abs=5 * error)


def test_kept_photons_of_a_poisson_scan_are_those_of_a_poisson_scan():
    rng = np.random.default_rng(1)
    counts = rng.poisson(12.0, LANES * 4000).reshape(80, 50, LANES)
    p = -np.log(np.maximum(counts, 1e-9) / 12.0).astype(np.float32)
    out = np.zeros_like(p)
    statistics = added_noise(0.25, electronic_noise=0.0, floor=1e-6, dual_below=0.0)
    keys = slice_keys([str(index).encode() for index in range(LANES)])
    photons = np.full(LANES, 12.0, np.float32)
    count_photons(p, statistics, photons=photons, keys=keys, out=out)
    kept = np.rint(0.25 * 12.0 * np.exp(-(p.astype(np.float64) + out)))
    n = kept.size
    assert kept.mean() == pytest.approx(3.0, abs=5 * np.sqrt(3.0 / n))
    # The variance of Poisson counts has the standard error sqrt((m + 2 m^2) / n).
    assert kept.var() == pytest.approx(3.0, abs=5 * np.sqrt(21.0 / n))


def variance(noise: Array) -> tuple[float, float]:
    """Of independent slices, and its standard error."""
    each = (noise**2).mean(axis=(1, 2))
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))


def hu_of(volume: CTVolume, seed: int, **changes: object) -> Array:
    twin = simulate_low_dose(volume, settings(**changes), np.random.default_rng(seed)).low
    return twin.hu.astype(np.float64)


@pytest.mark.parametrize(
    ("photons", "bias_share"),
    # Unstarved: 2,700 counts along the body at full dose. Starved: 55, of which a quarter are 14,
    # next to an electronic noise of 5.5: the mean shifts by some HU.
    [(1e5, 0.0), (2e3, 0.15)],
    ids=["usual", "starved"],
)
def test_inserted_noise_is_that_of_counted_photons(photons, bias_share):
    phantom = ellipse(BODY, slices=SLICES)
    common = {"photons": photons, "electronic_noise_quanta": 5.5}
    native = {**common, "mode": "reconstruction", "source_noise": "none"}
    ideal = hu_of(phantom, 0, **common, mode="reconstruction", dose=1.0)
    scan = simulate_low_dose(phantom, settings(**native, dose=1.0), np.random.default_rng(1)).low
    low = hu_of(phantom, 2, **native, dose=0.25) - ideal
    twin = hu_of(scan, 3, **common, dose=0.25) - ideal
    for name, (rows, columns) in REGIONS.items():
        of_twin, twin_error = variance(twin[:, rows, columns])
        of_low, low_error = variance(low[:, rows, columns])
        error = np.hypot(twin_error, low_error) / of_low
        assert error < 0.06, name
        # Two per cent of the SD, and four standard errors.
        assert of_twin / of_low == pytest.approx(1, abs=0.04 + 4 * error), name
        means = (twin - low)[:, rows, columns].mean(axis=(1, 2))
        bias = abs(low[:, rows, columns].mean())
        tolerance = 4 * means.std(ddof=1) / np.sqrt(SLICES) + bias_share * bias
        assert means.mean() == pytest.approx(0, abs=tolerance), name


def test_added_noise_of_insertion_and_reconstruction_agree():
    phantom = ellipse(BODY, slices=SLICES)
    inserted = hu_of(phantom, 1, dose=0.25) - phantom.hu
    wanted = settings(mode="reconstruction", dose=(1.0, 0.25))
    full, low = simulate_doses(phantom, wanted, np.random.default_rng(2))
    counted_noise = low.low.hu.astype(np.float64) - full.low.hu
    for name, (rows, columns) in REGIONS.items():
        one, one_error = variance(inserted[:, rows, columns])
        two, two_error = variance(counted_noise[:, rows, columns])
        error = np.hypot(one_error, two_error) / two
        assert one / two == pytest.approx(1, abs=0.04 + 4 * error), name
        means = (inserted - counted_noise)[:, rows, columns].mean(axis=(1, 2))
        error = means.std(ddof=1) / np.sqrt(SLICES)
        assert means.mean() == pytest.approx(0, abs=4 * error), name


def test_reconstruction_is_the_same_in_any_batch_and_keeps_what_is_around_the_field():
    volume = water_disc(slices=20, noise_hu=5.0)
    padding = np.zeros(volume.shape, bool)
    padding[:, :2] = True
    hu = np.where(padding, np.float32(-3024), volume.hu)
    padded = CTVolume(hu, volume.geometry, volume.acquisition, padding=padding)
    wanted = settings(mode="reconstruction", dose=(1.0, 0.25), slices_per_batch=32)
    whole = simulate_doses(padded, wanted, np.random.default_rng(1))
    parts = simulate_doses(padded, wanted.replaced(slices_per_batch=7), np.random.default_rng(1))
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.low.hu, other.low.hu)
        assert (one.low.hu[padding] == -3024).all()
    # At full dose the scan is reconstructed again: blurred, but with nothing added to it.
    blurred = whole[0].low.hu[:, 28:36, 28:36] - volume.hu[:, 28:36, 28:36]
    assert 0 < blurred.std() < 5.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": (8, 8)}, "not those of this fan"),
        ({"value": np.nan}, "finite"),
        ({"metal": True}, "Metal"),
    ],
)
def test_line_integrals_that_cannot_be_reconstructed_are_refused(changes, words):
    geometry = Geometry.axial((1, 64, 64), pixel_spacing_mm=2.0, slice_spacing_mm=2.0)
    model = ScanModel.of(geometry, Acquisition(), settings())
    shape = changes.get("shape", (model.fan.views, model.fan.channels))
    data = np.full(shape, changes.get("value", 0.0))
    artefacts = ArtefactSettings(metal=MetalSettings(enabled="metal" in changes))
    with pytest.raises(SimulationError, match=words):
        reconstruct_scan(data, model, artefacts=artefacts)


def test_reconstructed_slices_do_not_depend_on_how_many_are_given():
    geometry = Geometry.axial((1, 64, 64), pixel_spacing_mm=2.0, slice_spacing_mm=2.0)
    model = ScanModel.of(geometry, Acquisition(), settings())
    disc = Shape("water", 0.0, (elliptic_cylinder((0.0, 0.0), (40.0, 40.0)),))
    data = np.repeat(exact((disc,), model)[:, :, None], 20, axis=2)
    many = reconstruct_scan(data, model, photons=1e4, seed=5)
    few = reconstruct_scan(data[:, :, :3], model, photons=1e4, seed=5)
    assert np.array_equal(many[:3], few)
    assert not np.array_equal(many[0], many[1])
