"""Looking at a result before it is written: is it the scan less its noise, and nothing else?

Blocks of a scan and of its result are handed in as they come. Every slice is looked at for what is
cheap (a blank slice, the mean change); some, evenly spread, for drift, edges, spots and noise.
Memory does not grow with the slices but for one number each. `check_rules` judges the figures, and
`check_range` whether the scan is like those that the network was trained on.
"""

from __future__ import annotations

import numpy as np

from ctdenoise.config.checks import CheckSettings
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.body import body_mask
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.units import AIR_HU
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import GeometryError, UnfitResultError, listed
from ctdenoise.inference.check_figures import Figures
from ctdenoise.inference.check_finding import CheckFinding, CheckReport, ordered
from ctdenoise.inference.check_rules import judged
from ctdenoise.inference.region import Region
from ctdenoise.metrics.edge_loss import edge_loss
from ctdenoise.metrics.noise_gain import noise_gain
from ctdenoise.metrics.removed_features import removed_features
from ctdenoise.metrics.tissue_drift import added, tissue_drift

MOST_FEATURES = 8
"""So many spots are kept, the strongest."""

MOST_EDGES = 8
"""So many slices are kept of those with the greatest loss at edges."""

_SAME_HU = 1e-3


class Checks:
    """Collects figures of a result, block by block, and judges them at the end.

    Args:
        slices: How many the scan has.
        settings: Limits, and how many slices are looked at closely.
        about_scan: What was found in the scan itself; see `check_range`.
        scan_figures: The figures that belong to it, plain JSON.
        region: Where anything was changed: only what is wholly inside is looked at; None for
            everywhere.
    """

    def __init__(
        self,
        slices: int,
        settings: CheckSettings | None = None,
        *,
        about_scan: tuple[CheckFinding, ...] = (),
        scan_figures: dict[str, JsonValue] | None = None,
        region: Region | None = None,
    ) -> None:
        self.settings = settings or CheckSettings()
        self._about_scan = about_scan
        self._scan_figures = scan_figures or {}
        self._figures = Figures(slices, mean_change_hu=[float("nan")] * slices)
        self._region = region
        touched = [n for n in range(slices) if region is None or region.touches(n)]
        self._closely = {touched[n] for n in looked_at(len(touched), self.settings.slices)}

    def add(self, before: CTVolume, after: CTVolume, places: range) -> None:
        """Look at some slices.

        Args:
            before: As they were read.
            after: The same, denoised.
            places: Where in the scan they are. Each slice is to be given once, in any order.

        Raises:
            GeometryError: If the two do not fit each other or the places.
        """
        if before.shape != after.shape or before.shape[0] != len(places):
            raise GeometryError(
                f"{after.shape[0]} slices of a result do not fit {before.shape[0]} of the scan at "
                f"{len(places)} places."
            )
        for index, place in enumerate(places):
            padding = None if before.padding is None else before.padding[index]
            image = np.ones(before.shape[1:], np.bool_) if padding is None else ~padding
            self._slice(before, after.hu[index], image, index=index, place=place)

    def _slice(
        self, scan: CTVolume, result: HuArray, image: BoolArray, *, index: int, place: int
    ) -> None:
        figures, before = self._figures, scan.hu[index]
        figures.seen += 1
        if not image.all():
            before = np.where(image, before, np.float32(AIR_HU))
            result = np.where(image, result, np.float32(AIR_HU))
        removed = before - result
        if self._region is not None:
            image = image & (self._region.weights(place) == 1)
        count = max(1, int(np.count_nonzero(image)))
        figures.mean_change_hu[place] = -float(removed[image].sum(dtype=np.float64)) / count
        largest = max(float(removed.max()), -float(removed.min()))
        figures.largest_change_hu = max(figures.largest_change_hu, largest)
        if image.any() and np.ptp(result[image]) < _SAME_HU < np.ptp(before[image]):
            figures.blank.append(place)
        elif place in self._closely:
            body = body_mask(before, None if scan.padding is None else scan.padding[index]) & image
            self._look_closely(scan, before, result, (body, image), place)

    def _look_closely(
        self,
        scan: CTVolume,
        before: HuArray,
        result: HuArray,
        masks: tuple[BoolArray, BoolArray],
        place: int,
    ) -> None:
        figures, spacing = self._figures, scan.geometry.pixel_spacing_mm
        figures.looked_at += 1
        removed = before - result
        body, image = masks
        drift = tissue_drift(before, result, body, image, pixel_spacing_mm=spacing)
        figures.drift = added(figures.drift, drift)
        if not body.any():
            return
        edges = edge_loss(before, removed, body, pixel_spacing_mm=spacing)
        figures.edges += edges
        certain = edges.proven(self.settings.standard_errors)
        if certain and edges.ratio is not None:
            found = [*figures.worst_edges, (place, edges.ratio)]
            figures.worst_edges = sorted(found, key=lambda one: (-abs(one[1]), one[0]))[:MOST_EDGES]
        spots = removed_features(removed, body, place=place, pixel_spacing_mm=spacing)
        strongest = sorted(
            [*figures.features, *spots], key=lambda one: (-abs(one.deviations), one.place)
        )
        figures.features = strongest[:MOST_FEATURES]
        figures.gain += noise_gain(before, result, body, pixel_spacing_mm=spacing)

    def report(self) -> CheckReport:
        """What was found, once all slices were handed in."""
        findings, figures = judged(self._figures, self.settings)
        return CheckReport(
            ordered([*findings, *self._about_scan]),
            {**figures, **self._scan_figures},
            self._figures.looked_at,
        )


def looked_at(slices: int, most: int) -> list[int]:
    """The slices that are looked at closely: all, or so many of them, evenly spread.

    Args:
        slices: How many there are.
        most: How many to look at.
    """
    if slices <= most:
        return list(range(slices))
    return [int(place) for place in np.linspace(0, slices - 1, most).round()]


def check_result(
    before: CTVolume, after: CTVolume, settings: CheckSettings | None = None
) -> CheckReport:
    """Check a result that is in memory.

    Args:
        before: The scan.
        after: The scan denoised, on the same grid.
        settings: Limits; those of `infer` if None.

    Raises:
        GeometryError: If the two are not on the same grid.

    Example:
        >>> check_result(scan, denoiser(scan)).passed  # doctest: +SKIP
        True
    """
    if not before.geometry.matches(after.geometry):
        raise GeometryError("The result is not on the grid of the scan.")
    checks = Checks(before.shape[0], settings)
    checks.add(before, after, range(before.shape[0]))
    return checks.report()


def refuse(report: CheckReport, settings: CheckSettings) -> None:
    """Stop before a result is written that is beyond the limit of an error.

    Args:
        report: Of the result.
        settings: Whether to stop.

    Raises:
        UnfitResultError: If there is an error in the report, and the settings are to stop at one.
    """
    errors = report.of("error")
    if errors and settings.on_error == "stop":
        raise UnfitResultError(
            "the result is not fit for use, so nothing was written:\n"
            + listed([str(error) for error in errors]),
            fix="To write it all the same, to look at it: --set checks.on_error=warn.",
        )
