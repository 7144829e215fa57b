"""The study of low contrast: known answers of denoisers whose effect is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from ctdenoise.config.inference import InferSettings
from ctdenoise.config.lcd import LcdInsertSettings, LcdSettings
from ctdenoise.config.limits import DENOISER_LIMITS
from ctdenoise.config.native_scan import NativeScanSettings
from ctdenoise.core.arrays import HuArray
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.metrics.cho import cho_of_responses
from ctdenoise.metrics.limits import judged
from ctdenoise.metrics.measured import Measured
from ctdenoise.tasks.lcd import run_lcd
from ctdenoise.tasks.lcd_phantom import channels_of, layout_of, lcd_shapes
from ctdenoise.tasks.native_scan import NativeScan
from tests.physics.fan_scan import SMALL_SCANNER

SETTINGS = LcdSettings(
    inserts=(
        LcdInsertSettings(hu=40, diameter_mm=12),
        LcdInsertSettings(hu=60, diameter_mm=8),
    ),
    diameter_mm=170,
    ring_radius_mm=45,
    region_mm=40,
    doses=(0.25, 0.5, 1.0),
    repeats=48,
    draws=200,
    scan=NativeScanSettings(
        scanner=SMALL_SCANNER,
        size=96,
        field_of_view_mm=192,
        photons=1.5e4,
        electronic_noise_quanta=0,
        mu_water_per_mm=0.02,
    ),
)
BIG, SMALL = (insert.name for insert in SETTINGS.inserts)


@dataclass
class Known:
    """A denoiser whose effect on noise and signal is known."""

    change: Any
    context: int = 0
    name: str = "known"
    slices: list[int] = field(default_factory=list)

    def __call__(self, volume: CTVolume, **_: object) -> CTVolume:
        self.slices.append(volume.shape[0])
        hu = np.asarray(self.change(volume.hu), dtype=np.float32)
        return volume.with_hu(hu, Step("denoise", {}))


def study(denoiser: object, **changes: object) -> Measured:
    return run_lcd(cast("Denoiser", denoiser), SETTINGS.replaced(**changes), seed=1)


@cache
def without_noise() -> HuArray:
    return NativeScan(lcd_shapes(SETTINGS), SETTINGS.scan).without_noise().hu[0]


def test_identity_changes_no_detectability_and_no_dose():
    found = study(load_denoiser("identity", InferSettings()))
    for task in (BIG, SMALL):
        for percent in (25, 50, 100):
            at = f"[{task}, {percent} %]"
            assert found["dprime" + at].value == found["dprime_input" + at].value
            assert found["dprime" + at].interval == found["dprime_input" + at].interval
            assert found["dprime_ratio" + at].value == 1
            assert found["dose_equivalent" + at].value == pytest.approx(percent)
    verdicts = judged(found.metrics, DENOISER_LIMITS)
    assert {verdict.outcome for verdict in verdicts} == {"pass"}
    assert len(verdicts) == 6


def test_half_the_noise_is_four_times_the_dose():
    halved = Known(lambda hu: (hu + without_noise()) / 2)
    found = study(halved)
    for task in (BIG, SMALL):
        at = f"[{task}, 25 %]"
        assert found["dprime_ratio" + at].value == pytest.approx(2, rel=0.1)
        equal = found["dose_equivalent" + at]
        assert equal.value == pytest.approx(100, rel=0.15)
        assert equal.interval is not None
        assert equal.interval.low < 100 < equal.interval.high


def test_a_denoiser_that_looks_at_neighbours_is_judged_on_independent_slices():
    """Mean of three slices: a third of the noise power, so three times the dose."""

    def mean_of_three(hu: HuArray) -> HuArray:
        return ndimage.uniform_filter1d(hu.astype(np.float64), 3, axis=0)

    denoiser = Known(mean_of_three, context=1)
    found = study(denoiser)
    assert denoiser.slices == [3 * 48] * 3
    equal = found[f"dose_equivalent[{BIG}, 25 %]"]
    assert equal.interval is not None
    assert equal.interval.low < 75 < equal.interval.high
    assert equal.value == pytest.approx(75, rel=0.35)


def test_a_filter_that_takes_the_rods_with_the_noise_fails_though_the_image_is_clean():
    """Noise goes to a tenth and contrast to a fiftieth: less is seen in a far cleaner image."""
    flat = ndimage.median_filter(without_noise(), 31)
    found = study(
        Known(lambda hu: flat + 0.02 * (without_noise() - flat) + 0.1 * (hu - without_noise()))
    )
    for metric in found.metrics:
        if metric.key.startswith("dprime_ratio"):
            assert metric.value is not None
            assert metric.value < 0.5
    assert {verdict.outcome for verdict in judged(found.metrics, DENOISER_LIMITS)} == {"fail"}
    assert "below the measured doses" in found[f"dose_equivalent[{BIG}, 25 %]"].note


def test_a_gaussian_filter_has_the_detectability_that_theory_gives_it():
    """Channels that look at filtered images are blurred channels that look at the images."""
    sigma = 2.5
    blurred = Known(lambda hu: ndimage.gaussian_filter(hu.astype(np.float64), (0, sigma, sigma)))
    found = study(blurred)
    scan = NativeScan(
        lcd_shapes(SETTINGS), SETTINGS.scan, positions_mm=tuple(3.0 * np.arange(48))
    ).scan(0.25, seed=1)
    layout, insert = layout_of(SETTINGS), SETTINGS.inserts[1]
    margin = 12  # pixels that the filter takes in from around the region
    wide = np.pad(channels_of(insert, SETTINGS).profiles, ((0, 0), (margin,) * 2, (margin,) * 2))
    looking = ndimage.gaussian_filter(wide, (0, sigma, sigma))

    def answers(pixel: tuple[int, int]) -> Any:
        reach = layout.half + margin
        rows, columns = (slice(place - reach, place + reach + 1) for place in pixel)
        return np.einsum("syx,cyx->sc", scan.hu[:, rows, columns].astype(np.float64), looking)

    absent = np.concatenate([answers(pixel) for pixel in layout.absent])
    expected = cho_of_responses(answers(layout.present[1][0]), absent, "blurred")
    metric = found[f"dprime[{SMALL}, 25 %]"]
    assert metric.value == pytest.approx(expected.dprime, rel=1e-3)
    assert metric.value != pytest.approx(found[f"dprime_input[{SMALL}, 25 %]"].value, rel=2e-3)


def test_curves_and_tables_hold_every_dose_and_rod():
    found = study(load_denoiser("identity", InferSettings()))
    assert [curve.name for curve in found.chart(f"dprime[{BIG}]")] == [
        "FBP",
        "identity",
        "FBP, fitted",
    ]
    assert found.chart(f"auc[{SMALL}]")[0].x.tolist() == [25, 50, 100]
    ratios, doses = found.heat_maps
    assert ratios.values == pytest.approx(np.ones((2, 3)))
    assert doses.column_names == ("25 %", "50 %", "100 %")
    assert found.as_json()["conditions"]["lcd"]["seed"] == 1  # type: ignore[index,call-overload]


def test_the_same_seed_gives_the_same_figures():
    denoiser = load_denoiser("gaussian", InferSettings())
    one, two = (study(denoiser, repeats=16).metrics for _ in range(2))
    assert one == two


def test_rods_and_places_lie_between_each_other_in_the_middle_of_pixels():
    layout = layout_of(SETTINGS)
    pixels = np.array([*(pixel for copies in layout.present for pixel in copies), *layout.absent])
    place = (pixels - 47.5) * layout.spacing_mm
    assert np.hypot(*place.T) == pytest.approx(45, abs=1.5)
    for shape, copies in zip(lcd_shapes(SETTINGS)[1:], layout.present, strict=True):
        ((row, column),) = copies
        centre = ((column - 47.5) * 2.0, (row - 47.5) * 2.0, 0.0)
        assert shape.contains(np.array(centre))
        low, high = shape.bounds_mm()
        assert (low[:2] + high[:2]) / 2 == pytest.approx(centre[:2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"copies": 8}, "overlap"),
        ({"doses": (0.5, 0.25, 1.0)}, "rise"),
        ({"doses": (0.5, 1.0)}, "three or more"),
        ({"ring_radius_mm": 80}, "reach out of the water"),
        ({"diameter_mm": 300}, "field_of_view_mm"),
        ({"inserts": SETTINGS.inserts[:1] * 2}, "given twice"),
        ({"inserts": (LcdInsertSettings(hu=3, diameter_mm=45),)}, "larger than `region_mm`"),
    ],
    ids=["copies", "order", "few doses", "ring", "field", "twice", "large"],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        SETTINGS.replaced(**changes)
