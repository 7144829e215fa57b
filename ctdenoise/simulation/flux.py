"""How many photons each ray starts with, relative to N0: bowtie filter and tube current.

The photons of a ray are N0 * flux * exp(-p), so -ln(flux) is added to its line integral p. The
central channel has a bowtie transmission of 1 and the tube current a mean of 1 over the turn: N0
stays the mean photons of the central channel without an object.
"""

from __future__ import annotations

import re
from typing import Literal, assert_never

import numpy as np
from scipy.interpolate import PchipInterpolator

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.simulation.scanner import Fan

Bowtie = Literal["none", "head", "body"]

# Aluminium that a ray passes in the `large` and `small` bowties of the XCIST simulator
# (github.com/xcist/main, gecatsim/bowtie), which are those of a GE-like scanner.
_TABLE_DISTANCE_MM = 541.0
"""Source to isocentre of the scanner that the table is for."""
_TABLE_ANGLES = np.arange(13) * 0.04
"""Fan angles of the table, radians."""
_BODY_ALUMINIUM_CM = (
    *(0.2548, 0.2553, 0.2947, 0.4791, 0.8453, 1.3633, 1.9893),
    *(2.6794, 3.2755, 3.4966, 3.5641, 3.6341, 3.7127),
)
_HEAD_ALUMINIUM_CM = (
    *(0.1104, 0.1843, 0.4393, 0.9212, 1.5994, 2.3711, 3.0093),
    *(3.2379, 3.2925, 3.3443, 3.4036, 3.4713, 3.5473),
)

# Linear attenuation at 40, 50, 60, 80, 100 and 150 keV: NIST, Tables of X-Ray Mass Attenuation
# Coefficients (NISTIR 5632), water of 1.0 and aluminium of 2.699 g/cm3.
_WATER_PER_MM = (0.02683, 0.02269, 0.02059, 0.01837, 0.01707, 0.01505)
_ALUMINIUM_PER_CM = (1.534, 0.9935, 0.7498, 0.5447, 0.4599, 0.3719)

CENTRAL_RAYS_MM = 25.0
"""Rays that pass the isocentre within this tell the attenuation of a view."""

LOWEST_CURRENT = 0.1
"""Least tube current of a turn over the highest. Tube and generator do not follow the shoulders
without limit; a factor of ten is at the upper end of what they do within a quarter of a turn."""

USUAL_MODULATION = 0.5
"""The current that gives the least noise for a dose goes as the root of the attenuation of the
view: Gies et al., Med. Phys. 26 (1999) 2235."""

_NOT_ANGULAR = re.compile(r"NONE|NO|OFF|FIXED|CONSTANT|MANUAL|LONGITUDINAL|Z(?![A-Z]).*|")
"""Also what follows the patient along z only, as Siemens' Z_EC and Philips' Z MODULATION."""

_HEAD_FILTERS = ("HEAD", "SMALL")
_BODY_FILTERS = ("BODY", "LARGE", "MEDIUM")
"""Words of FilterType: GE scanners write HEAD FILTER and BODY FILTER."""

_HEAD_WORDS = ("HEAD", "BRAIN", "SKULL", "SINUS", "ORBIT", "FACE", "MAXILLA", "TEMPORAL", "IAC")
_HEAD_FIELD_MM = 260.0
"""Where no body part is stated, a field up to this is that of a head."""


def bowtie_of(settings: SimulateSettings, acquisition: Acquisition, geometry: Geometry) -> Bowtie:
    """The filter of a scan: as set, as its header says, or by the part of the body.

    A scan that counts as noise-free (a phantom) has none.

    Args:
        settings: `scanner.bowtie` decides unless it is `auto`.
        acquisition: Header facts of the series.
        geometry: Grid of the scan.
    """
    match settings.scanner.bowtie:
        case "none" | "head" | "body" as shape:
            return shape
        case "auto":
            if settings.source_noise == "none":
                return "none"
            return "head" if _shows_a_head(acquisition, geometry) else "body"
        case _:
            assert_never(settings.scanner.bowtie)


def _shows_a_head(acquisition: Acquisition, geometry: Geometry) -> bool:
    beam_filter = (acquisition.filter_type or "").upper()
    if any(word in beam_filter for word in (*_HEAD_FILTERS, *_BODY_FILTERS)):
        return any(word in beam_filter for word in _HEAD_FILTERS)
    part = (acquisition.body_part_examined or "").upper()
    if part:
        # A neck comes with shoulders, which need the wide filter.
        return "NECK" not in part and any(word in part for word in _HEAD_WORDS)
    rows_mm, columns_mm = geometry.pixel_spacing_mm
    field_mm = max(geometry.rows * rows_mm, geometry.columns * columns_mm)
    return field_mm <= _HEAD_FIELD_MM


def modulation_of(settings: SimulateSettings, acquisition: Acquisition) -> float:
    """Power of the attenuation of a view with which the tube current went.

    Args:
        settings: `scanner.angular_modulation` decides unless it is `auto`.
        acquisition: Header facts: `exposure_modulation_type`.
    """
    stated = settings.scanner.angular_modulation
    if stated != "auto":
        return stated
    words = (acquisition.exposure_modulation_type or "").upper().replace("\\", "/").split("/")
    is_angular = any(not _NOT_ANGULAR.fullmatch(word.strip()) for word in words)
    return USUAL_MODULATION if is_angular else 0.0


def aluminium_per_cm(mu_water_per_mm: float) -> float:
    """Attenuation of aluminium, 1/cm, at the energy at which water attenuates as stated.

    Args:
        mu_water_per_mm: Attenuation of water, 1/mm; beyond 40 to 150 keV the ends are taken.
    """
    log_water = np.log(_WATER_PER_MM[::-1])
    log_aluminium = np.log(_ALUMINIUM_PER_CM[::-1])
    return float(np.exp(np.interp(np.log(mu_water_per_mm), log_water, log_aluminium)))


def bowtie_loss(bowtie: Bowtie, distance_mm: DoubleArray, mu_water_per_mm: float) -> DoubleArray:
    """-ln of the transmission of a bowtie, 0 for a ray through the isocentre.

    The filter evens out a patient, who is as wide in every scanner, so the table is followed by
    the distance at which a ray passes the isocentre. Beyond its edge the table is constant.

    Args:
        bowtie: Which filter.
        distance_mm: Of rays from the isocentre, any shape.
        mu_water_per_mm: Attenuation of water, which tells the energy.
    """
    match bowtie:
        case "none":
            return np.zeros_like(distance_mm)
        case "head":
            aluminium_cm = np.array(_HEAD_ALUMINIUM_CM)
        case "body":
            aluminium_cm = np.array(_BODY_ALUMINIUM_CM)
        case _:
            assert_never(bowtie)
    at_mm = _TABLE_DISTANCE_MM * np.sin(_TABLE_ANGLES)
    thickness = PchipInterpolator(at_mm, aluminium_cm - aluminium_cm[0])
    inside_mm = np.minimum(np.abs(distance_mm), at_mm[-1])
    return np.asarray(aluminium_per_cm(mu_water_per_mm) * thickness(inside_mm))


def current_loss(attenuation: DoubleArray, power: float) -> DoubleArray:
    """-ln of the relative tube current of each view, whose mean over a turn is 1.

    current ~ exp(power * p), not below a tenth of the highest of the turn.

    Args:
        attenuation: Line integral p of the central rays, [view, lane].
        power: 0 for a constant current.
    """
    current = np.exp(power * (attenuation - attenuation.max(axis=0)))
    current = np.maximum(current, LOWEST_CURRENT)
    return np.asarray(-np.log(current / current.mean(axis=0)))


def add_flux_loss(
    line_integrals: FloatArray,
    fan: Fan,
    *,
    bowtie: Bowtie,
    modulation: float,
    mu_water_per_mm: float,
) -> None:
    """Add -ln(flux) to the line integrals of a whole turn, in place.

    Args:
        line_integrals: [view, channel, lane].
        fan: Their rays.
        bowtie: Which filter.
        modulation: Power of the attenuation with which the tube current goes.
        mu_water_per_mm: Attenuation of water, which tells the energy.
    """
    distance_mm = fan.distance_mm * np.sin(fan.fan_angles)
    if modulation > 0:
        central = np.abs(distance_mm) <= max(CENTRAL_RAYS_MM, np.abs(distance_mm).min())
        attenuation = line_integrals[:, central].mean(axis=1, dtype=np.float64)
        loss = current_loss(attenuation, modulation)
        line_integrals += loss.astype(line_integrals.dtype)[:, None, :]
    if bowtie != "none":
        loss = bowtie_loss(bowtie, distance_mm, mu_water_per_mm)
        line_integrals += loss.astype(line_integrals.dtype)[:, None]
