"""Denoisers whose effect is known, judged on small scanned phantoms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage

from ctdenoise.config.bench import (
    SHARP_KERNEL,
    BenchRodSettings,
    BenchSettings,
    SliceEdgeSettings,
    TextureSettings,
)
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.limits import DENOISER_LIMITS
from ctdenoise.errors import UsageError
from ctdenoise.inference.denoiser import MethodDenoiser
from ctdenoise.inference.load import load_denoiser
from ctdenoise.inference.method import Block, Estimates, Taken
from ctdenoise.metrics.limits import judged
from ctdenoise.tasks.bench import bench_slices, measure_bench
from tests.unit.tasks.judged import denoiser

_SCANNER = BenchSettings().scan.scanner.replaced(views_per_turn=288, channels=368)
SMALL = BenchSettings(
    scan=BenchSettings().scan.replaced(
        scanner=_SCANNER, size=160, field_of_view_mm=112.0, photons=1e5
    ),
    diameter_mm=104.0,
    circle_mm=28.0,
    rods=tuple(BenchRodSettings(hu=hu, diameter_mm=14.0) for hu in (1000.0, 40.0, -100.0)),
    dose_fractions=(1.0, 0.25),
    slices=8,
    texture=TextureSettings(slices=4, repeats=3),
    slice_edge=SliceEdgeSettings(contrasts_hu=(100.0,)),
    patch_mm=16.0,
    draws=100,
)


@dataclass(frozen=True)
class Blur:
    """A method that blurs by a Gaussian of known width along each axis, pixels."""

    sigma: tuple[float, float, float]
    shift_hu: float = 0.0
    name: str = "blur"
    description: str = "scipy"
    digest: str = "0" * 12
    class_names: tuple[str, ...] = ()
    states_error: bool = False

    @property
    def params(self) -> Mapping[str, float]:
        return {}

    @property
    def context(self) -> int:
        return int(np.ceil(4 * self.sigma[0]))

    def block_slices(self, shape: tuple[int, int]) -> int:
        del shape
        return 4

    def settle(self, sample: object, scan: object) -> Blur:
        del sample, scan
        return self

    def take(self, block: Block, *, labels: bool = False, error: bool = False) -> Taken:
        assert not labels
        assert not error
        hu = block.volume.hu
        removed = hu - ndimage.gaussian_filter(hu, self.sigma, mode="nearest") - self.shift_hu
        return Taken(removed[block.inner].astype(np.float32), Estimates())


def judge(denoiser, settings=SMALL, seed=3):
    return measure_bench(denoiser, settings, seed=seed)


def blurred(*sigma: float, shift_hu: float = 0.0):
    return judge(MethodDenoiser(Blur(sigma, shift_hu), InferSettings()))


@pytest.fixture(scope="module")
def untouched():
    return judge(load_denoiser("identity"))


@pytest.fixture(scope="module")
def in_plane():
    return blurred(0.0, 1.0, 1.0)


def values(measured, start):
    return {m.key: m.value for m in measured.metrics if m.key.startswith(start)}


def test_the_identity_keeps_everything(untouched):
    for key in ("ttf50_ratio", "z_ttf50_ratio", "noise_ratio"):
        assert list(values(untouched, key).values()) == pytest.approx(
            [1.0] * len(values(untouched, key)), abs=1e-6
        )
    for key in ("drift", "fav_shift"):
        assert set(values(untouched, key).values()) == {0.0}
    for curves in (untouched.chart("ntf[25 %]"), untouched.chart("z_ttf[25 %]")):
        assert len(curves) == 2
    assert all(np.allclose(curve.y, 1) for curve in untouched.chart("ntf[25 %]"))


def test_the_identity_passes_every_limit_that_is_meant_for_phantoms(untouched):
    verdicts = judged(untouched.metrics, DENOISER_LIMITS)
    assert {verdict.outcome for verdict in verdicts} == {"pass"}
    families = {verdict.metric.key.partition("[")[0] for verdict in verdicts}
    assert families == {"ttf50_ratio", "z_ttf50_ratio", "fav_shift", "drift"}


@pytest.mark.parametrize("contrast", ["1000 HU", "40 HU", "-100 HU"])
@pytest.mark.parametrize("dose", ["100 %", "25 %"])
def test_a_blur_of_known_width_takes_as_much_resolution_at_every_contrast(in_plane, contrast, dose):
    before = in_plane.chart("ttf[25 %]")[0]
    blur = np.exp(-2 * (np.pi * 0.7 * before.x) ** 2)  # a pixel is 0.7 mm
    f50 = [before.x[np.argmax(curve < 0.5)] for curve in (before.y * blur, before.y)]
    metric = in_plane[f"ttf50_ratio[{contrast}, {dose}]"]
    assert metric.value == pytest.approx(f50[0] / f50[1], rel=0.015)
    assert metric.interval.high - metric.interval.low < 0.001  # a linear filter has no noise in it


def test_a_blur_takes_the_noise_by_the_square_of_its_transfer_function(in_plane):
    for curve in in_plane.chart("ntf[25 %]"):
        square = np.exp(-2 * (np.pi * 0.7 * curve.x) ** 2) ** 2
        middle = (curve.x > 0.1) & (curve.x < 0.35)
        # Patches of 16 mm mix frequencies that lie nearer to each other than 1 / 16 mm.
        assert curve.y[middle] == pytest.approx(square[middle], abs=0.06)


def test_the_noise_is_shown_in_two_dimensions_with_nothing_at_zero(in_plane):
    for where in ("water", "texture"):
        before, after = (
            next(t for t in in_plane.heat_maps if t.key == f"nps2d[{where}, 25 %, {when}]")
            for when in ("input", "output")
        )
        middle = len(before.values) // 2
        assert (before.row_names[middle], before.column_names[middle]) == ("0.00", "0.00")
        assert before.values[middle, middle] < 0.1 * before.values.max()
        assert 0 < after.values.sum() < before.values.sum()


def test_a_blur_in_the_slices_alone_leaves_the_resolution_along_z(in_plane):
    assert in_plane["z_ttf50_ratio[100 HU, 25 %]"].value == pytest.approx(1.0, abs=0.02)
    for key, value in values(in_plane, "drift").items():
        assert value == pytest.approx(0.0, abs=0.5), key


def test_a_blur_along_z_is_seen_along_z_alone():
    found = blurred(0.5, 0.0, 0.0)
    # T(f) = sinc(3 mm f) before; after, times that of the weights exp(-2 k^2) of slice k.
    f = np.linspace(0.001, 0.4, 4000)
    before = np.abs(np.sinc(3 * f))
    k = np.arange(-2, 3)
    weights = np.exp(-2 * k**2) / np.exp(-2 * k**2).sum()
    after = before * (weights @ np.cos(2 * np.pi * 3 * np.outer(k, f)))
    ratio = f[np.argmax(after < 0.5)] / f[np.argmax(before < 0.5)]
    assert found["z_ttf50_ratio[100 HU, 25 %]"].value == pytest.approx(ratio, rel=0.02)
    assert found["ttf50_ratio[1000 HU, 25 %]"].value == pytest.approx(1.0, abs=1e-3)
    verdicts = judged(found.metrics, DENOISER_LIMITS)
    failed = {one.metric.key.partition("[")[0] for one in verdicts if one.outcome == "fail"}
    assert failed == {"z_ttf50_ratio"}


def test_values_that_are_shifted_are_found_as_drift_everywhere():
    found = blurred(0.0, 0.0, 0.0, shift_hu=4.0)
    assert list(values(found, "drift").values()) == pytest.approx([4.0] * 4, abs=1e-3)
    verdicts = judged(found.metrics, DENOISER_LIMITS)
    failed = {one.metric.key for one in verdicts if one.outcome == "fail"}
    assert failed == set(values(found, "drift"))


def test_a_texture_may_have_more_slices_than_the_rods():
    settings = SMALL.replaced(slices=4, texture=TextureSettings(slices=6, repeats=2))
    found = measure_bench(load_denoiser("identity"), settings, seed=3)
    assert found["noise_ratio[texture, 25 %]"].value == 1


def test_edges_that_are_gone_fail_and_noise_is_not_blamed():
    def flat(hu: np.ndarray) -> np.ndarray:
        return np.where(hu > -500, 0.0, hu)

    found = judge(denoiser(flat))
    verdicts = {one.metric.key: one for one in judged(found.metrics, DENOISER_LIMITS)}
    for key in (
        "ttf50_ratio[40 HU, 100 %]",
        "ttf50_ratio[40 HU, 25 %]",
        "z_ttf50_ratio[100 HU, 25 %]",
    ):
        assert verdicts[key].outcome == "fail"
        assert verdicts[key].metric.value == 0
        assert "the edge is gone: 0.0 HU are left" in verdicts[key].metric.note


def test_a_bilateral_filter_keeps_bright_edges_and_loses_faint_ones():
    found = judge(load_denoiser("bilateral"))
    assert found["ttf50_ratio[1000 HU, 25 %]"].value > 0.95
    assert found["ttf50_ratio[40 HU, 25 %]"].value < 0.7
    assert found["noise_ratio[water, 25 %]"].value < 0.6
    verdicts = {one.metric.key: one.outcome for one in judged(found.metrics, DENOISER_LIMITS)}
    assert verdicts["ttf50_ratio[1000 HU, 25 %]"] == "pass"
    assert verdicts["ttf50_ratio[40 HU, 25 %]"] == "fail"


def test_a_sharp_kernel_is_sharper_and_has_keys_of_its_own():
    settings = SMALL.replaced(
        kernels=(SMALL.kernels[0], SHARP_KERNEL),
        dose_fractions=(0.25,),
        texture=TextureSettings(deviation_hu=0),
        slice_edge=SliceEdgeSettings(contrasts_hu=()),
    )
    found = judge(load_denoiser("identity"), settings)
    assert found["ttf50[input, sharp]"].value > 1.3 * found["ttf50[input, smooth]"].value
    assert found["ttf50_ratio[40 HU, 25 %, sharp]"].value == pytest.approx(1.0)
    tables = [table.key for table in found.heat_maps if not table.key.startswith("nps2d")]
    assert tables == [
        "ttf50_ratio[smooth]",
        "drift[smooth]",
        "ttf50_ratio[sharp]",
        "drift[sharp]",
    ]
    assert not [metric for metric in found.metrics if "texture" in metric.key]
    assert not values(found, "z_ttf50")


def test_the_slices_to_be_denoised_are_counted_before():
    seen = []

    class Counting(Blur):
        def take(self, block, **asked):
            seen.append(block.inner.stop - block.inner.start)
            return super().take(block, **asked)

    judge(MethodDenoiser(Counting((0.0, 0.0, 0.0)), InferSettings()))
    assert sum(seen) == bench_slices(SMALL)


def test_the_noise_of_the_phantoms_follows_the_dose(untouched):
    found = judge(load_denoiser("identity"), seed=3)
    assert found.as_json() == untouched.as_json()
    other = judge(load_denoiser("identity"), seed=4)
    assert other.chart("nps[water, 25 %]")[0].y[5] != found.chart("nps[water, 25 %]")[0].y[5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"main_dose_fraction": 0.5}, "main_dose_fraction"),
        ({"dose_fractions": (0.0, 0.25)}, "above 0"),
        ({"dose_fractions": (0.25, 0.25)}, "the same"),
        ({"rods": (BenchRodSettings(hu=0.0),)}, "water"),
        ({"slice_edge": {"contrasts_hu": (0.0,)}}, "0 HU"),
    ],
    ids=["main", "none", "twice", "water", "slab"],
)
def test_settings_that_cannot_be_measured_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        SMALL.replaced(**changes)


@pytest.mark.parametrize("circle_mm", [13.0, 45.0])
def test_rods_without_water_around_them_are_refused(circle_mm):
    with pytest.raises(UsageError, match="too near"):
        judge(load_denoiser("identity"), SMALL.replaced(circle_mm=circle_mm))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"patch_mm": 30.0}, "patch_mm"),
        ({"scan": SMALL.scan.replaced(slice_thickness_mm=10.0)}, "slope"),
    ],
    ids=["patch", "slab"],
)
def test_what_has_no_room_in_the_water_is_refused_before_anything_is_denoised(changes, where):
    with pytest.raises(UsageError) as error:
        judge(load_denoiser("identity"), SMALL.replaced(**changes))
    assert error.value.where is not None
    assert error.value.where.endswith(where)
