"""Settings of the phantoms of size, low contrast and resolution."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

SIZE_SERIES_MM = (112.0, 131.0, 151.0, 185.0, 200.0, 216.0, 292.0, 350.0)
"""Diameters of the series, from a newborn to a large adult."""


def effective_diameter_mm(age_years: float) -> float:
    """Effective diameter of a body of some age, mm (AAPM report 204, as DIDSR/Ped-ETK uses it).

    d = 18.788598 + 0.19486455 a^1.5 - 1.060056 a^0.5 - 7.6244784 exp(-a), in cm, a in years.
    """
    root = math.sqrt(age_years)
    return 10.0 * (
        18.788598 + 0.19486455 * root**3 - 1.060056 * root - 7.6244784 * math.exp(-age_years)
    )


class Cct189Settings(Settings):
    """The low-contrast body phantom of MITA (CCT189): 200 mm of water with four faint rods."""

    name: Literal["cct189"] = "cct189"
    """Which phantom."""
    module: Literal["signal", "background"] = "signal"
    """With the rods, or the same without them, for images without a signal."""


class SizeSeriesSettings(Settings):
    """Water cylinders from a newborn to a large adult, with rods that scale with them."""

    name: Literal["size_series"] = "size_series"
    """Which phantom."""
    diameter_mm: float | None = Field(default=None, ge=50, le=600)
    """Diameter, mm; the series is 112, 131, 151, 185, 200, 216, 292 and 350. Null takes it from
    `age_years`, or 200."""
    age_years: float | None = Field(default=None, ge=0, le=22)
    """Age whose effective diameter is taken, years (AAPM report 204)."""
    inserts: Literal["sensitometry", "low_contrast", "none"] = "sensitometry"
    """Eight rods from -1000 to 990 HU, the four faint rods of CCT189, or none."""
    bead_mm: float | None = Field(default=None, gt=0, le=5)
    """Diameter of a tungsten bead in the middle, mm; null for none."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.diameter_mm is not None and self.age_years is not None:
            raise ValueError("`diameter_mm` and `age_years` exclude each other")
        return self

    @property
    def size_mm(self) -> float:
        """The diameter that is drawn."""
        if self.age_years is not None:
            return effective_diameter_mm(self.age_years)
        return 200.0 if self.diameter_mm is None else self.diameter_mm


class _PointSettings(Settings):
    """Something small in a cylinder of water along z."""

    body_mm: float | None = Field(default=50.0, gt=1, le=600)
    """Diameter of the cylinder, mm; null for air instead."""
    body_hu: float = Field(default=0.0, ge=-1000, le=20000)
    """What the cylinder is filled with, HU."""
    x_mm: float = Field(default=0.0, ge=-300, le=300)
    """Where it is, towards the patient's left, mm."""
    y_mm: float = Field(default=0.0, ge=-300, le=300)
    """Where it is, towards the back, mm."""

    def _inside(self, reach_mm: float) -> None:
        if self.body_mm is not None and math.hypot(self.x_mm, self.y_mm) + reach_mm > (
            self.body_mm / 2
        ):
            raise ValueError("it reaches out of the cylinder")


class WireSettings(_PointSettings):
    """A thin wire for the modulation transfer function in the axial plane."""

    name: Literal["wire"] = "wire"
    """Which phantom."""
    diameter_mm: float = Field(default=0.05, gt=0, le=5)
    """Diameter of the wire, mm."""
    hu: float = Field(default=347_000.0, ge=-1000, le=1e6)
    """Its Hounsfield units; the default is tungsten at 60 keV."""
    length_mm: float = Field(default=200.0, gt=0, le=2000)
    """Its length, half of it on either side of z = 0, mm."""
    tilt_degrees: float = Field(default=0.0, ge=-45, le=45)
    """Tilt from z towards the patient's left: a leaning wire crosses pixels at all their places."""

    @model_validator(mode="after")
    def _is_inside(self) -> Self:
        lean = abs(math.sin(math.radians(self.tilt_degrees))) * self.length_mm / 2
        self._inside(self.diameter_mm / 2 + lean)
        return self


class BeadSettings(_PointSettings):
    """A small sphere for the point spread in all directions."""

    name: Literal["bead"] = "bead"
    """Which phantom."""
    diameter_mm: float = Field(default=0.28, gt=0, le=20)
    """Diameter of the sphere, mm."""
    hu: float = Field(default=347_000.0, ge=-1000, le=1e6)
    """Its Hounsfield units; the default is tungsten at 60 keV."""
    z_mm: float = Field(default=0.0, ge=-300, le=300)
    """Its height, mm."""

    @model_validator(mode="after")
    def _is_inside(self) -> Self:
        self._inside(self.diameter_mm / 2)
        return self


class DiscSettings(_PointSettings):
    """A thin disc across z for the slice sensitivity profile."""

    name: Literal["disc"] = "disc"
    """Which phantom."""
    diameter_mm: float = Field(default=10.0, gt=0, le=400)
    """Diameter of the disc, mm."""
    thickness_mm: float = Field(default=0.05, gt=0, le=20)
    """Its thickness, mm."""
    hu: float = Field(default=45_080.0, ge=-1000, le=1e6)
    """Its Hounsfield units; the default is iron at 60 keV."""
    z_mm: float = Field(default=0.0, ge=-300, le=300)
    """Its height, mm."""

    @model_validator(mode="after")
    def _is_inside(self) -> Self:
        self._inside(self.diameter_mm / 2)
        return self


class EdgeSettings(Settings):
    """Two materials that meet in a plane across z, for slice sensitivity from an edge."""

    name: Literal["z_edge"] = "z_edge"
    """Which phantom."""
    diameter_mm: float = Field(default=100.0, gt=1, le=600)
    """Diameter of the cylinder, mm."""
    lower_hu: float = Field(default=0.0, ge=-1000, le=20000)
    """Material below the plane, HU."""
    upper_hu: float = Field(default=120.0, ge=-1000, le=20000)
    """Material above the plane, HU; the default is acrylic."""
    z_mm: float = Field(default=0.0, ge=-300, le=300)
    """Height of the plane at the axis, mm."""
    tilt_degrees: float = Field(default=0.0, ge=-45, le=45)
    """Rise of the plane towards the patient's left, for an edge sampled more finely than slices."""
