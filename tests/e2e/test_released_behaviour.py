"""What a user may rely on when turning a knob, whichever model: more is more, and no tissue moves.

The laws hold for every released model that is found (also in the folders of CTDENOISE_MODELS) and,
so that they are tried where there is none, for classical filters, which are told the noise as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.config.checks import CheckSettings
from ctdenoise.config.inference import InferSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.body import body_mask
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Sample
from ctdenoise.io.read import open_series
from ctdenoise.networks.released import PREFIX, released_models
from tests.coloured_noise import ct_noise

RELEASED = [PREFIX + model.name for model in released_models()]
EVERY = [*RELEASED, "nlm", "bilateral"]
SIZE, SPACING_MM = 192, 0.8
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
FACTORS = (0.25, 0.5, 1.0, 2.0)
ORDINARY = ("siemens_chest", "ge_abdomen", "philips_chest")

needs_a_model = pytest.mark.skipif(not RELEASED, reason="no released model is installed")


def phantom():
    """A trunk of 140 mm with an organ, vessels and a spongy vertebra, without noise."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * SPACING_MM
    y, x = axis[:, None], axis[None, :]
    image = np.where((x / 70) ** 2 + (y / 60) ** 2 < 1, -100.0, -1000.0)
    image[(x / 62) ** 2 + (y / 52) ** 2 < 1] = 40.0
    for column, row, radius, hu in (
        (-25, -10, 24, 80),
        (30, 10, 6, 160),
        (12, -20, 4, 60),
        (0, 38, 10, 300),
        (25, -25, 9, -850),
    ):
        image[(x - column) ** 2 + (y - row) ** 2 < radius**2] = hu
    return ndimage.gaussian_filter(image, 0.8)


def scan_of(truth, noise_hu=20.0, seed=3):
    """Two slices of it with noise like that of filtered back-projection."""
    spacing = (SPACING_MM, SPACING_MM)
    noise = ct_noise((2, SIZE, SIZE), seed=seed, sd_hu=noise_hu, spacing_mm=spacing)
    hu = (truth + noise).astype(np.float32)
    return CTVolume(
        hu,
        Geometry.axial(hu.shape, pixel_spacing_mm=SPACING_MM, slice_spacing_mm=3.0),
        Acquisition(kvp=120.0, slice_thickness_mm=3.0),
    )


def flat_tissue(image):
    """Soft tissue without borders."""
    smooth = ndimage.uniform_filter(image, 9)
    spread = ndimage.maximum_filter(smooth, 9) - ndimage.minimum_filter(smooth, 9)
    return (smooth > -20) & (smooth < 130) & (spread < 30)


TRUTH = phantom()
FLAT = flat_tissue(TRUTH)


@pytest.fixture(scope="module")
def scan():
    return scan_of(TRUTH)


def denoised(model, scan, **settings):
    return load_denoiser(model, InferSettings(**settings))(scan).hu


def root_mean_square(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@pytest.mark.parametrize("model", EVERY)
def test_the_stronger_the_less_noise_is_left(model, scan):
    left = [
        root_mean_square((denoised(model, scan, strength=strength) - TRUTH)[:, FLAT])
        for strength in STRENGTHS
    ]
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(20, rel=0.05)
    assert left[-1] < 0.5 * left[0]


def changes_told(model, scan, factors):
    """By how much flat tissue changes, for every factor on the noise that is told."""
    return [
        root_mean_square(
            (denoised(model, scan, strength=1.0, noise_factor=factor) - scan.hu)[:, FLAT]
        )
        for factor in factors
    ]


@pytest.mark.parametrize("model", EVERY)
def test_the_more_noise_is_told_the_more_is_changed(model, scan, request):
    if model == f"{PREFIX}redcnn":
        reason = "told twice the noise there is, it takes 2 % less: a limit on its card"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    changes = changes_told(model, scan, FACTORS)
    assert changes == sorted(changes)
    assert changes[0] < 0.5 * changes[2]


@pytest.mark.parametrize("model", EVERY)
def test_up_to_the_noise_that_is_there_more_told_is_more_changed(model, scan):
    changes = changes_told(model, scan, FACTORS[:3])
    assert changes == sorted(changes)
    assert changes[0] < 0.5 * changes[2]


@pytest.mark.parametrize("model", EVERY)
@pytest.mark.parametrize("settings", [{"strength": 0.5}, {"strength": 1.0}, {"noise_factor": 2.0}])
def test_no_tissue_moves(model, scan, settings):
    moved = (denoised(model, scan, **settings) - scan.hu)[:, FLAT]
    assert abs(float(moved.mean(dtype=np.float64))) < 1.0  # the limit of the warning `hu-drift`


@needs_a_model
@pytest.mark.parametrize("model", RELEASED)
@pytest.mark.parametrize("first", [*RELEASED, "nlm", "tv"])
def test_a_scan_that_was_denoised_before_is_left_nearly_alone(model, first, ctdata):
    scan = real(ctdata, "siemens_chest")
    soft = soft_tissue(scan)
    once = load_denoiser(first, InferSettings())(scan)
    twice = load_denoiser(model, InferSettings())(replace(once, history=()))
    changes = [root_mean_square((b.hu - a.hu)[soft]) for a, b in ((scan, once), (once, twice))]
    # A tenth is what is aimed at, and what was measured; the rest is for other weights.
    assert changes[1] < 0.15 * changes[0]


@needs_a_model
@pytest.mark.parametrize("model", RELEASED)
@pytest.mark.parametrize("name", ORDINARY)
def test_the_same_holds_in_patients(model, name, ctdata):
    scan = real(ctdata, name)
    soft = soft_tissue(scan)
    results = [denoised(model, scan, strength=1.0, noise_factor=factor) for factor in FACTORS]
    changes = [(result - scan.hu)[soft] for result in results]
    sizes = [root_mean_square(change) for change in changes]
    assert sizes == sorted(sizes)
    assert max(abs(float(change.mean(dtype=np.float64))) for change in changes[:3]) < 1.0


@needs_a_model
@pytest.mark.parametrize("model", RELEASED)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((f"series/{name}", set()) for name in ORDINARY),
        ("series/philips_head_phantom_1mm_UB", {"another-body-part"}),
        ("zoo/ge_head_tilt_uneven_gaps", {"another-body-part"}),
    ],
)
def test_a_released_model_knows_heads_from_trunks(model, name, expected, ctdata):
    with open_series(ctdata / name) as reader:
        figures = scan_figures(Sample.of(reader.read(range(0, reader.shape[0], 4))), reader)
    known = trained_on(load_denoiser(model))
    found = outside_training(figures, known, CheckSettings())
    codes = {one.code for one in found if one.severity == "warning"}
    assert codes == expected if not expected else expected <= codes


def real(ctdata, name):
    """A slice of a real series, cut to the middle of its body."""
    with open_series(ctdata / "series" / name) as reader:
        middle = reader.shape[0] // 2
        return reader.read(slice(middle, middle + 1))


def soft_tissue(scan):
    smooth = np.stack([ndimage.uniform_filter(image, 5) for image in scan.hu])
    return (smooth > -30) & (smooth < 200) & body_mask(scan.hu, scan.padding)
