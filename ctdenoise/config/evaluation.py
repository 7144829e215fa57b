"""Settings of `ctdenoise evaluate`."""

from __future__ import annotations

from typing import Annotated, Literal, Self, assert_never, get_args

from pydantic import BeforeValidator, Field, model_validator

from ctdenoise.config.base import Settings

SsimConvention = Literal["uniform7", "redcnn11"]
"""How structural similarity is computed; see `ctdenoise.metrics.fidelity`."""

WindowName = Literal[
    "full",
    "redcnn",
    "ldctbench-chest",
    "ldctbench-abdomen",
    "ldctbench-neuro",
    "ldctbench-validation",
]
"""Windows that published results use."""


class WindowSettings(Settings):
    """A range of HU that both images are clipped to, which is also the data range."""

    low_hu: float
    """What is below becomes this value."""
    high_hu: float
    """What is above becomes this value."""
    ssim: SsimConvention = "uniform7"
    """uniform7: 7 x 7 uniform filter, sample covariance, window mapped to [0, 1] (scikit-image's
    default, ldct-benchmark). redcnn11: 11 x 11 Gaussian of sigma 1.5, raw HU, zero-padded borders
    (the RED-CNN code base and what grew from it)."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.high_hu > self.low_hu:
            raise ValueError(f"a window from {self.low_hu} to {self.high_hu} HU is empty")
        return self

    @property
    def width_hu(self) -> float:
        """The data range."""
        return self.high_hu - self.low_hu

    @property
    def label(self) -> str:
        """The window as it stands in a key: `[-160,240]`."""
        return f"[{self.low_hu:g},{self.high_hu:g}]"


def window_settings(name: WindowName) -> WindowSettings:
    """The window that a name stands for.

    ldct-benchmark gives centre c and width w: chest -600/1500, abdomen 50/400, neuro 40/80, and
    clips as DICOM's linear VOI function does: from c - w/2 to c + w/2 - 1 (PS3.3 C.11.2.1.2). What
    it validates with is everything up to 1900 HU, which is also the window of its RMSE and VIF.
    """
    match name:
        case "full":
            return WindowSettings(low_hu=-1024, high_hu=3071)
        case "redcnn":
            return WindowSettings(low_hu=-160, high_hu=240, ssim="redcnn11")
        case "ldctbench-chest":
            return WindowSettings(low_hu=-1350, high_hu=149)
        case "ldctbench-abdomen":
            return WindowSettings(low_hu=-150, high_hu=249)
        case "ldctbench-neuro":
            return WindowSettings(low_hu=0, high_hu=79)
        case "ldctbench-validation":
            return WindowSettings(low_hu=-1024, high_hu=1900)
        case _:
            assert_never(name)


def named_window(value: object) -> object:
    """A name as the window it stands for; anything else as it is."""
    if not isinstance(value, str):
        return value
    for name in get_args(WindowName):
        if value == name:
            return window_settings(name)
    known = ", ".join(get_args(WindowName))
    raise ValueError(
        f"no window has this name; there are {known}, or {{low_hu: ..., high_hu: ...}}"
    )


class PageSettings(Settings):
    """What the report page shows."""

    difference_hu: float = Field(default=100.0, gt=0)
    """Pictures of differences show minus to plus this many HU."""
    crop_mm: float = Field(default=90.0, gt=0)
    """Side of the enlarged part."""


_USUAL_WINDOWS: tuple[WindowName, ...] = ("full", "redcnn", "ldctbench-chest")


_LabelNumber = Annotated[int, Field(ge=0, le=255)]


class MaskSettings(Settings):
    """How label maps from files are read, where masks are compared."""

    labels: dict[_LabelNumber, _LabelNumber] | None = None
    """Class of each label number; those that are not named are background (0). Null: as the
    network that labels was trained on, and without one the numbers are the classes."""

    names: dict[int, str] = Field(default={})
    """Name of a class: `{1: liver}`; by default what the network calls it."""


class EvaluateSettings(Settings):
    """How test volumes are compared with a reference."""

    windows: tuple[Annotated[WindowSettings, BeforeValidator(named_window)], ...] = tuple(
        window_settings(name) for name in _USUAL_WINDOWS
    )
    """Windows for PSNR and SSIM: full, redcnn, ldctbench-chest, ldctbench-abdomen, ldctbench-neuro,
    ldctbench-validation, or `{low_hu: ..., high_hu: ...}`. Neither means anything without its
    window, so neither is given without one."""
    vif: bool = True
    """Visual information fidelity over [-1024, 1900] HU, and RMSE there, as ldct-benchmark has
    them. It takes about half of the time of all numbers."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Slices that are compared at a time; null for as many as there are processors. The numbers are
    the same with any."""
    page: PageSettings | None = PageSettings()
    """What the page shows; `null` for numbers alone, which needs neither jinja2 nor matplotlib."""
    masks: MaskSettings = MaskSettings()
    """How label maps are read, where masks are compared."""
