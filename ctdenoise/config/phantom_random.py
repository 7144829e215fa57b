"""Settings of phantoms that are drawn at random: dead leaves, blobs and vessels."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

Slope = Annotated[float, Field(ge=0.5, le=2.5)]
"""Exponent s of an amplitude spectrum 1 / f^s in a slice."""

LeafKind = Literal["ellipsoid", "superellipsoid", "box", "polygon"]


class RandomTextureSettings(Settings):
    """A random field whose amplitude falls as a power of the spatial frequency."""

    sd_hu: float = Field(default=8.0, ge=0, le=200)
    """Its standard deviation, HU; 0 for none."""
    slope: Slope = 1.0
    """Its amplitude in a slice falls as 1 / f^slope: 0.5 is fine, 1 as tissue, 2.5 cloudy."""


class DeadLeavesSettings(Settings):
    """Solids that fall on each other until they cover a body: edges and sizes of every scale."""

    name: Literal["dead_leaves"] = "dead_leaves"
    """Which phantom."""
    dimensions: Literal[2, 3] = 3
    """3: solids. 2: cylinders along z, so every slice is the same."""
    diameter_mm: float = Field(default=300.0, gt=10, le=900)
    """Width of the body that the leaves cover, mm."""
    depth_mm: float | None = Field(default=None, gt=10, le=900)
    """Its size from front to back, mm; null for a round body."""
    radius_mm: tuple[float, float] = (2.0, 60.0)
    """Smallest and largest radius of a leaf, mm."""
    exponent: float = Field(default=3.0, ge=1.5, le=5)
    """The number of leaves in a slice falls as radius^-exponent; 3 looks alike at every scale."""
    kinds: tuple[LeafKind, ...] = ("ellipsoid", "superellipsoid", "box", "polygon")
    """Kinds of leaf, each as likely as the others; a kind named twice is twice as likely."""
    elongation: float = Field(default=1.8, ge=1, le=4)
    """Largest ratio of the axes of a leaf to its radius; 1 for leaves as wide as long."""
    palette: Literal["tissue", "soft_tissue", "uniform"] = "tissue"
    """Hounsfield units of leaves: those of lung, fat, soft tissue, contrast medium and bone; those
    of soft tissue and fat; or every value between -1000 and 1000 HU."""
    texture_share: float = Field(default=0.7, ge=0, le=1)
    """Share of the leaves that have a texture."""
    texture_sd_hu: tuple[float, float] = (2.0, 12.0)
    """Least and largest standard deviation of their texture, HU."""
    texture_slopes: tuple[Slope, ...] = (0.5, 1.0, 1.5, 2.5)
    """Their amplitude in a slice falls as 1 / f^slope; every leaf has one of these."""
    blur_fwhm_mm: float = Field(default=0.0, ge=0, le=20)
    """Full width at half maximum of a blur of the finished slices, in their plane, mm."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        low, high = self.radius_mm
        if not 0.3 <= low < high <= 500:
            raise ValueError("radius_mm: give a smaller and a larger radius, 0.3 to 500 mm")
        if not self.kinds:
            raise ValueError("kinds: name at least one kind of leaf")
        if not 0 <= self.texture_sd_hu[0] <= self.texture_sd_hu[1] <= 200:
            raise ValueError("texture_sd_hu: give a smaller and a larger value, 0 to 200 HU")
        if not 1 <= len(self.texture_slopes) <= 8:
            raise ValueError("texture_slopes: give one to eight slopes")
        volume = self.diameter_mm * (self.depth_mm or self.diameter_mm)
        if volume / low**2 > 2e6:
            raise ValueError("radius_mm: leaves this small would be too many; make them larger")
        return self


class BlobsSettings(Settings):
    """Many small blobs of low contrast in a body."""

    name: Literal["blobs"] = "blobs"
    """Which phantom."""
    diameter_mm: float = Field(default=300.0, gt=20, le=900)
    """Width of the body, mm."""
    depth_mm: float | None = Field(default=None, gt=20, le=900)
    """Its size from front to back, mm; null for a round body."""
    hu: float = Field(default=50.0, ge=-1000, le=3000)
    """Hounsfield units around the blobs."""
    count: int = Field(default=200, ge=1, le=5000)
    """How many blobs are wanted. They do not touch; where no more fit, there are fewer."""
    contrast_hu: tuple[float, float] = (3.0, 40.0)
    """Least and largest difference from what is around them, HU; as often brighter as darker."""
    blob_diameter_mm: tuple[float, float] = (2.0, 15.0)
    """Least and largest diameter, mm."""
    emphasis: float = Field(default=1.0, ge=0, le=3)
    """How much more often small diameters and low contrasts are drawn: their density falls as this
    power; 0 draws all alike, 1 as many from 3 to 6 HU as from 20 to 40 HU."""
    soft_share: float = Field(default=0.33, ge=0, le=1)
    """Share of the blobs with a soft edge: eight nested spheres of rising contrast."""
    cylinder_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the blobs that are endless cylinders along z; the others are spheres."""
    texture: RandomTextureSettings = RandomTextureSettings(sd_hu=0.0)
    """Texture of the body and of the blobs."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        for name, (low, high) in (
            ("contrast_hu", self.contrast_hu),
            ("blob_diameter_mm", self.blob_diameter_mm),
        ):
            if not 0 < low <= high:
                raise ValueError(f"{name}: give a smaller and a larger positive value")
        if self.blob_diameter_mm[1] > min(self.diameter_mm, self.depth_mm or self.diameter_mm) / 3:
            raise ValueError("blob_diameter_mm: a blob is wider than a third of the body")
        if self.soft_share + self.cylinder_share > 1:
            raise ValueError("soft_share and cylinder_share are more than 1 together")
        if self.hu - self.contrast_hu[1] < -1000:
            raise ValueError("contrast_hu: a blob would have less than -1000 HU")
        return self


class VesselsSettings(Settings):
    """Trees of vessels that taper from piece to piece, in a body with a cloudy texture."""

    name: Literal["vessels"] = "vessels"
    """Which phantom."""
    diameter_mm: float = Field(default=300.0, gt=20, le=900)
    """Width of the body, mm."""
    depth_mm: float | None = Field(default=None, gt=20, le=900)
    """Its size from front to back, mm; null for a round body."""
    hu: float = Field(default=50.0, ge=-1000, le=3000)
    """Hounsfield units of the body."""
    contrast_hu: tuple[float, float] = (20.0, 250.0)
    """Least and largest difference of a tree from the body, HU."""
    trees: int = Field(default=4, ge=1, le=40)
    """How many trees."""
    branches: int = Field(default=250, ge=1, le=3000)
    """Ends of pieces of each tree."""
    twig_radius_mm: float = Field(default=0.75, gt=0.1, le=10)
    """Radius of the thinnest vessels, mm; at a branching the cube of the radius is the sum of those
    behind it (Murray's law)."""
    texture: RandomTextureSettings = RandomTextureSettings(sd_hu=8.0, slope=1.5)
    """Texture of the body."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if not 0 < self.contrast_hu[0] <= self.contrast_hu[1] <= 3000:
            raise ValueError("contrast_hu: give a smaller and a larger value, up to 3000 HU")
        return self


AnyRandomPhantom = DeadLeavesSettings | BlobsSettings | VesselsSettings
"""Every phantom that is drawn at random."""
