"""Which slices are shown beside a slice to networks that see several.

The one rule for training and use: neighbours are the slices next to it in the same run of uniform
spacing (`Geometry.runs`). Where the run ends, at the end of the scan or at a gap, its last slice is
repeated, so that nothing from the other side of a gap is taken for the next slice.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ctdenoise.core.geometry import Geometry


def neighbour_indices(geometry: Geometry, reach: int) -> npt.NDArray[np.int64]:
    """The slices that form one input around each slice, int64 [slice, 2 * reach + 1].

    The middle column is the slice itself; those before it have smaller indices or repeat the first
    slice of its run, those after it larger ones or the last.

    Args:
        geometry: Of the slices; a part of a scan knows no slices but its own.
        reach: Slices on each side; 0 gives each slice alone.

    Example:
        >>> geometry = Geometry.axial((3, 8, 8), pixel_spacing_mm=1.0, slice_spacing_mm=2.0)
        >>> neighbour_indices(geometry, 1).tolist()
        [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    """
    around = np.arange(-reach, reach + 1)
    found = np.empty((geometry.slices, len(around)), dtype=np.int64)
    for run in geometry.runs():
        own = np.arange(run.start, run.stop)
        found[run] = np.clip(own[:, None] + around, run.start, run.stop - 1)
    return found
