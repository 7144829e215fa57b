"""The kernel, the photons and the spread of noise that explain the noise of a scan.

The noise of the scan is measured in flat patches, and the noise that the simulator predicts with
the very same patches, window and statistic in simulated slices. What window, detrending,
interpolation and correlation do to both cancels in their ratio:

* its course with the frequency corrects the kernel, A^2 -> A^2 * measured / simulated;
* its level gives the photons, N0 -> N0 * simulated / measured;
* its course from slice to slice is the tube current along z, which headers rarely hold;
* its course with the distance from the isocentre is what geometry and bowtie leave over.

A few rounds make all four agree. A(0) = 1, since a kernel keeps the mean, by a smooth curve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.arrays import DoubleArray, FloatArray, HuArray
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.kernel_curve import POINTS, continued, smooth_change, table_kernel
from ctdenoise.simulation.model import RadialTrend, ScanModel
from ctdenoise.simulation.noise import NoiseStatistics, native_noise, slice_keys
from ctdenoise.simulation.noise_comparison import (
    Comparison,
    MeasuredNoise,
    compare,
    measure,
)
from ctdenoise.simulation.parallel import insertion_of
from ctdenoise.simulation.patch_spectra import leakage, pairs_of, spectra_of
from ctdenoise.simulation.spatial_fit import NoiseByPlace, noise_by_place

ROUNDS = 4
"""Simulations: the last one confirms, and corrects the level alone."""

ENOUGH_VIEWS = 288
"""Views of a turn with which noise is simulated here."""

_FIRST_F50_PER_MM = 0.6
"""The kernel begins sharp: a ring with too much simulated noise is soon corrected, one with too
little shows what leaks into it."""

_NEAR_NYQUIST = 0.85
_PASSES_MUCH = 0.12
"""A kernel with this height at this fraction of the Nyquist frequency cannot be followed by single
samples: what their interpolation mirrors at that frequency would show."""

_ANATOMY_BELOW_PER_MM = 0.25
_CLEARLY_ABOVE = 0.06

_ANATOMY_WEIGHT = 0.02
"""Weight of rings that anatomy had to be taken out of."""

PHOTON_LIMITS = (1e3, 1e9)


class Wanted(NamedTuple):
    """What is to be found besides the photons.

    Args:
        kernel: The kernel; else that of the model is kept.
        along_z: Photons of each pair of slices.
        radial_trend: Change of the noise with the distance from the isocentre.
        doubled: Two samples in each channel, if the kernel passes what one cannot sample.
    """

    kernel: bool
    along_z: bool
    radial_trend: bool
    doubled: bool


@dataclass(frozen=True, eq=False)
class NoiseFit:
    """What explains the noise of a scan, and how well.

    Args:
        model: The scan, with the kernel and the radial trend that were found.
        photons: N0 of a slice of relative exposure 1.
        pair_photons: Photons of each pair of slices over N0 and known exposure, [pair].
        pair_error: Relative standard error of the noise of each pair, [pair].
        frequency_per_mm: Of the spectra, [frequency].
        measured_nps: Radial noise power of flat patches, HU^2 mm^2, [frequency].
        simulated_nps: The same, simulated with all that was found, [frequency].
        trusted: Highest frequency with noise to be seen, 1/mm.
        places: Measured over simulated noise by slice and radius.
        slice_correlation: Of the noise in neighbouring slices; None for a single slice.
        flat_patches: Patches that the spectrum was measured in.
        uncertainty: Relative standard error of the noise level.
    """

    model: ScanModel
    photons: float
    pair_photons: DoubleArray
    pair_error: DoubleArray
    frequency_per_mm: DoubleArray
    measured_nps: DoubleArray
    simulated_nps: DoubleArray
    trusted_per_mm: float
    places: NoiseByPlace | None
    slice_correlation: float | None
    flat_patches: int
    uncertainty: float


class _State(NamedTuple):
    """What is found so far.

    Args:
        log_square: ln A^2 on the grid of frequencies.
        photons: N0.
        pair_photons: Relative photons of each pair.
        trend: Radial trend.
    """

    log_square: DoubleArray
    photons: float
    pair_photons: DoubleArray
    trend: RadialTrend | None


class _Slices:
    """Simulated full-dose noise of the sampled slices.

    Few views with the photons of many make noise of the same variance and texture: every ray is
    drawn on its own, and patches do not tell directions that are a degree apart.

    Args:
        hu: Slices without padding.
        model: The scanner.
        settings: Electronic noise and count floor.
        exposure: Known relative exposure of each slice, [slice].
    """

    def __init__(
        self, hu: HuArray, model: ScanModel, settings: SimulateSettings, exposure: DoubleArray
    ) -> None:
        views = model.fan.views
        if views > 2 * ENOUGH_VIEWS:
            views = ENOUGH_VIEWS
        self._fan = replace(model.fan, views=views)
        self._views_in_one = model.fan.views / views
        self._line_integrals = insertion_of(self._with_fewer_views(model)).project(hu)
        readings = self._views_in_one * model.rows
        self._statistics: NoiseStatistics = native_noise(
            1.0,
            electronic_noise=settings.electronic_noise_quanta * np.sqrt(readings),
            floor=settings.count_floor * readings,
        )
        self._exposure = exposure * self._views_in_one
        # Always the same draw: the fit is a smooth function of the scan and a fact of it.
        names = [f"calibration {index}".encode() for index in range(len(hu))]
        self._keys = slice_keys(names)

    def _with_fewer_views(self, model: ScanModel) -> ScanModel:
        return replace(model, fan=self._fan, radial_trend=None)

    def spectra(self, model: ScanModel, state: _State, scan: MeasuredNoise) -> FloatArray:
        """Power of simulated noise in the patches, [slice of a pair, patch, frequency]."""
        count = len(self._exposure)
        pair = np.minimum(np.arange(count) // 2, len(state.pair_photons) - 1)
        photons = state.photons * self._exposure * state.pair_photons[pair]
        simulated = self._with_fewer_views(model).with_trend(state.trend)
        insertion = insertion_of(simulated)
        image = insertion.draw(
            self._line_integrals,
            self._statistics,
            photons=photons.astype(np.float32),
            keys=self._keys,
        )
        noise = np.ascontiguousarray(image[:, :, :count].transpose(2, 0, 1))
        if not scan.is_paired:
            return spectra_of(noise, scan.patches, model.grid).power[None]
        return np.stack(
            [spectra_of(part, scan.patches, model.grid).power for part in pairs_of(noise)]
        )


def fit_noise(
    hu: HuArray,
    sample: CTVolume,
    model: ScanModel,
    settings: SimulateSettings,
    *,
    exposure: DoubleArray,
    guess: float,
    wanted: Wanted,
) -> NoiseFit | None:
    """Find what explains the noise of some slices; None where too little of it can be seen.

    Args:
        hu: The slices without padding, two and two neighbours, or a single one.
        sample: The same slices with their padding.
        model: The scanner.
        settings: Electronic noise and count floor.
        exposure: Known relative exposure of each slice, [slice].
        guess: N0 to begin with.
        wanted: What to find besides the photons.
    """
    scan = measure(hu, sample, model)
    if scan is None:
        return None
    slices = _Slices(hu, model, settings, exposure)
    grid = _kernel_frequencies(model, scan)
    state = _State(
        -2 * np.log(2) * (grid / _FIRST_F50_PER_MM) ** 2,
        guess,
        np.ones(len(scan.patches.chosen)),
        None,
    )
    for number in range(ROUNDS):
        if wanted.kernel:
            model = model.with_kernel(table_kernel(state.log_square, grid))
        comparison = compare(scan, slices.spectra(model, state, scan))
        places = noise_by_place(comparison.variance_ratio, comparison.excess, scan.patches)
        if number == ROUNDS - 1:
            break
        state = _improved(state, comparison, places, scan, model, grid, wanted)
        if number == 0 and wanted.kernel and wanted.doubled and _needs_more(state, grid, model):
            model = model.doubled()
            slices = _Slices(hu, model, settings, exposure)
            finer = _kernel_frequencies(model, scan)
            curve = np.interp(finer, grid, state.log_square)
            state = state._replace(log_square=continued(curve, finer, float(grid[-1])))
            grid = finer
    level = _variance_ratio(comparison, scan)
    return _result(scan, comparison, places, model, state, level)


def _kernel_frequencies(model: ScanModel, scan: MeasuredNoise) -> DoubleArray:
    """Frequencies of the kernel: up to what channels sample and patches show."""
    nyquist_per_mm = 0.5 / model.fan.channel_width_mm
    return np.linspace(0, min(nyquist_per_mm, 1.02 * scan.frequency_per_mm[-1]), POINTS)


def _needs_more(state: _State, grid: DoubleArray, model: ScanModel) -> bool:
    """Whether a kernel passes much of what lies near the Nyquist frequency of the channels."""
    near = _NEAR_NYQUIST * 0.5 / model.fan.channel_width_mm
    passed = float(np.exp(0.5 * np.interp(near, grid, state.log_square)))
    return near < float(grid[-1]) and passed > _PASSES_MUCH


def _improved(
    state: _State,
    comparison: Comparison,
    places: NoiseByPlace | None,
    scan: MeasuredNoise,
    model: ScanModel,
    grid: DoubleArray,
    wanted: Wanted,
) -> _State:
    """What is found after one more comparison."""
    if wanted.kernel:
        curve = _corrected_curve(state.log_square, comparison, scan, model, grid)
        ratio = float(np.exp(curve[0]))
        state = state._replace(log_square=curve - curve[0])
    else:
        ratio = _variance_ratio(comparison, scan)
    state = state._replace(photons=float(np.clip(state.photons / ratio, *PHOTON_LIMITS)))
    if places is None:
        return state
    if wanted.along_z:
        known = np.isfinite(places.pair)
        relative = places.pair / np.exp(np.nanmean(np.log(places.pair)))
        photons = state.pair_photons / np.where(known, relative, 1.0) ** 2
        state = state._replace(pair_photons=photons / np.exp(np.mean(np.log(photons))))
    if wanted.radial_trend:
        state = state._replace(trend=places.trend(state.trend))
    return state


def _corrected_curve(
    log_square: DoubleArray,
    comparison: Comparison,
    scan: MeasuredNoise,
    model: ScanModel,
    grid: DoubleArray,
) -> DoubleArray:
    """Ln A^2 (not yet 0 at zero frequency) after one more comparison."""
    rings = comparison.trusted & (scan.frequency_per_mm <= grid[-1])
    spacing = model.grid.row_spacing_mm, model.grid.column_spacing_mm
    sent = leakage(scan.patches.side, *spacing, float(grid[-1]), len(grid))[rings]
    sent = sent * np.maximum(grid, grid[1] / 4) * np.exp(log_square)
    sent /= sent.sum(axis=1, keepdims=True)
    log_ratio = np.log(comparison.measured[rings] / comparison.simulated[rings])
    frequency = scan.frequency_per_mm[rings]
    low = frequency < _ANATOMY_BELOW_PER_MM
    doubted = low | comparison.has_anatomy[rings]
    weights = scan.modes[rings] * np.where(doubted, _ANATOMY_WEIGHT, 1.0)
    change = smooth_change(log_ratio, weights, sent, grid)
    # Anatomy only adds: low rings are believed unless they lie above what the others foretell.
    foretold = np.log(sent @ np.exp(change))
    believed = low & ~comparison.has_anatomy[rings] & (log_ratio < foretold + _CLEARLY_ABOVE)
    weights[believed] = scan.modes[rings][believed]
    change = smooth_change(log_ratio, weights, sent, grid)
    return continued(log_square + change, grid, float(frequency[-1]))


def _variance_ratio(comparison: Comparison, scan: MeasuredNoise) -> float:
    """Measured over simulated variance, from the rings that show noise."""
    high = scan.frequency_per_mm > _ANATOMY_BELOW_PER_MM
    undisturbed = (
        comparison.trusted & high if np.any(comparison.trusted & high) else comparison.trusted
    )
    weights = scan.modes * undisturbed
    return float(weights @ comparison.measured / (weights @ comparison.simulated))


def _result(
    scan: MeasuredNoise,
    comparison: Comparison,
    places: NoiseByPlace | None,
    model: ScanModel,
    state: _State,
    level: float,
) -> NoiseFit:
    unit = float(np.median(comparison.scale[comparison.flat]))
    errors = np.full(len(state.pair_photons), np.nan) if places is None else places.pair_error
    finite = errors[np.isfinite(errors)]
    if not len(finite):
        # Patches that overlap by half hold about a half of independent noise each.
        spread = np.std(np.log(comparison.variance_ratio[comparison.flat])) / 2
        finite = np.array([spread / np.sqrt(np.count_nonzero(comparison.flat) / 2)])
    return NoiseFit(
        model=model.with_trend(state.trend),
        photons=float(np.clip(state.photons / level, *PHOTON_LIMITS)),
        pair_photons=state.pair_photons,
        pair_error=errors,
        frequency_per_mm=scan.frequency_per_mm,
        measured_nps=comparison.measured * unit,
        simulated_nps=comparison.simulated * level * unit,
        trusted_per_mm=float(scan.frequency_per_mm[comparison.trusted][-1]),
        places=places,
        slice_correlation=comparison.correlation if scan.is_paired else None,
        flat_patches=int(np.count_nonzero(comparison.flat)),
        uncertainty=float(np.sqrt(np.mean(finite**2) / len(finite))),
    )
