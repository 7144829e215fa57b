"""Whether pixels show that they are Hounsfield units, where a header cannot be trusted.

RescaleSlope and RescaleIntercept are required in a CT Image (PS3.3 C.8.2.1). Some exports lose them
after applying them. Signed stored values without either are taken as they are where every slice
shows air at -1000 HU, with nothing below it, and soft tissue near water. All other ways in which
such a file could have been made (another slope, an offset of 1000, 1024 or 8192) move one of the
three.

The same proof is asked for where the rescale of a header is doubtful: a RescaleType of US
(unspecified, C.11.1.1.2), which some anonymisers write over Hounsfield units, a negative slope, or
an intercept that is not that of most slices of the series. It is checked on every such slice as it
is read, before any pixel is handed out.
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

NO_RESCALE = "RescaleSlope and RescaleIntercept are missing"
UNSPECIFIED = "RescaleType is US (unspecified)"
NEGATIVE_SLOPE = "RescaleSlope is negative"
ANOTHER_INTERCEPT = "RescaleIntercept is not that of the other slices"

LEAST_FRACTION = 0.01
"""Share of the pixels that must be air, and share that must be tissue."""


def require_hounsfield_units(
    hu: HuArray, padding: BoolArray | None, *, doubt: str = NO_RESCALE
) -> None:
    """Refuse a slice with a doubtful rescale whose pixels do not look like Hounsfield units.

    Args:
        hu: Values of one slice, taken for Hounsfield units.
        padding: Pixels that are padding, if any.
        doubt: Why its header is not believed, as the first half of a sentence.

    Raises:
        DamagedFileError: If air, what is below it or tissue are not where they must be.
    """
    values = hu if padding is None else hu[~padding]
    problem = _problem(values)
    if problem:
        raise DamagedFileError(
            f"{doubt}, and its pixels do not show that they are Hounsfield units: {problem}"
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
