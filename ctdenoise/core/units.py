"""Physical constants of the Hounsfield scale, each named once."""

from __future__ import annotations

AIR_HU = -1000.0
"""Air, by definition of the scale."""

WATER_HU = 0.0
"""Water, by definition of the scale."""

HU_PER_RELATIVE_ATTENUATION = 1000.0
"""HU = 1000 * (mu / mu_water - 1)."""
