"""Settings of `phantom`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, Union

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.config.kernels import GaussianKernelSettings, TableKernelSettings
from ctdenoise.config.named_phantoms import NamedPhantom
from ctdenoise.config.phantom_random import BlobsSettings, DeadLeavesSettings, VesselsSettings
from ctdenoise.config.sinogram import SinogramSettings


class GridSettings(Settings):
    """The voxels that a phantom is drawn on; the isocentre is in the middle of the image."""

    size: int = Field(default=512, ge=16, le=4096)
    """Pixels along each side of a slice."""
    field_of_view_mm: float | None = Field(default=None, gt=10, le=1000)
    """Side of a slice, mm; null fits the phantom."""
    slices: int = Field(default=24, ge=1, le=4000)
    """Number of slices."""
    slice_spacing_mm: float = Field(default=3.0, gt=0, le=50)
    """Distance between slices, mm."""
    slice_thickness_mm: float | None = Field(default=None, gt=0, le=50)
    """What a slice averages over, mm; null for the slice spacing."""
    middle_mm: float | None = Field(default=None, ge=-2000, le=2000)
    """Height of the middle of the stack, mm; null for the middle of the phantom."""


class InsertSettings(Settings):
    """A rod along z."""

    material: str = Field(min_length=1, max_length=40)
    """Name of the rod in the list of true values and among the labels."""
    hu: float = Field(ge=-1000, le=20000)
    """Its Hounsfield units."""
    diameter_mm: float = Field(gt=0, le=500)
    """Its diameter, mm."""
    radius_mm: float = Field(ge=0, le=500)
    """Distance of its axis from the isocentre, mm."""
    angle_degrees: float = Field(ge=-360, le=360)
    """Direction of its axis from the isocentre: 0 to the patient's left, 90 to the back."""


def _insert(
    material: str, hu: float, diameter_mm: float, radius_mm: float, angle_degrees: float
) -> InsertSettings:
    return InsertSettings(
        material=material,
        hu=hu,
        diameter_mm=diameter_mm,
        radius_mm=radius_mm,
        angle_degrees=angle_degrees,
    )


DEFAULT_INSERTS = (
    # Nominal values and positions of the Catphan CTP404 sensitometry module.
    _insert("air", -1000, 12, 58.7, -90),
    _insert("PMP", -196, 12, 58.7, -45),
    _insert("LDPE", -104, 12, 58.7, 0),
    _insert("polystyrene", -47, 12, 58.7, 45),
    _insert("acrylic", 115, 12, 58.7, 90),
    _insert("Delrin", 365, 12, 58.7, 135),
    _insert("Teflon", 990, 12, 58.7, 180),
    # Sizes and contrasts of the CCT189 (MITA) low-contrast body phantom.
    _insert("14 HU, 3 mm", 14, 3, 40, -45),
    _insert("7 HU, 5 mm", 7, 5, 40, 45),
    _insert("5 HU, 7 mm", 5, 7, 40, 135),
    _insert("3 HU, 10 mm", 3, 10, 40, -135),
)
"""Seven sensitometry rods and four low-contrast rods in water."""


class WaterSettings(Settings):
    """A cylinder of water."""

    name: Literal["water"] = "water"
    """Which phantom."""
    diameter_mm: float = Field(default=200.0, gt=0, le=900)
    """Diameter, mm; the width, if it is oval."""
    depth_mm: float | None = Field(default=None, gt=0, le=900)
    """Size from front to back, mm; null for a round cylinder."""
    hu: float = Field(default=0.0, ge=-1000, le=20000)
    """What it is filled with, HU."""


class RodsSettings(Settings):
    """A cylinder of water with rods of known Hounsfield units."""

    name: Literal["rods"] = "rods"
    """Which phantom."""
    diameter_mm: float = Field(default=200.0, gt=0, le=900)
    """Diameter of the cylinder, mm."""
    hu: float = Field(default=0.0, ge=-1000, le=20000)
    """What it is filled with, HU."""
    inserts: tuple[InsertSettings, ...] = DEFAULT_INSERTS
    """The rods; a later one replaces an earlier one where they overlap."""

    @model_validator(mode="after")
    def _rods_are_inside_and_named_once(self) -> Self:
        outside = [
            insert.material
            for insert in self.inserts
            if insert.radius_mm + insert.diameter_mm / 2 > self.diameter_mm / 2
        ]
        if outside:
            raise ValueError(f"rods reach out of the cylinder: {', '.join(outside)}")
        names = [insert.material for insert in self.inserts]
        if len(set(names)) != len(names):
            raise ValueError("two rods have the same `material`")
        if len(names) > 250:
            raise ValueError("there are more than 250 rods")
        return self


class TorsoSettings(Settings):
    """An adult's chest and upper abdomen; the seed of the run draws the anatomy."""

    name: Literal["torso"] = "torso"
    """Which phantom."""
    level_mm: float = Field(default=0.0, ge=-140, le=140)
    """Height of the middle slice above the top of the right diaphragm, mm: 60 is the heart, -70
    the kidneys."""
    half_width_mm: float | None = Field(default=None, ge=130, le=230)
    """Half the width of the body, mm; null draws it between 150 and 195."""
    enhancement: Literal["none", "portal_venous"] = "portal_venous"
    """Whether contrast medium brightens vessels and organs."""
    texture: float = Field(default=1.0, ge=0, le=5)
    """Strength of the texture inside organs; 1 is 5 to 12 HU in soft tissue, 0 is none."""
    seamless: bool = False
    """Whether texture goes on where its field ends. Otherwise that of an organ breaks off between
    two slices of a thin stack, and between two rows of some grids, as it always did."""
    lesions: int = Field(default=4, ge=0, le=50)
    """Low-contrast lesions in the liver."""
    lesion_contrast_hu: tuple[float, float] | None = None
    """Least and largest difference of a lesion from the liver, HU, negative for darker ones; null
    for 15 to 60 HU, three of four darker."""
    lesion_diameter_mm: tuple[float, float] | None = None
    """Least and largest diameter of a lesion, mm, which is then a sphere; null for 6 to 18 mm and
    not quite round."""
    liver_vessels: int = Field(default=0, ge=0, le=1000)
    """Ends of fine branches of the veins of the liver, and as many of the portal vein; 0 for the
    main branches alone."""
    nodules: int = Field(default=5, ge=0, le=50)
    """Nodules in the lungs."""
    table: bool = True
    """Whether the patient lies on a table."""

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        contrast, diameter = self.lesion_contrast_hu, self.lesion_diameter_mm
        if contrast is not None and not -1000 <= contrast[0] <= contrast[1] <= 3000:
            raise ValueError("lesion_contrast_hu: give a smaller and a larger value")
        if diameter is not None and not 0.5 <= diameter[0] <= diameter[1] <= 100:
            raise ValueError("lesion_diameter_mm: give a smaller and a larger value, 0.5 to 100 mm")
        return self


AnyPhantom = Annotated[
    Union[
        WaterSettings,
        RodsSettings,
        TorsoSettings,
        NamedPhantom,
        DeadLeavesSettings,
        BlobsSettings,
        VesselsSettings,
    ],
    Field(discriminator="name"),
]
"""Every phantom, told apart by `name`."""


SharpnessSettings = Annotated[
    GaussianKernelSettings | TableKernelSettings, Field(discriminator="name")
]
"""What a reconstruction makes of each frequency, told apart by `name`."""


class PhantomSettings(Settings):
    """What `phantom` draws."""

    phantom: AnyPhantom = TorsoSettings()
    """Which phantom, and how it is made."""
    grid: GridSettings = GridSettings()
    """The voxels that it is drawn on."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Decides everything random: the anatomy of a torso and its texture."""
    kvp: float = Field(default=120.0, ge=40, le=200)
    """Tube voltage that the header states, kV; decides nothing here."""
    exposure_mas: float = Field(default=200.0, gt=0, le=5000)
    """Exposure that the header states, mAs; the simulator may take the full dose from it."""
    scanner: Literal["none", "ge", "siemens", "philips", "canon"] = "none"
    """Whose headers are imitated: kernel, distances, filter and dose index as that maker writes
    them, to try rules on. Manufacturer says that it is an imitation."""
    kernel: str | None = Field(default=None, min_length=1, max_length=16)
    """Kernel that an imitated header states; null for a usual one of the maker. Decides nothing
    here; the simulator may take the texture of the noise from it."""
    sharpness: SharpnessSettings | None = None
    """Slices are filtered in their plane as a kernel would: its factor at each frequency is the
    modulation transfer of the image, with the overshoot of an edge-enhancing one. Null: as sharp as
    the voxels. Labels and the list of true values stay those of the unfiltered phantom."""
    dicom: DicomSettings = DicomSettings()
    """How the series is written, where DICOM is asked for."""
    sinogram: SinogramSettings = SinogramSettings()
    """The rays, where a sinogram is asked for."""

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the phantom, as plain JSON: all but how it is written."""
        plain = {"scanner", "kernel"} if self.scanner == "none" else set()
        plain |= set() if self.sharpness else {"sharpness"}
        return self.model_dump(mode="json", exclude={"dicom", "sinogram"} | plain)

    @model_validator(mode="after")
    def _kernel_is_that_of_a_scanner(self) -> Self:
        if self.kernel is not None and self.scanner == "none":
            raise ValueError("kernel: say which `scanner` it is the kernel of")
        return self
