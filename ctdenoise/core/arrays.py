"""Names for the array types that travel between modules."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

HuArray = npt.NDArray[np.float32]
"""Hounsfield units, float32, indexed [z, y, x] (or [y, x] where one slice is meant)."""

FloatArray = npt.NDArray[np.float32]
"""Any other float32 array; its docstring says what and how indexed."""

DoubleArray = npt.NDArray[np.float64]
"""float64: positions in mm, statistics."""

BoolArray = npt.NDArray[np.bool_]
"""Masks, indexed like the array they belong to."""

LabelArray = npt.NDArray[np.uint8]
"""Segmentation labels, 0 is background, indexed [z, y, x]."""

StoredArray = npt.NDArray[np.integer]
"""Stored values [y, x], integers, before the rescale."""

IndexArray = npt.NDArray[np.intp]
"""Positions in another array."""
