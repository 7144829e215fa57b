"""Settings of `ctdenoise evaluate --study qa`: image quality of scanned phantoms."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ctdenoise.config.base import Settings
from ctdenoise.config.limits import AcceptanceSettings

QaPhantom = Literal["water", "acr464", "catphan504"]
"""Phantoms whose scans can be judged: a cylinder of water, the ACR's (Gammex 464), Catphan 504."""

ACR = "ACR CT accreditation"
ACR_SCORING = "ACR CT accreditation, scoring: 5 to 7 HU minor, above 7 HU major"
DAILY = "daily check of water, usual practice"
MAKER = "Catphan 504 manual, by pylinac: nominal +/- 40 HU"
LENGTH = "pylinac's default: within 1 % of the true length"
OURS = "ours"

WATER_LIMITS = (
    AcceptanceSettings(metrics="mean_hu[centre]", low=-5.0, high=5.0, source=DAILY),
    AcceptanceSettings(metrics="nonuniformity", high=5.0, source=ACR_SCORING),
    AcceptanceSettings(metrics="worst_spot", high=10.0, source=OURS),
)
"""Limits for a scan of water. Those for what changes from day to day are in `constancy`."""

ACR_LIMITS = (
    AcceptanceSettings(metrics="insert_hu[water]", low=-7.0, high=7.0, source=ACR),
    AcceptanceSettings(metrics="insert_hu[polyethylene]", low=-107.0, high=-84.0, source=ACR),
    AcceptanceSettings(metrics="insert_hu[acrylic]", low=110.0, high=135.0, source=ACR),
    AcceptanceSettings(metrics="insert_hu[bone]", low=850.0, high=970.0, source=ACR),
    AcceptanceSettings(metrics="insert_hu[air]", low=-1005.0, high=-970.0, source=ACR),
    AcceptanceSettings(metrics="pylinac_length", low=99.0, high=101.0, source=LENGTH),
    AcceptanceSettings(metrics="cnr", low=1.0, source=f"{ACR}, adult head and abdomen"),
    AcceptanceSettings(metrics="mean_hu[centre]", low=-7.0, high=7.0, source=ACR),
    AcceptanceSettings(metrics="nonuniformity", high=5.0, source=ACR_SCORING),
)
"""Limits for the ACR phantom: its inserts, contrast over noise of the rod of 25 mm and 6 HU
(0.7 for a child's head, 0.4 for a child's abdomen), uniformity."""

CATPHAN_LIMITS = (
    AcceptanceSettings(metrics="insert_hu[air*]", low=-1040.0, high=-960.0, source=MAKER),
    AcceptanceSettings(metrics="insert_hu[PMP]", low=-236.0, high=-156.0, source=MAKER),
    AcceptanceSettings(metrics="insert_hu[LDPE]", low=-144.0, high=-64.0, source=MAKER),
    AcceptanceSettings(metrics="insert_hu[polystyrene]", low=-87.0, high=-7.0, source=MAKER),
    AcceptanceSettings(metrics="insert_hu[acrylic]", low=75.0, high=155.0, source=MAKER),
    AcceptanceSettings(metrics="insert_hu[Delrin]", low=325.0, high=405.0, source=MAKER),
    AcceptanceSettings(metrics="insert_hu[Teflon]", low=960.0, high=1040.0, source=MAKER),
    AcceptanceSettings(metrics="pylinac_length", low=49.5, high=50.5, source=LENGTH),
    AcceptanceSettings(metrics="nonuniformity", high=5.0, source=ACR_SCORING),
)
"""Limits for the Catphan 504: nominal values and the tolerance that pylinac takes by default."""


class PlaceSettings(Settings):
    """Where the phantom is, for scans in which it is not found or found wrong."""

    centre: tuple[float, float] | None = None
    """Row and column of its axis, pixels counted from 0; null: found."""
    radius_mm: float | None = Field(default=None, gt=0)
    """Its radius; null: found. Needs the centre."""
    roll_degrees: float | None = Field(default=None, ge=-180, le=180)
    """How far it is turned, from the right of the image towards its bottom; null: found."""
    slices: dict[str, tuple[int, ...]] = Field(default={})
    """Slices that show a module, counted from 1: `{numbers: [5, 6], uniformity: [30]}`; modules are
    numbers, low_contrast and uniformity. Those that are not named are found."""


class ConstancySettings(Settings):
    """What may change from day to day."""

    baseline_days: int = Field(default=1, ge=1)
    """The first so many days that passed make the baseline."""
    baseline_date: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    """The days of this date make the baseline instead, such as 2018-05-31."""
    noise_percent: float = Field(default=20.0, gt=0)
    """Noise may differ from the baseline by so many per cent (usual practice)."""
    mean_hu: float = Field(default=5.0, gt=0)
    """The CT number may differ from the baseline by so many HU (usual practice)."""
    texture_percent: float = Field(default=20.0, gt=0)
    """The mean frequency of the noise may differ from the baseline by so many per cent (ours)."""


class QaSettings(Settings):
    """How the scan of a phantom is judged."""

    phantom: QaPhantom = "water"
    """Which phantom was scanned."""
    place: PlaceSettings = PlaceSettings()
    """Where it is, if it is not found."""
    edge_mm: float = Field(default=25.0, gt=0)
    """Water: distance of the middle of the discs at the edge from the outside of the phantom, wall
    included."""
    disc_mm: float = Field(default=10.0, gt=0)
    """Water: radius of the discs at the centre and at the edge."""
    noise_patch: int = Field(default=64, ge=16)
    """Side of the patches whose noise power spectrum is taken, pixels."""
    limits: tuple[AcceptanceSettings, ...] | None = None
    """What must be met; null: the published limits of the phantom."""
    constancy: ConstancySettings = ConstancySettings()
    """What may change from day to day, where a history is kept."""
    pylinac: str | None = Field(default=None, min_length=1)
    """The Python of an environment with pylinac, such as `pylinac/bin/python`: its figures of
    the ACR phantom and the Catphan stand behind ours. An environment of its own, because pylinac
    needs pydicom 2. Null: without."""
    page: bool = True
    """Whether a page with the measured places is made, which needs jinja2 and matplotlib."""

    @property
    def limits_or_default(self) -> tuple[AcceptanceSettings, ...]:
        """The limits that were given, or those of the phantom."""
        if self.limits is not None:
            return self.limits
        defaults = {"water": WATER_LIMITS, "acr464": ACR_LIMITS, "catphan504": CATPHAN_LIMITS}
        return defaults[self.phantom]
