"""Hounsfield units of the materials that test phantoms are made of."""

from __future__ import annotations

# Metals at 60 keV, from mass attenuation (cm2/g) and density (g/cm3) of NIST's tables (NISTIR
# 5632): aluminium 0.2778 and 2.699, iron 1.205 and 7.874, tungsten 3.713 and 19.30, against
# 0.2059 per cm for water. Scanners do not go so far: their images end at 3071 HU or wherever
# their stored values end.
ALUMINIUM_HU = 2641.0
STEEL_HU = 45_080.0
TUNGSTEN_HU = 347_000.0
