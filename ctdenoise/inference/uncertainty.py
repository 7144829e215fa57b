"""How far a denoised image may be off, around every pixel: found on the scan itself.

Any method can be asked, and nothing is trained. A few slices of the scan are denoised, the result
is taken for the truth, noise like that of the scan is added to it, and it is denoised again, with
the same controls. The error of this second pass is known in every pixel (the parametric bootstrap;
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6). From it an `ErrorModel`
is made: what error was met where the noise was so strong and the edges in the result so steep.

The first result has lost what the method takes away for good, so a second pass has less to lose.
Two things make up for it:

* Edges. With y = x + n, result x' and error e = x' - x, what was removed is r = y - x' = n - e, so
  E[e^2] - E[r^2] = 2 E[n e] - sigma^2, which depends on how the method treats noise and not on what
  it does to x (Stein, Annals of Statistics 9, 1981). Both passes treat noise alike, hence
  E[e^2] = E[e'^2] + E[r^2] - E[r'^2]. The difference is taken for pixels with equally steep edges
  and counts only above what flat areas show: there it would be the small difference of two large
  variances, and no noise is known that well.
* Texture. Tissue is not as smooth as a denoised image. Before the noise, a random field with the
  spectrum of tissue is added to the body, and belongs to the truth. How strong it is, is assumed
  (`objects.texture_hu`): fine structure that a method took away cannot be told from noise any more.

What is stated is the error of the image as it is written: with a lower strength, more of it is
noise that was left. Where nothing was changed, it is the noise.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ctdenoise.core.arrays import BoolArray, DoubleArray, FloatArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.core.randomness import stream
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.denoiser import Denoiser, Denoising
from ctdenoise.inference.error_model import ErrorModel, fit_error_model
from ctdenoise.inference.method import Block, Estimates, Sample, plan_blocks
from ctdenoise.inference.noise_like import NoiseSpectrum, noise_spectrum
from ctdenoise.inference.told_noise import ToldNoise
from ctdenoise.metrics.noise_map import noise_of
from ctdenoise.phantoms.texture import power_law_field

_log = logging.getLogger(__name__)

SLICES = 6
"""Slices that are denoised twice, at most."""

PASSES = 2
"""How often each of them is denoised."""

_TEXTURE_STEP_MM = 5.0  # from slice to slice: the slices that are denoised lie farther apart

EDGE_PIXELS = (0.7, 0.5)
"""Standard deviations of the Gaussian in whose gradient edges show, and of the one that averages
the square of it, pixels: with wider ones, the far flank of a strong edge looks like a weak edge."""

LEAST_NOISE_HU = 0.3
"""Noise is taken to be at least this: stored values are rounded to 1 HU, sd 1 / sqrt(12)."""

AGREEMENT = (0.8, 1.25)
"""Where what is removed from flat areas in the first pass over that in the second (standard
deviations) lies outside of this, the noise of the scan was not met and a warning says so."""

_EDGE_SHARES = (*np.linspace(0, 0.9, 11)[1:].tolist(), 0.94, 0.97, 0.985, 0.995)
"""Shares of the pixels between which edges count as equally steep."""

_RIM_PIXELS = 3  # the outline of a body is where it was blurred to a half

_FLAT_CLASSES = 6
"""Classes of pixels, from the flattest, that count as flat: 54 % of the pixels."""


class _Denoised(Protocol):
    """Some slices without noise, and what the method says of them."""

    @property
    def volume(self) -> CTVolume: ...

    @property
    def estimates(self) -> Estimates: ...


class _Denoising(Protocol):
    """A denoiser that is ready for the blocks of a scan; see `denoiser.Denoising`."""

    def denoise(self, block: Block) -> _Denoised: ...


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """States the error of a denoised scan.

    Args:
        model: From what is seen around a pixel to its error.
        noise: The noise of the scan.
        record: How it was found, plain JSON.
    """

    model: ErrorModel
    noise: ToldNoise
    record: Mapping[str, JsonValue]

    @property
    def rms_hu(self) -> float | None:
        """Root mean square of the errors that were met in the body, HU; None without any."""
        rms = self.record["rms_error_hu"]
        return float(rms) if isinstance(rms, int | float) else None

    def of(self, before: CTVolume, denoised: _Denoised, places: range) -> HuArray:
        """Standard deviation of the error of some slices, HU, float32 [z, y, x]; 0 at padding.

        Args:
            before: The slices.
            denoised: What was made of them, with the error that the network states if it does.
            places: Where in the scan they are.
        """
        noise = _noise_hu(self.noise, places, before)
        sd_hu = self.model.sd_hu(_variances(denoised, noise))
        unchanged = denoised.volume.hu == before.hu
        sd_hu[unchanged] = noise[unchanged]
        if before.padding is not None:
            sd_hu[before.padding] = 0.0
        return sd_hu


@dataclass(frozen=True, slots=True, eq=False)
class _Pass:
    """What is known of the pixels of the body that a pass changed, each [pixel].

    Args:
        removed: Square of what was removed, HU^2.
        variances: What is seen around each pixel, HU^2: of noise, of edges, as stated.
        error: Square of the error, HU^2; of the second pass only.
    """

    removed: DoubleArray
    variances: tuple[DoubleArray, ...]
    error: DoubleArray

    @property
    def steepness(self) -> DoubleArray:
        """Of edges, in units of the noise."""
        return self.variances[1] / self.variances[0]

    @classmethod
    def joined(cls, parts: Sequence[_Pass]) -> _Pass:
        """The pixels of several slices."""
        kinds = range(len(parts[0].variances))
        return cls(
            np.concatenate([part.removed for part in parts]),
            tuple(np.concatenate([part.variances[kind] for part in parts]) for kind in kinds),
            np.concatenate([part.error for part in parts]),
        )


def denoised_with_uncertainty(
    denoiser: Denoiser, volume: CTVolume, *, texture_hu: float
) -> tuple[CTVolume, HuArray]:
    """A denoised volume, and the standard deviation of the error of its pixels.

    Args:
        denoiser: Any.
        volume: Any stack of slices.
        texture_hu: Standard deviation of the texture that tissue is taken to have; 6 is the default
            of `infer`, and 0 is for phantoms of plastic and water.

    Returns:
        The volume, and the map, HU, float32 [z, y, x], 0 at padding.
    """
    sample = Sample.of(volume, denoiser.context)
    denoising = denoiser.settle(sample, volume, error=denoiser.states_error)
    found = settle_uncertainty(denoising, sample, context=denoiser.context, texture_hu=texture_hu)
    hu, sd_hu = np.empty_like(volume.hu), np.empty_like(volume.hu)
    for plan in plan_blocks(volume.shape[0], size=denoising.block_slices, context=denoiser.context):
        block = Block(volume.select(plan.outer), plan.outer.start, plan.inner)
        denoised = denoising.denoise(block)
        some = slice(block.places.start, block.places.stop)
        hu[some] = denoised.volume.hu
        sd_hu[some] = found.of(block.wanted, denoised, block.places)
    return volume.with_hu(hu, denoising.step), sd_hu


def everywhere(denoising: Denoising) -> Denoising:
    """The same denoiser of a scan without a bound on where it may change anything.

    Args:
        denoising: Ready for the scan.
    """
    settled = denoising.settled
    controls = replace(settled.controls, region=None)
    return replace(denoising, settled=replace(settled, controls=controls))


def settle_uncertainty(
    denoising: _Denoising, sample: Sample, *, context: int, texture_hu: float
) -> Uncertainty:
    """Find out how large the errors of a denoiser are on a scan.

    Args:
        denoising: Ready for the scan; with stated errors, if its network states them.
        sample: Some of its slices.
        context: Slices on either side of a block that the denoiser looks at.
        texture_hu: Standard deviation of the texture that tissue is taken to have.
    """
    noise = _measured(sample)
    usable = sample.surrounded(context)
    wanted = min(len(usable), SLICES)
    numbers = [usable[int((n + 0.5) * len(usable) / wanted)] for n in range(wanted)]
    again = _Again.of(denoising, sample, numbers, noise, texture_hu=texture_hu)
    passes = [again.passes(sample.block(number, context)) for number in numbers]
    first = _Pass.joined([one for one, _ in passes])
    second = _Pass.joined([one for _, one in passes])
    lost, agreement = _lost_at_edges(first, second)
    errors = second.error + lost
    rng = stream(0, "uncertainty", "pixels")
    model = fit_error_model(errors, second.variances, rng) if errors.size else ErrorModel.of_noise()
    if not AGREEMENT[0] <= agreement <= AGREEMENT[1]:
        _log.warning(
            "The noise of this scan could not be imitated well: %.2f times as much is taken from "
            "flat areas as of the noise that was drawn. Take the uncertainty map as a hint.",
            agreement,
        )
    record: dict[str, JsonValue] = {
        "slices": len(numbers),
        "pixels": int(errors.size),
        "noise_level_hu": round(noise.measured_hu, 3),
        "noise_texture": "measured" if again.spectrum.measured else "typical",
        "texture_hu": texture_hu,
        "removed_first_over_second": round(agreement, 3),
        "rms_error_hu": round(float(np.sqrt(errors.mean())), 2) if errors.size else None,
    }
    return Uncertainty(model, noise, record)


@dataclass(frozen=True, slots=True, eq=False)
class _Again:
    """Denoises slices twice.

    Args:
        denoising: Ready for the scan.
        noise: Of the scan.
        spectrum: Of this noise.
        rng: Draws noise.
        texture: Fields of tissue texture, HU, float32 [z, y, x], one for each slice in turn.
    """

    denoising: _Denoising
    noise: ToldNoise
    spectrum: NoiseSpectrum
    rng: np.random.Generator
    texture: FloatArray

    @classmethod
    def of(
        cls,
        denoising: _Denoising,
        sample: Sample,
        numbers: Sequence[int],
        noise: ToldNoise,
        *,
        texture_hu: float,
    ) -> _Again:
        """With the noise that some slices of the sample have."""
        chosen = sample.volume.select(numbers)
        places = [sample.places[number] for number in numbers]
        noise_hu = np.concatenate([_noise_hu(noise, range(p, p + 1), chosen) for p in places])
        spectrum = noise_spectrum(chosen, body_mask(chosen.hu, chosen.padding), noise_hu)
        spacing = (_TEXTURE_STEP_MM, *chosen.geometry.pixel_spacing_mm)
        rng = stream(0, "uncertainty", "texture")
        texture = np.float32(texture_hu) * power_law_field(chosen.shape, spacing, rng)
        return cls(denoising, noise, spectrum, stream(0, "uncertainty", "noise"), texture)

    def passes(self, block: Block) -> tuple[_Pass, _Pass]:
        """What the first and the second pass do to the slice that a block means."""
        before, noise_hu = block.wanted, _noise_hu(self.noise, block.places, block.wanted)
        first = self.denoising.denoise(block)
        truth = self._truth(block, first.volume)
        shape, spacing = truth.shape[1:], truth.geometry.pixel_spacing_mm
        places = range(block.first, block.first + truth.shape[0])
        strength = _noise_hu(self.noise, places, truth)
        drawn = np.stack([self.spectrum.draw(shape, spacing, self.rng) for _ in places])
        noisy = truth.with_hu(truth.hu + strength * drawn, Step("add_noise"))
        again = Block(noisy, block.first, block.inner)
        second = self.denoising.denoise(again)
        true_hu = truth.hu[block.inner]
        counted = _counted(first.volume)
        return (
            _pass(before, first, noise_hu, counted, true_hu),
            _pass(again.wanted, second, noise_hu, counted, true_hu),
        )

    def _truth(self, block: Block, found: CTVolume) -> CTVolume:
        """Slices of a block and those around, denoised, with texture in the body."""
        whole = slice(0, block.volume.shape[0])
        if block.inner != whole:
            alone = replace(block, inner=whole, alone=True)  # the sample has no more around it
            found = self.denoising.denoise(alone).volume
        body = body_mask(found.hu, found.padding)
        field = self.texture[np.arange(whole.stop) % len(self.texture)]
        moved = np.roll(field, self.rng.integers(0, field.shape[1:]), axis=(1, 2))
        return found.with_hu(found.hu + moved * body, Step("add_texture"))


def _pass(
    before: CTVolume, after: _Denoised, noise_hu: FloatArray, counted: BoolArray, true_hu: HuArray
) -> _Pass:
    counted = counted & (after.volume.hu != before.hu)
    removed = (before.hu - after.volume.hu)[counted].astype(np.float64)
    error = (after.volume.hu - true_hu)[counted].astype(np.float64)
    seen = _variances(after, noise_hu)
    return _Pass(removed**2, tuple(one[counted].astype(np.float64) for one in seen), error**2)


def _measured(sample: Sample) -> ToldNoise:
    found = noise_of(sample.volume)
    return ToldNoise(found, sample.places, found.level_hu, None, 1.0)


def _noise_hu(noise: ToldNoise, places: range, volume: CTVolume) -> FloatArray:
    """Noise around every pixel of the slices at some places, HU, above 0."""
    strength: FloatArray = np.maximum(noise.slices(places, volume), np.float32(LEAST_NOISE_HU))
    return strength


def _counted(volume: CTVolume) -> BoolArray:
    """The body and its rim on both sides; where there is no body, everything; without padding."""
    body = body_mask(volume.hu, volume.padding)
    if body.any():
        body = np.stack([ndimage.binary_dilation(one, iterations=_RIM_PIXELS) for one in body])
    else:
        body[:] = True
    return body if volume.padding is None else body & ~volume.padding


def _variances(denoised: _Denoised, noise_hu: FloatArray) -> tuple[FloatArray, ...]:
    """What is seen around each pixel, HU^2 [z, y, x]: of noise, of edges, as the network states."""
    volume, stated = denoised.volume, denoised.estimates.error_hu
    edges = np.empty(volume.shape, np.float32)
    image = volume.hu
    if volume.padding is not None:
        image = np.where(volume.padding, np.float32(AIR_HU), image)
    for index in range(len(image)):
        steep = ndimage.gaussian_gradient_magnitude(image[index], EDGE_PIXELS[0])
        edges[index] = ndimage.gaussian_filter(np.square(steep), EDGE_PIXELS[1])
    return (noise_hu**2, edges, *(() if stated is None else (stated**2,)))


def _lost_at_edges(first: _Pass, second: _Pass) -> tuple[DoubleArray, float]:
    """What the error of each pixel of the second pass lacks, HU^2, and how alike the passes are.

    The second figure is what is removed from flat areas in the first pass over that in the second,
    in units of the noise, as a ratio of standard deviations.
    """
    if not (first.removed.size and second.removed.size):
        return np.zeros(second.removed.size), 1.0
    limits = np.quantile(first.steepness, _EDGE_SHARES)
    classes = len(limits) + 1
    of_first = np.digitize(first.steepness, limits)
    of_second = np.digitize(second.steepness, limits)
    by_first = _means(of_first, first.removed / first.variances[0], classes)
    by_second = _means(of_second, second.removed / second.variances[0], classes)
    flat = by_first[:_FLAT_CLASSES].sum(), by_second[:_FLAT_CLASSES].sum()
    alike = float(flat[0] / flat[1]) if flat[0] > 0 and flat[1] > 0 else 1.0
    lost = np.maximum(by_first - alike * by_second, 0.0)
    lost[:_FLAT_CLASSES] = 0.0
    return lost[of_second] * second.variances[0], float(np.sqrt(alike))


def _means(classes: npt.NDArray[np.int64], values: DoubleArray, count: int) -> DoubleArray:
    sums = np.bincount(classes, values, minlength=count)
    means: DoubleArray = sums / np.maximum(np.bincount(classes, minlength=count), 1)
    return means
