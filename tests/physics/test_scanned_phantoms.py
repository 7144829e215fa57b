"""Native scans of phantoms: Hounsfield units, noise and blur against theory."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.native_scan import ApertureSettings, NativeScanSettings
from ctdenoise.config.phantom import InsertSettings, RodsSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.phantoms.aperture import Reading, reading_rays
from ctdenoise.phantoms.rods import rods_shapes
from ctdenoise.phantoms.shapes import Shape, line_integrals
from ctdenoise.phantoms.solids import ellipsoid, elliptic_cylinder
from ctdenoise.tasks.native_scan import NativeScan
from tests.physics.fan_scan import MU_WATER, SMALL_SCANNER, centre, variance_and_error
from tests.physics.rays import isocentre_variance, log_change_moments

SLICES = 64
WATER = rods_shapes(RodsSettings(inserts=(), diameter_mm=180.0))
RODS = tuple(
    InsertSettings(material=str(hu), hu=hu, diameter_mm=24, radius_mm=50, angle_degrees=at)
    for hu, at in ((100, 0), (-100, 90), (15, 180), (990, 270))
)


def settings(**changes: object) -> NativeScanSettings:
    """A small, quick scanner."""
    values: dict[str, object] = {
        "scanner": SMALL_SCANNER,
        "kernel": GaussianKernelSettings(f50_per_mm=0.2),
        "photons": 1e5,
        "electronic_noise_quanta": 5.5,
        "mu_water_per_mm": MU_WATER,
        "size": 96,
        "field_of_view_mm": 192.0,
    }
    return NativeScanSettings.model_validate({**values, **changes})


@cache
def water_scan(photons: float = 1e5, counting: str = "moments") -> NativeScan:
    chosen = settings(photons=photons, counting=counting)
    return NativeScan(WATER, chosen, positions_mm=tuple(3.0 * np.arange(SLICES)))


def noise_of(scan: NativeScan, dose: float, seed: int = 1) -> DoubleArray:
    difference = scan.scan(dose, seed=seed).hu - scan.without_noise().hu
    return difference.astype(np.float64)


def expected_variance(scan: NativeScan, dose: float) -> float:
    """At the isocentre, from the exact moments of the logarithm of counts."""
    chosen = scan.settings
    counts = dose * chosen.photons * np.exp(-MU_WATER * 180.0)
    _, of_log, _ = log_change_moments(counts, chosen.electronic_noise_quanta)
    return isocentre_variance(scan.model.fan, chosen.kernel, MU_WATER) * of_log


@pytest.mark.parametrize("counting", ["moments", "poisson"])
@pytest.mark.parametrize("dose", [1.0, 0.25, 0.05])
def test_noise_at_the_isocentre_is_what_theory_says(counting, dose):
    scan = water_scan(counting=counting)
    variance, error = variance_and_error(centre(noise_of(scan, dose)))
    assert error < 0.06 * variance
    assert variance == pytest.approx(expected_variance(scan, dose), rel=0.02, abs=4 * error)


def test_noise_without_electronics_follows_the_inverse_root_of_the_dose():
    """The 1/sqrt(dose) law, within 3 %."""
    chosen = settings(photons=1e6, electronic_noise_quanta=0.0)
    scan = NativeScan(WATER, chosen, positions_mm=tuple(3.0 * np.arange(2 * SLICES)))
    inside = np.hypot(*np.mgrid[-47.5:48, -47.5:48]) < 36
    full = noise_of(scan, 1.0)[:, inside].std()
    for dose in (0.55, 0.1):
        ratio = noise_of(scan, dose)[:, inside].std() / full
        assert ratio * np.sqrt(dose) == pytest.approx(1, abs=0.03)


def test_both_ways_of_counting_have_the_same_noise_at_few_counts():
    """Five photons behind the middle: means and variances everywhere in the object."""
    photons = 5.0 * np.exp(MU_WATER * 180.0)
    of_moments, of_counts = (
        noise_of(water_scan(photons, counting), 1.0) for counting in ("moments", "poisson")
    )
    inside = np.hypot(*np.mgrid[-47.5:48, -47.5:48]) < 40
    rings = [inside & (np.hypot(*np.mgrid[-47.5:48, -47.5:48]) >= 24), inside]
    for ring in rings:
        ratio = of_moments[:, ring].var() / of_counts[:, ring].var()
        assert ratio == pytest.approx(1, abs=0.05)
        bias = of_moments[:, ring].mean() - of_counts[:, ring].mean()
        assert abs(bias) < 0.05 * of_counts[:, ring].std()
    # Few counts read as too much attenuation: a bias that both have.
    assert of_counts[:, inside].mean() > 0.1 * of_counts[:, inside].std()


def test_photons_are_counted_where_there_are_few():
    scan = NativeScan(WATER, settings(photons=1e5, counting="auto"))
    least = 1e5 * np.exp(-MU_WATER * 180.0)
    assert scan.scan(26 / least, seed=1).history[-1].params["counting"] == "moments"
    assert scan.scan(24 / least, seed=1).history[-1].params["counting"] == "poisson"


def test_water_and_inserts_without_noise_are_within_one_hounsfield_unit():
    shapes = rods_shapes(RodsSettings(inserts=RODS, diameter_mm=180))
    scan = NativeScan(shapes, settings(kernel=GaussianKernelSettings(f50_per_mm=0.335)))
    hu, truth = scan.without_noise().hu[0], scan.truth_image().hu[0]
    axis = (np.arange(96) - 47.5) * 2.0
    for rod in RODS:
        angle = np.radians(rod.angle_degrees)
        distance = np.hypot(axis - 50 * np.cos(angle), axis[:, None] - 50 * np.sin(angle))
        core = distance < 6
        assert truth[core] == pytest.approx(rod.hu)
        assert hu[core].mean() == pytest.approx(rod.hu, abs=1)
    assert hu[40:56, 40:56].mean() == pytest.approx(0, abs=1)
    assert hu[0, 0] == pytest.approx(-1000, abs=1)


def second_moment(reading: Reading, centre_mm: tuple[float, float]) -> float:
    """Variance, mm^2 at the isocentre, of the profile of a disc; mean over some views."""
    disc = Shape("disc", 0.0, (elliptic_cylinder(centre_mm, (12.0, 12.0)),))
    views, source = np.linspace(0, 2 * np.pi, 24, endpoint=False), 595.0
    fan_angles = np.linspace(-0.16, 0.16, 4001)
    profile = np.mean(
        [
            line_integrals((disc,), *rays)
            for rays in reading_rays(
                views,
                fan_angles,
                reading,
                source_to_isocentre_mm=source,
                source_to_detector_mm=1085.6,
            )
        ],
        axis=0,
    )
    x, y = centre_mm
    across = -x * np.sin(views) + y * np.cos(views)
    gamma = -np.arctan2(across, source - x * np.cos(views) - y * np.sin(views))
    place = source * (fan_angles - gamma[:, None])
    return float((profile * place**2).sum() / profile.sum())


def widened(reading: Reading, centre_mm: tuple[float, float] = (0.0, 0.0)) -> float:
    """What an aperture adds to the variance of a profile, were its rays endlessly many."""
    point = Reading(0.0, 0.0, 0.0, 1)
    added = second_moment(reading, centre_mm) - second_moment(point, centre_mm)
    return added / (1 - 1 / reading.rays**2)


def test_focal_spot_channel_and_turn_widen_a_profile_by_their_widths():
    """Variances of a convolution add: a box of width w adds w^2 / 12."""
    assert widened(Reading(8e-3, 0.0, 0.0, 16)) == pytest.approx((595 * 8e-3) ** 2 / 12, rel=0.01)
    spot = 8.0 * (1 - 595 / 1085.6)
    assert widened(Reading(0.0, 8.0, 0.0, 16)) == pytest.approx(spot**2 / 12, rel=0.01)
    # A disc beside the isocentre moves across the fan as the gantry turns on; one in the middle
    # does not.
    moved = 40 * 0.1
    turning = Reading(0.0, 0.0, 0.1, 16)
    assert widened(turning, (40.0, 0.0)) == pytest.approx(moved**2 / 24, rel=0.03)
    assert widened(turning) == pytest.approx(0, abs=1e-6)
    together = Reading(8e-3, 8.0, 0.1, 16)
    alone = ((595 * 8e-3) ** 2 + spot**2) / 12 + moved**2 / 24
    assert widened(together, (40.0, 0.0)) == pytest.approx(alone, rel=0.05)


def test_the_aperture_blurs_edges_in_the_image_and_leaves_values_alone():
    shapes = rods_shapes(RodsSettings(inserts=(RODS[0],), diameter_mm=180))
    sharp, wide = (
        NativeScan(shapes, settings(aperture=ApertureSettings(rays=rays, focal_spot_mm=3.0)))
        .without_noise()
        .hu[0]
        .astype(np.float64)
        for rays in (1, 8)
    )
    steepest = [np.abs(np.diff(image[47, 60:85])).max() for image in (sharp, wide)]
    assert steepest[1] < 0.95 * steepest[0]
    for image in (sharp, wide):
        assert image[46:50, 71:74].mean() == pytest.approx(100, abs=1)


def test_a_thick_slice_is_the_mean_of_its_planes():
    """A ball seen 10 mm off its middle, through planes at 5 and 15 mm."""
    ball = Shape("ball", -990.0, (ellipsoid((0.0, 0.0, 0.0), (20.0, 20.0, 20.0)),))
    thick = NativeScan((ball,), settings(slice_thickness_mm=20.0, slice_rays=2), positions_mm=(10,))
    planes = [NativeScan((ball,), settings(), positions_mm=(z,)) for z in (5.0, 15.0)]
    mean = np.mean([plane.without_noise().hu for plane in planes], axis=0)
    assert np.allclose(thick.without_noise().hu, mean, atol=1e-3)
