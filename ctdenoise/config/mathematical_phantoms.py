"""Settings of the phantoms that are known by their published tables."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctdenoise.config.base import Settings


class SheppLoganSettings(Settings):
    """The head phantom of Shepp and Logan: superposed ellipses or ellipsoids."""

    name: Literal["shepp_logan"] = "shepp_logan"
    """Which phantom."""
    dimensions: Literal[2, 3] = 2
    """2: the ellipses of 1974, as cylinders without ends along z; 3: ellipsoids (Koay 2007)."""
    contrast: Literal["original", "modified"] = "original"
    """Densities of 1974, in which the brain is 1.02 and lesions differ by 0.01 to 0.02, or Toft's
    of 1996 with ten times the contrast."""
    unit_mm: float = Field(default=100.0, gt=1, le=1000)
    """What 1 is in the table, mm; the skull is 1.38 wide and 1.84 high."""
    attenuation: float | None = Field(default=None, gt=0, le=20)
    """Attenuation relative to water of density 1: HU = 1000 (attenuation x density - 1). Null: 1
    for the original (brain 20 HU, skull 1000 HU), 2 for the modified (skull 1000 HU)."""


class ForbildHead2dSettings(Settings):
    """The FORBILD head in two dimensions: superposed ellipses with clips, without ends along z."""

    name: Literal["forbild_head_2d"] = "forbild_head_2d"
    """Which phantom."""
    left_ear: bool = False
    """Whether the pattern of 80 tiny discs is there."""
    right_ear: bool = True
    """Whether the ear with its 53 air cells is there."""


class ForbildHeadSettings(Settings):
    """The FORBILD head in three dimensions."""

    name: Literal["forbild_head"] = "forbild_head"
    """Which phantom."""
    left_ear: bool = True
    """Whether the pattern of 144 tiny ellipsoids is there."""
    right_ear: bool = True
    """Whether the ear with its air cells is there."""


class ForbildThoraxSettings(Settings):
    """The FORBILD thorax: lungs, heart, aorta, spine, ribs and shoulders."""

    name: Literal["forbild_thorax"] = "forbild_thorax"
    """Which phantom."""


class ForbildAbdomenSettings(Settings):
    """The FORBILD abdomen: a liver with 80 lesions of one per cent, spine, and line patterns."""

    name: Literal["forbild_abdomen"] = "forbild_abdomen"
    """Which phantom."""
