"""The noise power spectrum of a scan before and after, with what is known of its error.

The flat patches of a slice overlap and share their anatomy, and slices far apart are independent:
so slices are drawn again, with replacement, and every figure is computed anew from the slices that
were drawn; its interval is that between the 2.5th and the 97.5th percentile. Input and output are
drawn together, so that what they share does not widen the interval of their ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.measured import Axis, Curve, Measured
from ctdenoise.metrics.noise_transfer import noise_samples
from ctdenoise.metrics.nps import PowerSums
from ctdenoise.metrics.table import Better, Interval, Metric
from ctdenoise.metrics.transfer import percentile_interval, resampled

FREQUENCY = Axis("Spatial frequency", "1/mm")
POWER = Axis("Noise power", "HU\N{SUPERSCRIPT TWO} mm\N{SUPERSCRIPT TWO}")

_ENDS = (2.5, 97.5)


@dataclass(frozen=True, slots=True, eq=False)
class SpectrumChange:
    """The spectra of the same patches before and after.

    Args:
        before: Of each slice.
        after: The same slices.
        where: As it stands in keys: "scan".
        mask: Which patches, for people.
        draws: How often the slices are drawn again.
    """

    before: Sequence[PowerSums]
    after: Sequence[PowerSums]
    where: str
    mask: str
    draws: int

    def measured(self, rng: np.random.Generator) -> Measured:
        """Spectra with bands; mean and peak frequency, and how far they moved.

        Args:
            rng: Draws the slices.
        """
        if not self.before:
            return Measured()
        # Row 0 counts every slice once; the others as they are drawn.
        drawn = np.concatenate(
            [np.ones((1, len(self.before))), resampled(len(self.before), self.draws, rng)]
        )
        curves, means, peaks = [], [], []
        for name, slices in (("input", self.before), ("output", self.after)):
            samples = noise_samples(slices)
            spectra = samples.radial_power(drawn)
            curves.append(self._curve(name, samples.frequency_per_mm, spectra))
            means.append(samples.mean_frequency(drawn))
            peaks.append(_peak_frequency(samples.frequency_per_mm, spectra))
        metrics = (
            *self._frequencies("fav", "Mean", means),
            *self._frequencies("fpeak", "Peak", peaks),
        )
        return Measured(metrics, tuple(curves))

    def _curve(self, name: str, frequency: DoubleArray, spectra: DoubleArray) -> Curve:
        band = np.percentile(spectra[1:], _ENDS, axis=0) if len(spectra) > 1 else None
        return Curve(
            f"nps[{self.where}]",
            name,
            frequency,
            spectra[0],
            FREQUENCY,
            POWER,
            low=None if band is None else np.maximum(band[0], 0.0),
            high=None if band is None else band[1],
            note=self.mask,
        )

    def _frequencies(self, key: str, title: str, values: Sequence[DoubleArray]) -> list[Metric]:
        what = f"{title} frequency of the noise"
        before, after = values
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = 100 * (after / before - 1)
        return [
            self._metric(
                (f"{key}[{self.where}, input]", f"{what}, input", "1/mm"),
                before,
                "neither",
                f"{title} frequency of the noise power spectrum before.",
            ),
            self._metric(
                (f"{key}[{self.where}, output]", f"{what}, output", "1/mm"),
                after,
                "neither",
                f"{title} frequency of the noise power spectrum after.",
            ),
            self._metric(
                (f"{key}_shift[{self.where}]", f"Shift of the {title.lower()} frequency", "%"),
                shift,
                "near zero",
                f"{title} frequency of the noise after against before; negative is coarser, "
                "blotchier noise.",
            ),
        ]

    def _metric(
        self, names: tuple[str, str, str], values: DoubleArray, better: Better, description: str
    ) -> Metric:
        key, title, unit = names
        known = bool(np.isfinite(values[0]))
        patches = sum(one.count for one in self.before)
        return Metric(
            key,
            title,
            float(values[0]) if known else None,
            unit,
            window="none",
            mask=self.mask,
            reduction=f"mean spectrum of {patches} patches of {len(self.before)} slices, rings",
            better=better,
            description=description,
            note="" if known else "no noise",
            interval=self._interval(values) if known else None,
        )

    def _interval(self, values: DoubleArray) -> Interval | None:
        ends = percentile_interval(values[1:])
        if ends is None:
            return None
        return Interval(*ends, f"bootstrap over {len(self.before)} slices, {self.draws} draws")


def _peak_frequency(frequency: DoubleArray, spectra: DoubleArray) -> DoubleArray:
    ends = np.pad(spectra, ((0, 0), (1, 1)), mode="edge")
    smooth = (ends[:, :-2] + ends[:, 1:-1] + ends[:, 2:]) / 3
    peak: DoubleArray = frequency[np.argmax(smooth, axis=1)]
    return np.where(spectra.sum(axis=1) > 0, peak, np.nan)
