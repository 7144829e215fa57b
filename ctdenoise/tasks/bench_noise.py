"""Noise on scanned phantoms: its size, texture and direction, in water and in a texture.

A denoiser takes less noise where there is structure, and water alone would flatter it: both
backgrounds are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.measured import Axis, Curve, HeatMap, Measured
from ctdenoise.metrics.noise_angles import angular_anisotropy
from ctdenoise.metrics.noise_transfer import (
    NoiseChange,
    NoiseSamples,
    noise_change,
    noise_samples,
    repeat_noise,
)
from ctdenoise.metrics.nps import patches_at, power_of
from ctdenoise.metrics.table import Better, Interval, Metric
from ctdenoise.metrics.transfer import resampled
from ctdenoise.tasks.bench_scans import BenchScans, DoseScans

_FREQUENCY = Axis("Spatial frequency", "1/mm")
_POWER = Axis("Noise power", "HU\N{SUPERSCRIPT TWO} mm\N{SUPERSCRIPT TWO}")
_RATIO = Axis("Noise power, output over input")


@dataclass(frozen=True, slots=True, eq=False)
class NoisePair:
    """Noise in one background, before and after.

    Args:
        where: What stands in the brackets of keys: "water, 25 %".
        dose_fraction: The dose.
        background: "water" or "texture".
        reduction: How it was measured.
        before: Noise of the input.
        after: Noise of the output.
        samples: What was resampled, for people: "16 slices".
    """

    where: str
    dose_fraction: float
    background: str
    reduction: str
    before: NoiseSamples
    after: NoiseSamples
    samples: str


def water_noise(bench: BenchScans, scans: DoseScans, *, suffix: str) -> NoisePair:
    """Noise in water, of which the scanner's image without noise is known.

    Args:
        bench: The phantoms.
        scans: Of one dose.
        suffix: Ends what stands in the brackets of keys.
    """
    clean = bench.water_hu.astype(np.float64)
    before, after = (
        _samples(bench, (one - clean)[:, None]) for one in (scans.water.before, scans.water.after)
    )
    side = _side(bench)
    return NoisePair(
        f"water, {scans.name}{suffix}",
        scans.dose_fraction,
        "water",
        f"mean spectrum of {before.total.count} patches of {side} x {side} pixels less a plane "
        "each, rings",
        before,
        after,
        f"{bench.settings.slices} slices",
    )


def texture_noise(bench: BenchScans, scans: DoseScans, *, suffix: str) -> NoisePair | None:
    """Noise in a texture: what repeats do not share; None without a texture.

    Args:
        bench: The phantoms.
        scans: Of the main dose.
        suffix: Ends what stands in the brackets of keys.
    """
    if not scans.textures:
        return None
    before, after = (
        repeat_noise(np.stack(repeats)).swapaxes(0, 1)  # [slice, repeat, y, x]
        for repeats in (
            [pair.before for pair in scans.textures],
            [pair.after for pair in scans.textures],
        )
    )
    texture = bench.settings.texture
    side = _side(bench)
    return NoisePair(
        f"texture, {scans.name}{suffix}",
        scans.dose_fraction,
        "texture",
        f"each of {texture.repeats} repeats less their mean, a texture of "
        f"{texture.deviation_hu:g} HU; patches of {side} x {side} pixels less a plane each, rings",
        _samples(bench, before),
        _samples(bench, after),
        f"{texture.slices} slices",
    )


def _side(bench: BenchScans) -> int:
    return max(8, round(bench.settings.patch_mm / bench.pixel_spacing_mm[0]))


def _samples(bench: BenchScans, noise: DoubleArray) -> NoiseSamples:
    """Power of each slice, of noise [slice, repeat, y, x]."""
    side = _side(bench)
    inside = bench.even_water
    rows, columns = inside.shape
    corners = [
        (y, x)
        for y in range(rows % side // 2, rows - side + 1, side)
        for x in range(columns % side // 2, columns - side + 1, side)
        if inside[y : y + side, x : x + side].all()
    ]
    return noise_samples(
        [
            power_of(
                np.concatenate([patches_at(image, corners, side) for image in images]),
                pixel_spacing_mm=bench.pixel_spacing_mm,
                order=1,
            )
            for images in noise
        ]
    )


def noise_figures(
    bench: BenchScans, pairs: Sequence[NoisePair], *, rng: np.random.Generator
) -> Measured:
    """Noise, texture and direction after denoising; spectra of the main dose.

    Args:
        bench: The phantoms.
        pairs: Noise in each background, at each dose.
        rng: Draws slices for intervals.
    """
    found = Measured()
    for pair in pairs:
        draws = resampled(len(pair.before.power), bench.settings.draws, rng)
        change = noise_change(pair.after, pair.before, resamplings=draws)
        found += Measured(_metrics(pair, change, bench))
        if pair.dose_fraction == bench.settings.main_dose_fraction:
            found += Measured(curves=_curves(pair, change, draws), heat_maps=_pictures(pair))
    return found


def _metrics(pair: NoisePair, change: NoiseChange, bench: BenchScans) -> tuple[Metric, ...]:
    method = f"bootstrap over {pair.samples}, {bench.settings.draws} draws"
    known = change.noise_ratio is not None and change.noise_ratio > 0
    directions = [angular_anisotropy(one.total) for one in (pair.after, pair.before)]
    direction_notes = [
        f"{name} {one.value:.3f}, {one.by_chance:.3f} by chance"
        for name, one in zip(("output", "input"), directions, strict=True)
        if one is not None
    ]
    figures = (
        _Figure(
            "noise_ratio",
            "Noise left",
            change.noise_ratio,
            "",
            "Standard deviation of the noise after denoising over that before.",
            interval=_interval(change.noise_ratio_interval, method),
        ),
        _Figure(
            "fav_shift",
            "Shift of the mean frequency of the noise",
            change.fav_shift_percent,
            "%",
            "Mean frequency of the noise power spectrum after denoising against that before; "
            "negative is coarser noise.",
            better="near zero",
            note="" if known else "no noise is left",
            interval=_interval(change.fav_shift_interval, method),
        ),
        _Figure(
            "nps_fpeak",
            "Peak frequency of the noise",
            pair.after.total.radial().peak_frequency_per_mm,
            "1/mm",
            "Frequency of the highest ring of the noise power spectrum after denoising.",
        ),
        _Figure(
            "anisotropy",
            "Direction of the noise",
            None if directions[0] is None else directions[0].value,
            "",
            "Noise power in the strongest of twelve directions over the mean of all; streaks "
            "raise it.",
            better="lower",
            note="; ".join(direction_notes),
        ),
    )
    return tuple(_metric(figure, pair) for figure in figures)


@dataclass(frozen=True, slots=True)
class _Figure:
    """What one figure of noise says, wherever it was measured."""

    key: str
    title: str
    value: float | None
    unit: str
    description: str
    better: Better = "neither"
    note: str = ""
    interval: Interval | None = None


def _metric(figure: _Figure, pair: NoisePair) -> Metric:
    return Metric(
        f"{figure.key}[{pair.where}]",
        f"{figure.title} in {pair.background}, {100 * pair.dose_fraction:g} % dose",
        figure.value,
        figure.unit,
        window="none",
        mask=f"{pair.background} away from the surface of the phantom",
        reduction=pair.reduction,
        better=figure.better,
        description=figure.description,
        note=figure.note,
        interval=figure.interval,
        at=(("dose_percent", 100 * pair.dose_fraction),),
    )


def _pictures(pair: NoisePair) -> tuple[HeatMap, ...]:
    """The spectra in two dimensions, zero in the middle: streaks are seen as directions."""
    pictures = []
    for name, noise in (("input", pair.before), ("output", pair.after)):
        fy, fx, power = noise.total.centred()
        pictures.append(
            HeatMap(
                f"nps2d[{pair.where}, {name}]",
                f"Noise power in two dimensions, {name}: {pair.background}",
                Axis("Frequency along y", "1/mm"),
                tuple(f"{value:.2f}" for value in fy),
                Axis("Frequency along x", "1/mm"),
                tuple(f"{value:.2f}" for value in fx),
                power,
                unit="HU\N{SUPERSCRIPT TWO} mm\N{SUPERSCRIPT TWO}",
                note="zero frequency is in the middle",
            )
        )
    return tuple(pictures)


def _interval(ends: tuple[float, float] | None, method: str) -> Interval | None:
    return None if ends is None else Interval(*ends, method)


def _curves(pair: NoisePair, change: NoiseChange, draws: DoubleArray) -> tuple[Curve, ...]:
    key = f"nps[{pair.where}]"
    spectra = []
    for name, noise in (("input", pair.before), ("output", pair.after)):
        power = noise.radial_power(np.ones(len(noise.power)))
        low = high = None
        if len(draws):
            low, high = np.quantile(noise.radial_power(draws), (0.025, 0.975), axis=0)
            low = np.maximum(low, 0.0)
        spectra.append(
            Curve(key, name, noise.frequency_per_mm, power, _FREQUENCY, _POWER, low, high)
        )
    transfer = Curve(
        f"ntf[{pair.where.partition(', ')[2]}]",
        pair.background,
        change.frequency_per_mm,
        change.transfer,
        _FREQUENCY,
        _RATIO,
        change.transfer_low,
        change.transfer_high,
    )
    return (*spectra, transfer)
