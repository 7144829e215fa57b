"""Settings of `--study lcd`: detectability of low contrast against dose."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.native_scan import NativeScanSettings

Observer = Literal[
    "laguerre-gauss-5", "laguerre-gauss-10", "gabor-16", "gabor-40", "dense-dog", "sparse-dog"
]
"""Channels of the observer; see `ctdenoise.metrics.channels`."""


class LcdInsertSettings(Settings):
    """A rod of low contrast that is to be detected."""

    hu: float = Field(ge=-500, le=2000)
    """Its Hounsfield units, in water."""
    diameter_mm: float = Field(gt=0, le=100)
    """Its diameter, mm."""

    @property
    def name(self) -> str:
        """The task in the keys of figures: "10 mm, 3 HU"."""
        return f"{self.diameter_mm:g} mm, {self.hu:g} HU"


MITA_INSERTS = (
    LcdInsertSettings(hu=14, diameter_mm=3),
    LcdInsertSettings(hu=7, diameter_mm=5),
    LcdInsertSettings(hu=5, diameter_mm=7),
    LcdInsertSettings(hu=3, diameter_mm=10),
)
"""The rods of the CCT189 phantom of MITA's low-contrast tests."""


class LcdSettings(Settings):
    """What is scanned, how often, and how it is looked at."""

    inserts: tuple[LcdInsertSettings, ...] = Field(default=MITA_INSERTS, min_length=1)
    """Rods on a ring around the axis; between any two is a place without one."""
    copies: int = Field(default=1, ge=1, le=16)
    """How often each rod is on the ring: as many more regions from a slice, if they have room."""
    diameter_mm: float = Field(default=200.0, gt=20, le=600)
    """Diameter of the cylinder of water, mm."""
    ring_radius_mm: float = Field(default=40.0, gt=0, le=300)
    """Distance of the rods from the axis, mm."""
    region_mm: float = Field(default=26.0, gt=1, le=200)
    """Side of the regions that the observer looks at, mm."""
    doses: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    """Doses, rising, as fractions of `scan.photons`. The curve of filtered back-projection needs
    at least three."""
    repeats: int = Field(default=96, ge=4, le=10_000)
    """Scans of each dose. Every one is a slice with noise of its own."""
    observer: Observer = "laguerre-gauss-5"
    """Channels of the observer; the width of Laguerre-Gauss channels follows the rod."""
    removes_mean: bool = False
    """Whether the mean of every region is taken from it first, as the FDA's LCD-CT program does. It
    makes the task harder, for most of the signal is in the low frequencies."""
    draws: int = Field(default=1000, ge=100, le=100_000)
    """How often the slices are drawn again for intervals of ratios and of equivalent doses."""
    scan: NativeScanSettings = NativeScanSettings(photons=3.0e5, size=288, field_of_view_mm=216.0)
    """The scanner, its full dose and its images."""

    @field_validator("doses")
    @classmethod
    def _doses_rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) < 3 or value[0] <= 0 or any(np.diff(value) <= 0):
            raise ValueError("`doses` are three or more positive numbers that rise")
        return value

    @model_validator(mode="after")
    def _regions_have_room(self) -> Self:
        names = [insert.name for insert in self.inserts]
        if len(set(names)) < len(names):
            raise ValueError("an insert is given twice; use `copies`")
        places = 2 * len(self.inserts) * self.copies
        apart_mm = 2 * self.ring_radius_mm * float(np.sin(np.pi / places))
        if apart_mm < self.region_mm:
            raise ValueError(
                f"{places} regions of {self.region_mm:g} mm overlap on a ring of "
                f"{self.ring_radius_mm:g} mm: take a larger `ring_radius_mm`, fewer `copies` or "
                "inserts, or a smaller `region_mm`"
            )
        if self.ring_radius_mm + self.region_mm / 2 > self.diameter_mm / 2:
            raise ValueError("the regions reach out of the water")
        if max(insert.diameter_mm for insert in self.inserts) > self.region_mm:
            raise ValueError("a rod is larger than `region_mm`")
        if self.diameter_mm > self.scan.field_of_view_mm:
            raise ValueError("the cylinder is larger than `scan.field_of_view_mm`")
        return self
