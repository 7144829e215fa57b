"""The X-ray beam: how strongly water attenuates it and how many photons an exposure gives."""

from __future__ import annotations

import numpy as np

from ctdenoise.simulation.scanner import Fan

USUAL_KVP = 120.0
"""Tube voltage where none is known."""

# Effective values of filtered tungsten spectra, computed with the XCIST simulator.
_KVP = (80.0, 100.0, 120.0, 140.0)
_MU_WATER_PER_MM = (0.0214, 0.0201, 0.0192, 0.0185)
_PHOTONS_PER_MAS = (4.2e5, 7.5e5, 1.12e6, 1.53e6)
"""Photons per mAs of a whole turn behind no object, on one channel of a 0.6 mm row."""

_ROW_MM = 0.6
_USUAL_THICKNESS_MM = 3.0
_REFERENCE_CELL_PER_MM = 1.2858 / 1085.6 / 595.0
"""Channel width at the isocentre over distance squared, of the scanner that the table is for."""


def mu_water_per_mm(kvp: float | None) -> float:
    """Effective attenuation of water, 1/mm, interpolated between 80 and 140 kV.

    Args:
        kvp: Tube voltage, kV; None is taken as 120.
    """
    return float(np.interp(kvp or USUAL_KVP, _KVP, _MU_WATER_PER_MM))


def rows_in_slice(slice_thickness_mm: float) -> float:
    """Readings of detector rows that a slice is the mean of, at least one.

    Args:
        slice_thickness_mm: Nominal thickness.
    """
    return max(1.0, slice_thickness_mm / _ROW_MM)


def kvp_of(mu_water_per_mm: float) -> float:
    """The tube voltage, 80 to 140 kV, at which water attenuates so.

    Args:
        mu_water_per_mm: Effective attenuation of water, 1/mm.
    """
    return float(np.interp(mu_water_per_mm, _MU_WATER_PER_MM[::-1], _KVP[::-1]))


def photons_of_exposure(
    mas: float, *, kvp: float | None, slice_thickness_mm: float | None, fan: Fan
) -> float:
    """N0: mean photons per channel and view without an object, for one slice.

    The table is for a channel of the reference scanner; photons go with the solid angle of a
    channel, which is its width at the isocentre over the square of the distance.

    Args:
        mas: Exposure of a turn.
        kvp: Tube voltage, kV; None is taken as 120.
        slice_thickness_mm: Nominal thickness; None is taken as 3.
        fan: The fan beam: views in a turn, width of a channel, distance.
    """
    per_mas = float(np.interp(kvp or USUAL_KVP, _KVP, _PHOTONS_PER_MAS))
    cell = fan.channel_width_mm / fan.distance_mm**2 / _REFERENCE_CELL_PER_MM
    thickness = slice_thickness_mm or _USUAL_THICKNESS_MM
    return per_mas * cell * mas / fan.views * thickness / _ROW_MM
