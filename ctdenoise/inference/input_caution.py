"""A scan that was denoised before is changed less than others.

What is left of the noise then no longer is what a network was trained on: taken for noise of an
ordinary scan, it costs texture and gains nothing. Less noise than any scanner makes of such slices
and such a body gives it away, and the network is told less than is measured.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ctdenoise.core.body import body_mask
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.scan import Scan
from ctdenoise.inference.check_kinds import LEAST_NORMAL_NOISE
from ctdenoise.inference.method import Sample
from ctdenoise.metrics.scan_anatomy import body_diameter_mm
from ctdenoise.metrics.scan_character import MOST_SLICES, normal_noise_hu

_POWER = 3
"""Of the ratio of what is measured and what may be: of half as much noise, an eighth is told. With
it, a second pass changes about a tenth of the first."""


def thickness_of(scan: Scan) -> float | None:
    """The thickness of the slices, mm; their spacing where it is not stated, None without either.

    Files of one image for a volume (NIfTI) do not state it. Slices touch, as a rule.

    Args:
        scan: What is known of it.
    """
    return scan.acquisition.slice_thickness_mm or scan.geometry.slice_spacing_mm


def input_caution(
    sample: Sample, scan: Scan, trained_on: Mapping[str, JsonValue], *, noise_hu: float
) -> float:
    """The share of the measured noise that a network is told: 1, and less of denoised scans.

    Args:
        sample: Some slices of the scan.
        scan: What is known of all of them.
        trained_on: What the checkpoint says of its training.
        noise_hu: Noise level that was measured in the scan.
    """
    limits = trained_on.get("normal_noise_hu")
    lowest = limits[0] if isinstance(limits, list | tuple) and limits else None
    if not isinstance(lowest, int | float) or lowest <= 0:
        return 1.0
    slices = sample.volume.shape[0]
    places = np.linspace(0, slices - 1, min(slices, MOST_SLICES)).round()
    some = sample.volume.select(sorted({int(place) for place in places}))
    body_mm = body_diameter_mm(body_mask(some.hu, some.padding), some.geometry.pixel_spacing_mm)
    normal = normal_noise_hu(noise_hu, body_mm, thickness_of(scan))
    if normal is None:
        return 1.0
    return min(1.0, normal / (LEAST_NORMAL_NOISE * lowest)) ** _POWER
