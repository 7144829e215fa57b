"""Beam hardening by dense metal.

A scanner's beam holds many energies. Metal takes the low ones first, so a ray behind much of it
comes out weaker attenuated than one energy would have it, and the reconstruction shows dark bands
between dense objects. Scanners correct for water, after which a water object shows nothing.

Everything that is not metal counts as water of some density. The water correction turns the
polyenergetic attenuation of a ray into the thickness of water with the same attenuation, times the
attenuation that the scale gives to water.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numba import prange

from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.simulation.vectors import parallel_kernel

Metal = Literal["titanium", "iron", "gold"]

ENERGIES_KEV = np.arange(25.0, 146.0, 10.0)[:12]
"""Middle of twelve bands of 10 keV."""

# Energy that a detector absorbs in each band: tungsten spectra of the XCIST simulator
# (github.com/xcist/main, gecatsim/spectrum/tungsten_tar7.0_*_filt.dat) behind 6 mm of aluminium,
# times the energy of a photon, which an energy-integrating detector weighs it with.
_KVP = (80.0, 100.0, 120.0, 140.0)
_SPECTRA = (
    (0.0077, 0.1113, 0.2663, 0.3167, 0.2315, 0.0665, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0034, 0.0605, 0.1706, 0.2629, 0.2380, 0.1349, 0.0950, 0.0347, 0.0, 0.0, 0.0, 0.0),
    (
        *(0.0017, 0.0373, 0.1200, 0.2185, 0.2085, 0.1222),
        *(0.1161, 0.0938, 0.0607, 0.0212, 0.0, 0.0),
    ),
    (
        *(0.0009, 0.0237, 0.0864, 0.1994, 0.1807, 0.0978),
        *(0.1054, 0.1003, 0.0858, 0.0651, 0.0407, 0.0139),
    ),
)

# Mass attenuation, cm2/g, at those energies: tables of W. T. Elam, B. D. Ravel and J. R. Sieber,
# Radiat. Phys. Chem. 63 (2002) 121, within 1 % of NIST's (NISTIR 5632).
_WATER_CM2_PER_G = (
    *(0.5082, 0.3075, 0.2436, 0.2149, 0.1987, 0.1879),
    *(0.1799, 0.1735, 0.1681, 0.1635, 0.1593, 0.1556),
)
_METAL_CM2_PER_G: dict[Metal, tuple[float, ...]] = {
    "titanium": (
        *(8.3712, 3.2116, 1.6048, 0.9499, 0.6338, 0.4623),
        *(0.3605, 0.2958, 0.2524, 0.2221, 0.1999, 0.1832),
    ),
    "iron": (
        *(13.702, 5.2855, 2.6136, 1.5146, 0.9816, 0.6915),
        *(0.5198, 0.4113, 0.3390, 0.2888, 0.2526, 0.2256),
    ),
    "gold": (
        *(44.1077, 18.3804, 9.5420, 5.6668, 3.6878, 2.5669),
        *(7.8021, 5.8762, 4.5576, 3.6207, 2.9345, 2.4189),
    ),
}
_DENSITY_G_PER_CM3: dict[Metal, float] = {"titanium": 4.506, "iron": 7.874, "gold": 19.3}
_CM_PER_MM = 0.1

_MOST_ATTENUATION = 60.0
"""End of the table of the water correction: one photon in 1e26 comes through."""
_TABLE_STEPS = 6000
_WATER_MM_PER_ATTENUATION = 100.0
"""More than the millimetres of water that a factor e of attenuation takes at 140 kV."""


class HardeningTable(NamedTuple):
    """What the compiled loop needs to know about the beam and the metal."""

    spectrum: DoubleArray
    """Energy absorbed in each band, sum 1, [energy]."""
    water_per_mm: DoubleArray
    metal_per_mm: DoubleArray
    """Attenuation, [energy]."""
    corrected: DoubleArray
    """Line integral after the water correction, at polyenergetic attenuations in even steps."""
    steps_per_unit: float
    mu_water_per_mm: float


def spectrum_of(kvp: float) -> DoubleArray:
    """Energy that the detector absorbs in each of `ENERGIES_KEV`, sum 1; 80 to 140 kV.

    Args:
        kvp: Tube voltage; spectra between those of the table are mixed.
    """
    spectrum = np.array([np.interp(kvp, _KVP, band) for band in np.transpose(_SPECTRA)])
    return np.asarray(spectrum / spectrum.sum())


def hardening_table(metal: Metal, *, kvp: float, mu_water_per_mm: float) -> HardeningTable:
    """The beam, the metal and the water correction.

    Args:
        metal: The material.
        kvp: Tube voltage.
        mu_water_per_mm: Attenuation that the scale gives to water.
    """
    spectrum = spectrum_of(kvp)
    water = np.array(_WATER_CM2_PER_G) * _CM_PER_MM
    density = _DENSITY_G_PER_CM3[metal]
    thickness = np.linspace(0, _WATER_MM_PER_ATTENUATION * _MOST_ATTENUATION, 4 * _TABLE_STEPS + 1)
    # The least attenuated band is taken out of the sum, so that nothing underflows.
    hardest = water[spectrum > 0].min()
    rest = np.exp(-np.outer(thickness, water - hardest)) @ spectrum
    attenuation = thickness * hardest - np.log(rest)
    even = np.linspace(0, _MOST_ATTENUATION, _TABLE_STEPS + 1)
    corrected = mu_water_per_mm * np.interp(even, attenuation, thickness)
    return HardeningTable(
        spectrum,
        water,
        np.array(_METAL_CM2_PER_G[metal]) * density * _CM_PER_MM,
        corrected,
        _TABLE_STEPS / _MOST_ATTENUATION,
        mu_water_per_mm,
    )


@parallel_kernel
def harden(
    scan: FloatArray,
    soft: FloatArray,
    metal_mm: FloatArray,
    table: HardeningTable,
    ceilings: FloatArray,
    extra: FloatArray,
) -> None:
    """Polyenergetic, water-corrected attenuation of every ray that meets metal.

    Args:
        scan: Line integrals as the scan shows its pixels, [view, channel, lane].
        soft: Line integrals of all but the metal; receives what the metal adds to them.
        metal_mm: Length of metal in each ray.
        table: `HardeningTable`.
        ceilings: Most attenuation that is measured, [lane].
        extra: Receives what the ray is attenuated more than the scan shows; 0 without metal.
    """
    views, channels, lanes = scan.shape
    last = table.corrected.shape[0] - 1
    for view in prange(views):
        for channel in range(channels):
            for lane in range(lanes):
                length = metal_mm[view, channel, lane]
                if length <= 0:
                    soft[view, channel, lane] = 0
                    extra[view, channel, lane] = 0
                    continue
                without = soft[view, channel, lane]
                water = without / table.mu_water_per_mm
                total = 0.0
                for band in range(table.spectrum.shape[0]):
                    path = table.water_per_mm[band] * water + table.metal_per_mm[band] * length
                    total += table.spectrum[band] * math.exp(-path)
                at = -math.log(max(total, 1e-300)) * table.steps_per_unit
                lower = min(int(at), last - 1)
                share = min(at - lower, 1.0)
                value = (1 - share) * table.corrected[lower] + share * table.corrected[lower + 1]
                value = min(value, ceilings[lane])
                soft[view, channel, lane] = value - without
                extra[view, channel, lane] = value - scan[view, channel, lane]


def without_linear_part(added: FloatArray, metal_mm: FloatArray) -> FloatArray:
    """Subtract the one attenuation of the metal that explains most of what it adds, in place.

    What is linear in the length of metal reconstructs to the metal itself and leaves the rest of
    the slice alone; the remainder is the artefact, and the scan's own value of the metal stays.

    Args:
        added: What the metal adds to each ray, [view, channel, lane].
        metal_mm: Length of metal in each ray; overwritten.
    """
    product = np.einsum("vcl,vcl->vl", added, metal_mm).sum(axis=0, dtype=np.float64)
    square = np.einsum("vcl,vcl->vl", metal_mm, metal_mm).sum(axis=0, dtype=np.float64)
    per_mm = (product / np.where(square > 0, square, 1.0)).astype(np.float32)
    metal_mm *= per_mm
    added -= metal_mm
    return added
