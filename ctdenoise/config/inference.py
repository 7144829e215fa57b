"""Settings of `infer`: how a network is put to work on a study."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field

from ctdenoise.config.base import Settings
from ctdenoise.config.checks import CheckSettings
from ctdenoise.config.classical import FilterSettings
from ctdenoise.config.controls import ControlSettings, Presets, Recommended
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.acquisition import Acquisition


def _name_or_code(text: str) -> str:
    is_code = re.fullmatch(r"[^^\\]{1,16}\^[^^\\]{1,16}\^[^^\\]{1,64}", text)
    if not is_code and not re.fullmatch(r"[A-Za-z][A-Za-z _-]*", text):
        raise ValueError("must be a name, or a code as value^scheme^meaning")
    return text


class SegmentSettings(Settings):
    """What a label is, in the coded words of DICOM. What is left out follows from its name."""

    category: Literal["anatomy", "tissue", "abnormality"] | None = None
    """Anatomical Structure, Tissue or Morphologically Abnormal Structure."""

    type: Annotated[str, AfterValidator(_name_or_code)] | None = None
    """What it is: an English name that the standard has, such as `liver`, or a code as
    `value^scheme^meaning`, such as `10200004^SCT^Liver`."""

    laterality: Literal["left", "right", "bilateral", "none"] | None = None
    """Which one of a pair."""

    colour: Annotated[str, Field(pattern="^#[0-9A-Fa-f]{6}$")] | None = None
    """Colour that viewers are advised to show it in, as `"#dd8265"` (red, green, blue). Without one
    they choose."""

    def deciding(self) -> dict[str, Any]:
        """What changes the object, as plain JSON: what was added later counts where it is used."""
        return {key: value for key, value in self.as_json().items() if value or key != "colour"}


class ObjectSettings(Settings):
    """What is written beside the denoised images."""

    segmentation: Literal["binary", "none"] = "binary"
    """Labels of a network with a segmentation head. `binary`: a DICOM Segmentation of type BINARY,
    which readers of any age know, or a label image for other formats. `none`: do not write
    them."""

    segments: dict[str, SegmentSettings] = Field(default={})
    """What labels are in coded words, by name, where their names alone do not say it:
    `segments: {spot: {type: nodule, laterality: left}}`."""

    residual: bool = False
    """Also write what was removed: source minus result."""

    noise_map: Literal["none", "pm", "ct"] = "none"
    """Also write a map of noise, in HU: the error that the network states for its own image, if it
    states one (`predict_sigma`), and otherwise the local standard deviation of what was removed.
    `pm`: a DICOM Parametric Map. `ct`: a CT series, which every viewer shows. Any choice but `none`
    gives an image file for other formats."""

    window_mm: float = Field(default=9.0, ge=1.0, le=100.0)
    """Edge of the square in which the local standard deviation is taken, mm."""

    uncertainty: Literal["none", "pm", "ct"] = "none"
    """Also write a map of the standard deviation of the error of every pixel, in HU, as it is found
    on the scan itself: some slices are denoised, given noise like that of the scan, and denoised
    again. `pm` and `ct` as for `noise_map`."""

    texture_hu: float = Field(default=6.0, ge=0.0, le=50.0)
    """Standard deviation of the fine texture that tissue is taken to have, for the map of
    uncertainty: what a method takes away of it is an error, too. 0 for phantoms of plastic and
    water."""


class InferSettings(ControlSettings):
    """How to denoise: how much of the change to apply, and with what means."""

    presets: Presets = ()
    """Rules that choose strength, texture or noise_target by what the header of a scan says; the
    first that fits is taken, and with none what stands above. On the command line `--strength`,
    `--texture` and `--noise-target` set them aside."""

    noise_level: float | None = Field(default=None, gt=0, le=5000)
    """Noise in the soft tissue of the study, HU, for classical filters and for networks that are
    told the noise: the map that is measured in the pixels is scaled to it. Null: as measured."""

    noise_factor: float = Field(default=1.0, gt=0, le=10)
    """What such a model is told is multiplied by this: above 1 it takes away more, below 1
    less."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    """Where to compute: `auto`, `cpu`, `cuda`, or `cuda:1` for one of several GPUs. auto takes a
    GPU if there is one."""

    engine: Literal["auto", "torch", "winograd"] = "auto"
    """What computes convolutions. `winograd`: kernels of our own, in float32 on a CPU with AVX2 or
    AVX-512, several times as fast as torch and equal to it within rounding (0.05 HU at most).
    `torch`: torch alone. `auto` takes the faster one by a rule that does not depend on timings; the
    history of the result says which it was."""

    precision: Literal["auto", "float32", "bf16"] = "auto"
    """auto is float32 on a CPU, and on a GPU bf16 with the last layer and the sum with the image in
    float32; the history of the result says which. float32 is exact to rounding. bf16 takes half the
    time of torch's float32 on processors that compute with it (and is far slower on those that do
    not), more than the Winograd engine takes, and moves the result by about 1 HU (root mean square)
    for RED-CNN."""

    batch: int | None = Field(default=None, ge=1)
    """Slices (or tiles) computed together, where memory allows; 1 on a CPU and 8 on a GPU unless
    given."""

    tile: int | None = Field(default=None, ge=16)
    """Edge of the tiles a slice is cut into, pixels. Unless given, slices are computed whole where
    they fit into memory_mb. Tiling with a known receptive field does not change the result."""

    memory_mb: int = Field(default=2048, ge=32)
    """Memory that the network's feature maps may take, MB."""

    filters: FilterSettings = FilterSettings()
    """How much classical filters take away, for `--model nlm` and its like."""

    dicom: DicomSettings = DicomSettings()
    """How the result is written as DICOM."""

    objects: ObjectSettings = ObjectSettings()
    """What is written beside the denoised images."""

    checks: CheckSettings = CheckSettings()
    """What is looked at in the result before it is written."""

    def with_recommended(self, own: Recommended) -> Self:
        """The same settings with every control in figures, those of presets included.

        Args:
            own: What the method recommends where nothing is given.
        """
        presets = tuple(rule.with_recommended(own) for rule in self.presets)
        return super().with_recommended(own).replaced(presets=presets)

    def for_scan(self, acquisition: Acquisition) -> tuple[Self, str | None]:
        """The settings for one scan, rules applied, and the name of the preset that was chosen.

        Args:
            acquisition: What the header of the scan says.
        """
        chosen = next((rule for rule in self.presets if rule.when.hold(acquisition)), None)
        if chosen is None:
            return self.replaced(presets=()), None
        controls = {key: getattr(chosen, key) for key in ControlSettings.model_fields}
        return self.replaced(presets=(), **controls), chosen.name

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the voxels, as plain JSON: all but what is written, and how.

        What was added later counts where it is used. What a network is told of the noise has lines
        of its own in the history, and so have the engine and the settings of a classical filter.
        """
        apart = {"dicom", "objects", "checks", "noise_level", "noise_factor", "presets", "filters"}
        apart |= {"engine"}
        later = ("texture", "noise_target", "keep_below_per_mm")
        apart |= {key for key in later if not getattr(self, key)}
        found = self.model_dump(mode="json", exclude=apart)
        found["device"] = self.device.partition(":")[0]  # one GPU is as good as another
        return found
