"""Headers that read as those of a maker's scanner, and say that there was none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.core.acquisition import Acquisition

MODEL_NAME = "no scanner: a computed phantom"
"""ManufacturerModelName of an imitation."""

_MGY_PER_MAS = 0.07
"""CTDIvol of a body of 320 mm for 1 mAs at 120 kV, pitch 1: about what makers state."""

_KVP_POWER = 2.5
"""Output of a tube grows about as this power of its voltage."""


@dataclass(frozen=True, slots=True)
class Imitation:
    """What a maker's headers say.

    Args:
        maker: First word of its Manufacturer.
        kernel: A usual kernel for soft tissue.
        source_to_isocentre_mm: Of its whole-body scanners.
        source_to_detector_mm: Of its whole-body scanners.
        filter_type: Its word for a body filter.
    """

    maker: str
    kernel: str
    source_to_isocentre_mm: float
    source_to_detector_mm: float
    filter_type: str


IMITATIONS = MappingProxyType(
    {
        # Distances as in the ready settings of `simulate`.
        "ge": Imitation("GE", "STANDARD", 541.0, 949.0, "BODY FILTER"),
        "siemens": Imitation("SIEMENS", "B30f", 595.0, 1085.6, "WEDGE_3"),
        "philips": Imitation("PHILIPS", "B", 570.0, 1040.0, "B"),
        "canon": Imitation("CANON", "FC13", 600.0, 1072.0, "LARGE"),
    }
)
"""Headers that can be imitated."""


def imitated(acquisition: Acquisition, settings: PhantomSettings) -> Acquisition:
    """The facts of a phantom as a maker's scanner would state them.

    The first word of Manufacturer is the maker's, so that rules about makers, kernels, doses and
    distances can be tried; the others say that it is an imitation.

    Args:
        acquisition: The facts of the phantom.
        settings: `scanner` and `kernel` say what is imitated; nothing is changed for `none`.
    """
    if settings.scanner == "none":
        return acquisition
    like = IMITATIONS[settings.scanner]
    dose = _MGY_PER_MAS * settings.exposure_mas * (settings.kvp / 120.0) ** _KVP_POWER
    return replace(
        acquisition,
        manufacturer=f"{like.maker} imitation: ctdenoise phantom",
        manufacturer_model_name=MODEL_NAME,
        convolution_kernel=settings.kernel or like.kernel,
        distance_source_to_patient_mm=like.source_to_isocentre_mm,
        distance_source_to_detector_mm=like.source_to_detector_mm,
        ctdi_vol_mgy=round(dose, 2),
        filter_type=like.filter_type,
    )
