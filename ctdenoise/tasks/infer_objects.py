"""What is wanted of `infer` beside the denoised images: labels, removed noise, a map of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctdenoise.config.inference import InferSettings, SegmentSettings
from ctdenoise.core.scan import Scan
from ctdenoise.errors import SettingsError, UsageError
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.io.dicom_objects import check_objects, require_seg_extra
from ctdenoise.io.dicom_segments import segment_codes
from ctdenoise.io.write import FileFormat, written_kind

STATED_ERROR = "standard deviation of the error, as stated by the network"
"""What a noise map shows where the network has an output for its error."""

LOCAL_SD = "local standard deviation of what was removed"
"""What a noise map shows otherwise."""

UNCERTAINTY = "standard deviation of the error, found by denoising twice"
"""What a map of uncertainty shows."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What will be written beside the images.

    Args:
        labels: Whether the network labels, and the labels are written.
        residual: Whether what was removed is written.
        noise_map: "pm", "ct" or "none".
        uncertainty: "pm", "ct" or "none".
        states_error: Whether a map needs the error that the network states, and it states one.
        window_mm: Edge of the square of local standard deviations, mm.
        texture_hu: Texture that tissue is taken to have, for the map of uncertainty.
        names: Name of each class, background first.
        segments: What names mean in coded words, where they do not say it themselves.
    """

    labels: bool
    residual: bool
    noise_map: str
    uncertainty: str
    states_error: bool
    window_mm: float
    texture_hu: float
    names: tuple[str, ...]
    segments: Mapping[str, SegmentSettings]

    @property
    def anything(self) -> bool:
        """Whether there is anything to write."""
        maps = {self.noise_map, self.uncertainty}
        return self.labels or self.residual or maps != {"none"}

    @property
    def noise_quantity(self) -> str | None:
        """What the noise map shows, in words; None without one."""
        if self.noise_map == "none":
            return None
        return STATED_ERROR if self.states_error else LOCAL_SD


def wanted_objects(denoiser: Denoiser, settings: InferSettings) -> Wanted:
    """What the settings and the network mean together.

    Args:
        denoiser: Labels only if its network has a segmentation head.
        settings: Of `infer`.
    """
    objects = settings.objects
    return Wanted(
        labels=objects.segmentation != "none" and len(denoiser.class_names) > 1,
        residual=objects.residual,
        noise_map=objects.noise_map,
        uncertainty=objects.uncertainty,
        states_error=denoiser.states_error and {objects.noise_map, objects.uncertainty} != {"none"},
        window_mm=objects.window_mm,
        texture_hu=objects.texture_hu,
        names=denoiser.class_names,
        segments=objects.segments,
    )


def check_wanted(wanted: Wanted, scan: Scan, file_format: FileFormat) -> None:
    """Refuse what could not be written, before anything is computed.

    Args:
        wanted: What is to be written.
        scan: What is read.
        file_format: Of the result.

    Raises:
        UsageError: If DICOM objects are wanted of a study that is no DICOM.
        SettingsError: If a label is given a type that the standard has no name for, or there is no
            label of a name in the settings.
        MissingExtraError: If highdicom is needed and not installed.
        StudyError: If the source cannot carry them; see `check_objects`.
    """
    unknown = sorted(set(wanted.segments) - set(wanted.names[1:]))
    if wanted.labels and unknown:
        raise SettingsError(
            f"the network has no label named {', '.join(unknown)}.",
            where="objects.segments",
            fix=f"It has: {', '.join(wanted.names[1:])}.",
        )
    if not wanted.anything or written_kind(scan, file_format) != "dicom":
        return
    if scan.source is None or scan.source.kind != "dicom":
        raise UsageError(
            "segmentations, removed noise and maps refer to DICOM images, and the study has none.",
            fix="Leave --format out, or use --set objects.segmentation=none without --residual, "
            "--noise-map and --uncertainty.",
        )
    if wanted.labels:
        for name in wanted.names[1:]:
            segment_codes(name, wanted.segments)
    over_all_slices = wanted.labels or "pm" in (wanted.noise_map, wanted.uncertainty)
    if over_all_slices:
        require_seg_extra()
    check_objects(scan, over_all_slices=over_all_slices)
