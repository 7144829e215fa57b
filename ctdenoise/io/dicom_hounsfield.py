"""Whether pixels without a rescale show by themselves that they are Hounsfield units.

RescaleSlope and RescaleIntercept are required in a CT Image (PS3.3 C.8.2.1). Some exports lose them
after applying them. Signed stored values without either are taken as they are where every slice
shows air at -1000 HU, with nothing below it, and soft tissue near water. All other ways in which
such a file could have been made (another slope, an offset of 1000, 1024 or 8192) move one of the
three. It is checked on every slice as it is read, before any pixel is handed out.
"""

from __future__ import annotations

import numpy as np

from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.io.dicom_file import DamagedFileError

AIR_HU = -1000.0

AIR_TOLERANCE_HU = 30.0
"""Median of all air pixels beside -1000 HU: scanners clip air at -1024."""

AIR_BELOW_HU = -900.0
"""Pixels below this are air; lung at its thinnest is above."""

BELOW_AIR_HU = -1100.0
"""Nothing is thinner than air: what lies below this is noise, or no Hounsfield unit."""

MOST_BELOW_AIR_FRACTION = 0.01
"""Share of pixels that noise may bring below `BELOW_AIR_HU`."""

TISSUE_HU = (-200.0, 200.0)
"""Fat, water, soft tissue and blood lie between these."""

LEAST_FRACTION = 0.01
"""Share of the pixels that must be air, and share that must be tissue."""


def require_hounsfield_units(hu: HuArray, padding: BoolArray | None) -> None:
    """Refuse a slice without a rescale whose pixels do not look like Hounsfield units.

    Args:
        hu: Stored values of one slice, taken for Hounsfield units.
        padding: Pixels that are padding, if any.

    Raises:
        DamagedFileError: If air, what is below it or tissue are not where they must be.
    """
    values = hu if padding is None else hu[~padding]
    problem = _problem(values)
    if problem:
        raise DamagedFileError(
            "RescaleSlope and RescaleIntercept are missing, and its pixels do not show that they "
            f"are Hounsfield units: {problem}"
        )


def _problem(values: HuArray) -> str:
    total = max(1, values.size)
    air = values[values < AIR_BELOW_HU]
    tissue = np.count_nonzero((values > TISSUE_HU[0]) & (values < TISSUE_HU[1]))
    if air.size < LEAST_FRACTION * total:
        return f"less than {LEAST_FRACTION:.0%} of them are below {AIR_BELOW_HU:g} HU, like air"
    if np.count_nonzero(values < BELOW_AIR_HU) > MOST_BELOW_AIR_FRACTION * total:
        return f"more than {MOST_BELOW_AIR_FRACTION:.0%} are below {BELOW_AIR_HU:g} HU, under air"
    if abs(float(np.median(air)) - AIR_HU) > AIR_TOLERANCE_HU:
        return f"the air is not at {AIR_HU:g} HU within {AIR_TOLERANCE_HU:g}"
    if tissue < LEAST_FRACTION * total:
        low, high = TISSUE_HU
        return f"less than {LEAST_FRACTION:.0%} are between {low:g} and {high:g} HU, like tissue"
    return ""
