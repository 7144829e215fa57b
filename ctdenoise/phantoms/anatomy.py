"""What differs from one patient to the next, and the Hounsfield units of tissues."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np

from ctdenoise.config.phantom import TorsoSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.phantoms.axes import Vector
from ctdenoise.phantoms.shapes import Part, Quadric, Shape
from ctdenoise.phantoms.solids import elliptic_cylinder

LABELS = (
    "fat",
    "muscle",
    "lung",
    "bone",
    "liver",
    "heart",
    "vessel",
    "kidney",
    "spleen",
    "bowel",
    "lesion",
    "soft tissue",
)
"""Names of the labels of a torso, from number 1."""

TOP_MM = 330.0
"""The torso ends here ..."""

BOTTOM_MM = -330.0
"""... and here; the top of the right diaphragm is near z = 0."""


USUAL_CAVITY_MM = (136.0, 84.0)
"""Half-axes of the inside of the usual patient, in which places are given."""


@dataclass(frozen=True, slots=True)
class Tissue:
    """A material of the body.

    Args:
        label: Name of its label; empty for background.
        hu: Without contrast medium (FORBILD values for liver, kidney, muscle, fat, lung and bone).
        texture_sd_hu: Standard deviation of its texture.
        enhanced_hu: In the portal venous phase.
    """

    label: str
    hu: float
    texture_sd_hu: float
    enhanced_hu: float | None = None


TISSUES = MappingProxyType(
    {
        "skin": Tissue("soft tissue", 20, 4),
        "fat": Tissue("fat", -105, 7),
        "visceral fat": Tissue("fat", -98, 8),
        "muscle": Tissue("muscle", 45, 9, 60),
        "lung": Tissue("lung", -845, 28),
        "lung vessel": Tissue("lung", 35, 0, 90),
        "airway": Tissue("lung", -985, 0),
        "cortical bone": Tissue("bone", 720, 40),
        "spongy bone": Tissue("bone", 185, 35),
        "cartilage": Tissue("muscle", 95, 10),
        "disc": Tissue("soft tissue", 80, 8),
        "spinal canal": Tissue("soft tissue", 18, 4),
        "spinal cord": Tissue("soft tissue", 38, 4),
        "liver": Tissue("liver", 58, 7, 108),
        "liver vessel": Tissue("liver", 42, 4, 150),
        "bile": Tissue("soft tissue", 8, 4),
        "spleen": Tissue("spleen", 48, 6, 122),
        "kidney": Tissue("kidney", 32, 8, 175),
        "renal sinus": Tissue("fat", -80, 8, -60),
        "pancreas": Tissue("soft tissue", 40, 12, 92),
        "heart wall": Tissue("heart", 48, 5, 105),
        "blood": Tissue("heart", 42, 4, 152),
        "vessel": Tissue("vessel", 42, 4, 155),
        "wall": Tissue("bowel", 38, 6, 72),
        "contents": Tissue("bowel", 14, 10),
        "gas": Tissue("bowel", -980, 0),
        "oesophagus": Tissue("soft tissue", 35, 6, 52),
        "nodule": Tissue("lesion", 25, 8),
    }
)
"""The materials that a torso is made of."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One patient.

    Args:
        half_width_mm: Half the width of the body.
        half_depth_mm: Half its depth.
        fat_mm: Thickness of the fat under the skin.
        wall_mm: Thickness of the muscle of the body wall.
        diaphragm_mm: Height of the top of the right diaphragm.
        liver_scale: Size of the liver, 1 is usual.
        heart_scale: Size of the heart, 1 is usual.
        spine_shift_mm: How far the spine lies beside the middle.
        marrow_hu: Hounsfield units of the spongy bone.
        lung_hu: Hounsfield units of the lung between its vessels.
        hu_shift: Small differences of soft tissue from patient to patient, by tissue.
        enhanced: Whether contrast medium was given.
        texture: Strength of the texture.
    """

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    wall_mm: float
    diaphragm_mm: float
    liver_scale: float
    heart_scale: float
    spine_shift_mm: float
    marrow_hu: float
    lung_hu: float
    hu_shift: tuple[tuple[str, float], ...]
    enhanced: bool
    texture: float

    @property
    def cavity_mm(self) -> tuple[float, float]:
        """Half-axes of the inside of the body wall."""
        return (
            self.half_width_mm - self.fat_mm - self.wall_mm,
            self.half_depth_mm - self.fat_mm - self.wall_mm,
        )

    @property
    def forward_mm(self) -> float:
        """How far the middle of the inside lies in front of the isocentre."""
        return 0.04 * self.half_depth_mm

    def at(self, x: float, y: float, z: float) -> Vector:
        """A place given in the usual patient, in this one; z counts from the right diaphragm."""
        a, b = self.cavity_mm
        return (x * a / USUAL_CAVITY_MM[0], y * b / USUAL_CAVITY_MM[1], z + self.diaphragm_mm)

    def radii(self, x: float, y: float, z: float, scale: float = 1.0) -> Vector:
        """Half-axes given in the usual patient, in this one."""
        a, b = self.cavity_mm
        return (
            x * scale * a / USUAL_CAVITY_MM[0],
            y * scale * b / USUAL_CAVITY_MM[1],
            z * scale,
        )

    def cavity(self, *, less_mm: float = 0.0) -> Quadric:
        """The inside of the body wall, endless along z.

        Args:
            less_mm: Distance from the wall.
        """
        a, b = self.cavity_mm
        return elliptic_cylinder((0.0, -self.forward_mm), (a - less_mm, b - less_mm))

    def shape(
        self,
        name: str,
        tissue: str,
        *parts: Part,
        hu: float | None = None,
        label: str | None = None,
    ) -> Shape:
        """A solid of one of this patient's tissues.

        Args:
            name: What it is.
            tissue: What it is made of.
            parts: The solid.
            hu: Instead of the tissue's own Hounsfield units.
            label: Instead of the tissue's own label.
        """
        material = TISSUES[tissue]
        return Shape(
            name,
            self.hu(tissue) if hu is None else hu,
            parts,
            label=material.label if label is None else label,
            texture_sd_hu=material.texture_sd_hu * self.texture,
        )

    def hu(self, tissue: str) -> float:
        """Hounsfield units of a tissue in this patient."""
        if tissue == "spongy bone":
            return self.marrow_hu
        if tissue == "lung":
            return self.lung_hu
        material = TISSUES[tissue]
        value = material.hu
        if self.enhanced and material.enhanced_hu is not None:
            value = material.enhanced_hu
        return value + dict(self.hu_shift).get(tissue, 0.0)

    def as_json(self) -> dict[str, JsonValue]:
        """Everything that was drawn, in plain JSON."""
        values = asdict(self)
        values["hu_shift"] = dict(self.hu_shift)
        return values


_VARYING = ("muscle", "liver", "spleen", "kidney", "blood", "vessel", "pancreas")


def draw_anatomy(settings: TorsoSettings, rng: np.random.Generator) -> Anatomy:
    """A patient.

    Args:
        settings: What is not left to chance.
        rng: Decides the rest.
    """
    drawn_width = float(rng.uniform(150, 195))
    half_width = drawn_width if settings.half_width_mm is None else settings.half_width_mm
    # Wide patients are deeper and carry more fat.
    stout = (half_width - 150) / 45
    blood_shift = float(rng.normal(0, 10 if settings.enhancement == "portal_venous" else 2))
    shifts = {tissue: float(rng.normal(0, 4)) for tissue in _VARYING}
    shifts["vessel"] = shifts["blood"] = shifts["liver vessel"] = blood_shift
    return Anatomy(
        half_width_mm=half_width,
        half_depth_mm=float(half_width * rng.uniform(0.66, 0.72)),
        fat_mm=float(np.clip(8 + 18 * stout + rng.normal(0, 2), 5, 45)),
        wall_mm=float(rng.uniform(17, 21)),
        diaphragm_mm=float(rng.uniform(-6, 6)),
        liver_scale=float(rng.uniform(0.92, 1.08)),
        heart_scale=float(rng.uniform(0.9, 1.1)),
        spine_shift_mm=float(rng.normal(0, 1.5)),
        marrow_hu=float(rng.uniform(120, 240)),
        lung_hu=float(rng.uniform(-875, -815)),
        hu_shift=tuple(sorted(shifts.items())),
        enhanced=settings.enhancement == "portal_venous",
        texture=settings.texture,
    )
