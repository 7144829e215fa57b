"""`evaluate --study scan`: what a denoiser does to the user's own scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ctdenoise.config.evaluation import EvaluateSettings, WindowSettings
from ctdenoise.config.judgement import JudgeSettings, ScanStudySettings
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.progress import SILENT
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.check_rules import TITLES
from ctdenoise.metrics.cells import cell_pixels
from ctdenoise.metrics.evaluation import evaluate
from ctdenoise.metrics.measured import Measured
from ctdenoise.metrics.noise import noise_change_percent, noise_magnitude
from ctdenoise.metrics.noise_map import noise_of
from ctdenoise.metrics.noise_texture import FlatAreas, Truth, flat_areas, noise_power
from ctdenoise.metrics.nps import PowerSums
from ctdenoise.metrics.organ_change import organ_changes
from ctdenoise.metrics.spectrum_change import SpectrumChange
from ctdenoise.metrics.structured_difference import Structured, apart, structured_places
from ctdenoise.metrics.table import Better, Conventions, Interval, Metric
from ctdenoise.metrics.tissue_drift import DriftSums, added, tissue_drift
from ctdenoise.report.judgement_view import PlaceView, ScanView, SliceView, SpectrumView
from ctdenoise.tasks.judge_sample import JudgedScan

_SMALLER_PATCHES = (1.0, 0.7, 0.5)  # of the size that is asked for, until enough are flat
_NOISELESS = 0.1  # a truth with less than this share of the noise of the input has none
_DEVIATIONS = 1.96  # of a normal distribution, half of the 95 % interval


@dataclass(frozen=True, slots=True, eq=False)
class ScanJudgement:
    """What was found on a scan.

    Args:
        measured: The figures.
        view: What the page shows.
    """

    measured: Measured
    view: ScanView


def judge_scan(
    scan: JudgedScan,
    settings: JudgeSettings,
    *,
    rng: np.random.Generator,
    class_names: Mapping[int, str],
) -> ScanJudgement:
    """Measure some slices of a scan before and after.

    Args:
        scan: The slices.
        settings: How to measure.
        rng: Draws slices again for intervals.
        class_names: Name of each label.
    """
    before_hu, after_hu = (
        noise_magnitude(volume, body=scan.body) for volume in (scan.before, scan.after)
    )
    power = _power(scan, settings.scan, before_hu)
    measured = Measured(
        (
            *_noise(before_hu, after_hu),
            *_drift(scan),
            *_organs(scan, settings.scan, rng, class_names),
            *_against_truth(scan, settings.windows),
        ),
        conditions=(
            ("scan", {"slices": [n + 1 for n in scan.places], "slices_of_scan": scan.slices}),
        ),
    )
    if power is not None:
        measured += power.measured(rng)
    return ScanJudgement(measured, _view(scan, settings.scan, power, before_hu))


def _noise(before_hu: float | None, after_hu: float | None) -> Iterator[Metric]:
    common: Conventions = {
        "window": "none",
        "mask": "soft tissue of the body",
        "reduction": "mode of the SD of detrended 6 mm patches (global noise level)",
    }
    note = "too little soft tissue"
    for when, level in (("input", before_hu), ("output", after_hu)):
        yield Metric(
            f"noise[scan, {when}]",
            f"Noise magnitude, {when}",
            level,
            "HU",
            better="neither",
            description=f"Noise magnitude in the soft tissue of the {when} "
            "(Christianson et al., AJR 2015).",
            note=note if level is None else "",
            **common,
        )
    change = noise_change_percent(before_hu, after_hu)
    yield Metric(
        "noise_change[scan]",
        "Change of the noise magnitude",
        change,
        "%",
        better="neither",
        description="Noise magnitude of the output against the input; negative is less noise.",
        note="" if change is not None else "the input has no noise" if before_hu == 0 else note,
        **common,
    )


def _drift(scan: JudgedScan) -> Iterator[Metric]:
    spacing = scan.before.geometry.pixel_spacing_mm
    total: dict[str, DriftSums] | None = None
    for index, (before, after) in enumerate(_images(scan)):
        image = _image_mask(scan.before, index)
        found = tissue_drift(before, after, scan.body[index], image, pixel_spacing_mm=spacing)
        total = found if total is None else added(total, found)
    for name, both in (total or {}).items():
        sums = both.sums
        if sums.ratio is None:
            continue
        value, interval = -sums.ratio, None
        if sums.standard_error is not None:
            half = _DEVIATIONS * sums.standard_error
            interval = Interval(
                value - half, value + half, f"ratio estimator over {sums.clusters} squares of 20 mm"
            )
        title = TITLES[name]
        yield Metric(
            f"drift[{name}]",
            f"Drift of {title}",
            value,
            "HU",
            window="none",
            mask=f"{title}, by a mean over 4.5 mm",
            reduction="mean over the places of all slices",
            better="near zero",
            description=f"By how much the mean of {title} moved from input to output.",
            interval=interval,
        )


def _organs(
    scan: JudgedScan,
    settings: ScanStudySettings,
    rng: np.random.Generator,
    class_names: Mapping[int, str],
) -> Iterator[Metric]:
    if scan.labels is None:
        return
    yield from organ_changes(
        scan.before.hu, scan.after.hu, scan.labels, class_names, draws=settings.draws, rng=rng
    )


_ERRORS = ("rmse", "mae", "bias", "psnr", "ssim")


def _against_truth(scan: JudgedScan, windows: tuple[WindowSettings, ...]) -> Iterator[Metric]:
    """Errors before and after against a truth, and by how much the RMSE fell."""
    if scan.truth is None:
        return
    settings = EvaluateSettings(windows=windows, page=None)
    found: dict[str, Metric] = {}
    for when, volume in (("input", scan.before), ("output", scan.after)):
        result = evaluate(scan.truth, volume, settings, body=scan.body, progress=SILENT)
        for metric in result.metrics:
            if metric.key.partition("[")[0] in _ERRORS:
                key = f"{metric.key}[{when}]"
                found[key] = replace(metric, key=key, title=f"{metric.title}, {when}")
    yield from found.values()
    before, after = (found[f"rmse[{when}]"] for when in ("input", "output"))
    if before.value and after.value is not None:
        better: Better = "lower"
        yield replace(
            after,
            key="rmse_change",
            title="Change of the RMSE",
            value=100 * (after.value / before.value - 1),
            unit="%",
            better=better,
            description="Root mean squared difference from the truth, output against input; "
            "negative is closer to the truth.",
        )


def _power(
    scan: JudgedScan, settings: ScanStudySettings, noise_hu: float | None
) -> SpectrumChange | None:
    """Spectra of the flat patches of every slice; None where too few are flat."""
    truth: Truth = "scan"
    reference = scan.before
    if scan.truth is not None:
        noise_of_truth = noise_magnitude(scan.truth, body=scan.body)
        if noise_hu and noise_of_truth is not None and noise_of_truth < _NOISELESS * noise_hu:
            truth, reference = "exact", scan.truth
    areas = _flat(reference, scan.body, settings.patch_mm, truth)
    if areas is None:
        return None
    side_mm = areas.side * float(np.sqrt(np.prod(scan.before.geometry.pixel_spacing_mm)))
    less = ", less the truth" if truth == "exact" else ""
    return SpectrumChange(
        noise_power(scan.before, reference, areas),
        noise_power(scan.after, reference, areas),
        where="scan",
        mask=f"the flattest patches of soft tissue, {side_mm:.0f} mm wide{less}",
        draws=settings.draws,
    )


def _flat(reference: CTVolume, body: BoolArray, patch_mm: float, truth: Truth) -> FlatAreas | None:
    for share in _SMALLER_PATCHES:
        side = max(8, cell_pixels(reference.geometry.pixel_spacing_mm, share * patch_mm))
        areas = flat_areas(reference, body, side=side, truth=truth)
        if areas.patches:
            return areas
    return None


def _view(
    scan: JudgedScan,
    settings: ScanStudySettings,
    power: SpectrumChange | None,
    noise_hu: float | None,
) -> ScanView:
    views = [_slice_view(scan, index) for index in range(len(scan.places))]
    with_body = [n for n in range(len(views)) if scan.body[n].any()]
    middle = with_body[len(with_body) // 2] if with_body else len(views) // 2
    maps = [_noise_map(volume.select([middle])) for volume in (scan.before, scan.after)]
    places = tuple(
        PlaceView(views[one.place], one.row, one.column, one.ratio, one.excess_hu)
        for one in _worst(scan, settings.regions)
    )
    return ScanView(
        scan.before.geometry,
        views[middle],
        places,
        maps[0],
        maps[1],
        None if power is None else _spectrum_view(power),
        noise_hu,
        tuple(place + 1 for place in scan.places),
        scan.slices,
    )


def _slice_view(scan: JudgedScan, index: int) -> SliceView:
    padding = scan.before.padding
    return SliceView(
        scan.places[index] + 1,
        scan.before.hu[index],
        scan.after.hu[index],
        scan.body[index],
        None if scan.truth is None else scan.truth.hu[index],
        None if padding is None else padding[index],
    )


def _noise_map(volume: CTVolume) -> HuArray:
    """The noise around each pixel of the only slice of a volume, HU [y, x]."""
    geometry = volume.geometry
    return noise_of(volume).at(0, (0, 0), (geometry.rows, geometry.columns))


def _worst(scan: JudgedScan, most: int) -> list[Structured]:
    """The places where most beside noise was removed, of all slices; `place` indexes the slices."""
    geometry = scan.before.geometry
    found: list[Structured] = []
    for index, (before, after) in enumerate(_images(scan)):
        found += structured_places(
            before - after,
            scan.body[index],
            place=index,
            pixel_spacing_mm=geometry.pixel_spacing_mm,
            most=most,
        )
    gaps = [abs(high - low) for low, high in pairwise(geometry.along_normal_mm().tolist())]
    return apart(found, most, (geometry.pixel_spacing_mm, min(gaps, default=0.0)))


def _images(scan: JudgedScan) -> Iterator[tuple[HuArray, HuArray]]:
    """Each slice before and after, air at padding."""
    for index in range(len(scan.places)):
        image = _image_mask(scan.before, index)
        pair = (scan.before.hu[index], scan.after.hu[index])
        if image.all():
            yield pair
        else:
            before, after = (np.where(image, one, np.float32(AIR_HU)) for one in pair)
            yield before, after


def _image_mask(volume: CTVolume, index: int) -> BoolArray:
    if volume.padding is None:
        return np.ones(volume.shape[1:], dtype=np.bool_)
    inside: BoolArray = ~volume.padding[index]
    return inside


def _spectrum_view(power: SpectrumChange) -> SpectrumView | None:
    spectra = []
    for slices in (power.before, power.after):
        total: PowerSums = slices[0]
        for one in slices[1:]:
            total = total + one
        spectra.append(np.fft.fftshift(total.spectrum))
    spacing = power.before[0].pixel_spacing_mm
    return SpectrumView(spectra[0], spectra[1], (0.5 / spacing[0], 0.5 / spacing[1]))
