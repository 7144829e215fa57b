"""Which figures of a scan are compared with the training of a network, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass

SPACING = "slice_spacing_mm"
"""Compared for networks that look at neighbouring slices alone."""

PIXEL = "pixel_spacing_mm"
FREQUENCY = "noise_frequency_per_mm"

LEAST_NORMAL_NOISE = 0.6
"""Share of the lowest noise of the scans in training, for thickness and size, below which a scan
was denoised: filters and networks leave a sixth to a half."""

_OUTSIDE = "outside-training"


@dataclass(frozen=True, slots=True)
class Kind:
    """A figure that is compared.

    Args:
        key: Of the figure in the record of a training.
        title: For people.
        unit: Of both.
        advice: What to do outside.
        code: Of the finding.
        older: Keys of records that do not have the first.
        only: Which side is of concern.
        digits: Decimals for people.
        slack: What a figure may be beyond the limits in any case, in its unit.
        factor: The same as a factor; None for the margin of the settings.
        usual: Values that are never remarked on, however narrow the training: every anatomy has
            them.
    """

    key: str
    title: str
    unit: str
    advice: str
    code: str = _OUTSIDE
    older: tuple[str, ...] = ()
    only: str = "both"
    digits: int = 1
    slack: float = 0.0
    factor: float | None = None
    usual: tuple[float, float] | None = None


KINDS = (
    Kind(
        "noise_hu",
        "noise in soft tissue",
        "HU",
        "Judge the result with care, or take a network for this dose.",
        older=("told_noise_hu", "low_noise_hu"),
    ),
    Kind(
        FREQUENCY,
        "mean frequency of the noise",
        "/mm",
        "The kernel is sharper or smoother than any in training: take a reconstruction with a "
        "usual kernel, or a network for this one.",
        digits=2,
    ),
    Kind(
        "normal_noise_hu",
        "noise, as of slices of 1 mm and a body of 300 mm,",
        "HU",
        "So little noise, for this thickness and size, is left by denoising or an iterative "
        "reconstruction, or by a very high dose. A network that is told the noise changes it less "
        "than others: denoise the original reconstruction instead.",
        code="input-smoothed",
        only="below",
        factor=1 / LEAST_NORMAL_NOISE,
    ),
    Kind(
        PIXEL,
        "pixel spacing",
        "mm",
        "Take a reconstruction with a usual field of view, or a network for this one.",
        digits=2,
    ),
    Kind(
        "slice_thickness_mm",
        "slice thickness",
        "mm",
        "Take a reconstruction of usual thickness, or a network for this one.",
        digits=2,
    ),
    Kind(
        SPACING,
        "slice spacing",
        "mm",
        "The network looks at neighbouring slices, and those of its training were nearer or "
        "farther: take a network of one slice, or one for this spacing.",
        digits=2,
    ),
    Kind(
        "bone_ring_mm",
        "width that bone closes around, as a skull does,",
        "mm",
        "There was no head in training: do not use the result of a head; the contrast of grey and "
        "white matter is lower than any that this network has met.",
        code="another-body-part",
        only="above",
        digits=0,
        usual=(0.0, 80.0),  # 41 mm at most in trunks and limbs, 108 mm at least in heads
    ),
    Kind(
        "body_mm",
        "diameter of the body (of a disc of its area)",
        "mm",
        "A child or a limb, or a very large patient: compare small things with the scan.",
        digits=0,
        usual=(200.0, 420.0),  # trunks of adults
    ),
    Kind(
        "bright_soft_hu",
        "brightness of soft tissue (90th percentile)",
        "HU",
        "There is more contrast medium than in training: compare vessels and organs with the scan.",
        only="above",
        digits=0,
        slack=40.0,  # between portal-venous phases
    ),
    Kind(
        "bright_even_hu",
        "brightest even area (blood, bowel or bladder with contrast medium)",
        "HU",
        "The phase of contrast was not in training: compare vessels and their borders with the "
        "scan.",
        only="above",
        digits=0,
        slack=30.0,
        usual=(-1000.0, 300.0),  # without contrast up to 245 HU, of even spongy bone
    ),
    Kind(
        "densest_hu",
        "densest spot",
        "HU",
        "There is metal, or denser bone than in training: compare its surroundings with the scan.",
        only="above",
        digits=0,
        usual=(-1000.0, 1800.0),  # means over 4.5 mm; bone of heads comes to 1700 HU
    ),
    Kind("kvp", "tube voltage", "kV", "Compare bone and vessels with the scan.", digits=0),
)
