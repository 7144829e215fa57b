"""What the checks measure in a result, before it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from ctdenoise.metrics.noise_gain import GainSums
from ctdenoise.metrics.ratio import RatioSums
from ctdenoise.metrics.removed_features import RemovedFeature
from ctdenoise.metrics.tissue_drift import DRIFT_TISSUES, DriftSums


@dataclass(slots=True)
class Figures:
    """What was measured so far.

    Args:
        slices: How many the scan has.
        seen: How many were handed in.
        looked_at: How many of them were looked at closely.
        drift: Mean of what was removed, by tissue.
        edges: Share of the detail of edges that was removed.
        worst_edges: Slice and loss of the slices in which it is greatest and certain.
        features: The spots that stand out most.
        gain: Noise left and removed.
        mean_change_hu: Of each slice; NaN where it was not handed in.
        largest_change_hu: Over all.
        blank: Slices that hold one value where the scan does not.
    """

    slices: int
    seen: int = 0
    looked_at: int = 0
    drift: dict[str, DriftSums] = field(
        default_factory=lambda: {name: DriftSums() for name in DRIFT_TISSUES}
    )
    edges: RatioSums = field(default_factory=RatioSums)
    worst_edges: list[tuple[int, float]] = field(default_factory=list)
    features: list[RemovedFeature] = field(default_factory=list)
    gain: GainSums = field(default_factory=GainSums)
    mean_change_hu: list[float] = field(default_factory=list)
    largest_change_hu: float = 0.0
    blank: list[int] = field(default_factory=list)
