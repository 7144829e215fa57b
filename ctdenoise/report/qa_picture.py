"""One picture of a phantom: its slices, and where they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ctdenoise.core.arrays import DoubleArray
from ctdenoise.metrics.discs import DiscFigures

PICTURE_FILE = "regions.png"

_PANEL_INCHES = 4.6
_DPI = 110
_PAPER = "#12202e"
_INK = "#eef3f7"
_MARK = "#56b4e9"


class Shown(Protocol):
    """A slice with the discs that were measured in it."""

    @property
    def title(self) -> str:
        """What it shows."""

    @property
    def image(self) -> DoubleArray:
        """HU [y, x]."""

    @property
    def discs(self) -> tuple[DiscFigures, ...]:
        """Where it was measured, and what."""

    @property
    def level_hu(self) -> float:
        """Centre of the display window."""

    @property
    def width_hu(self) -> float:
        """Its width."""
