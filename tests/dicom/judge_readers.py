"""Judges that read: what other people's readers see in a series or object that we wrote."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import highdicom
import numpy as np
import pydicom

from ctdenoise.core.volume import CTVolume
from ctdenoise.inference.load import load_denoiser
from ctdenoise.io.read import read_volume
from ctdenoise.metrics.local_noise import local_sd_hu
from tests.dicom.judged import Made
from tests.dicom.objects import expected_labels
from tests.dicom.readers import Voxels, by_dcm2niix, by_highdicom, by_simpleitk
from tests.dicom.verdicts import Verdict, judged_by

CT_KINDS = (
    *("denoised", "simulated", "removed_noise", "noise_map_ct", "new_series", "deidentified"),
    "phantom",
)
PIXELS_HU = 1e-3
PLACE_MM = 2e-3
"""NIfTI and dcm2niix keep an affine in float32."""


def _dcm2niix(folder: Path) -> Voxels:
    with tempfile.TemporaryDirectory() as scratch:
        values, affine = by_dcm2niix(folder, Path(scratch) / "out")
        return np.array(values), affine


READERS: dict[str, Callable[[Path], Voxels]] = {
    "SimpleITK": by_simpleitk,
    "highdicom": by_highdicom,
    "dcm2niix": _dcm2niix,
}


def cannot(reader: str, made: Made) -> bool:
    """Whether a reader cannot read such an object, whoever wrote it.

    Debian's dcm2niix has no JPEG-LS and does not inflate, and of a compressed multi-frame object it
    decodes the first frame only. A segmentation or parametric map is read by highdicom alone here.
    """
    if made.kind not in CT_KINDS:
        return reader != "highdicom"
    if reader != "dcm2niix":
        return False
    first = pydicom.dcmread(made.files[0], stop_before_pixels=True)
    compressed = first.file_meta.TransferSyntaxUID.is_compressed
    return made.syntax in ("deflated", "jpeg-ls") or ("NumberOfFrames" in first and compressed)


def reads(reader: str, made: Made) -> Verdict:
    """What a reader sees otherwise than we do, or than it sees the same thing in the source.

    A tilted or uneven stack has no place in many readers: they refuse it, or forget the shear. Then
    what a reader says of the source it has to say of the result.
    """
    if made.kind == "segmentation":
        return judged_by(reader, _labels(made))
    if made.kind == "parametric_map":
        return judged_by(reader, _map(made))
    return judged_by(reader, [line for folder in made.series for line in _hu(reader, made, folder)])


def _hu(reader: str, made: Made, folder: Path) -> list[str]:
    seen, ours = _seen(reader, folder), read_volume(folder)
    if isinstance(seen, str):
        of_source = _seen(reader, made.study)
        return (
            [] if isinstance(of_source, str) else [f"refuses what it reads in the source: {seen}"]
        )
    values, affine = seen
    if values.shape != ours.shape:
        return [f"sees {values.shape} voxels where {ours.shape} are"]
    counts = np.ones(ours.shape, bool)
    if reader == "dcm2niix" and ours.padding is not None:  # it writes padding as it likes
        counts = ~ours.padding
    lines = []
    if np.abs(values - ours.hu)[counts].max() > PIXELS_HU:
        lines.append("sees other Hounsfield units")
    if not _in_place(reader, affine, ours, made):
        lines.append("sees them elsewhere")
    return [] if made.kind == "deidentified" and _as_source(reader, seen, made) else lines


def _as_source(reader: str, seen: Voxels, made: Made) -> bool:
    """Whether a reader sees in an export just what it sees in the source, right or wrong."""
    of_source = _seen(reader, made.study)
    return not isinstance(of_source, str) and all(map(np.array_equal, seen, of_source))


def _in_place(reader: str, affine: np.ndarray, ours: CTVolume, made: Made) -> bool:
    if _has_place(ours):
        return bool(np.abs(affine - ours.geometry.affine()).max() <= PLACE_MM)
    of_source = _seen(reader, made.study)
    return not isinstance(of_source, str) and np.array_equal(of_source[1], affine)


def _has_place(volume: CTVolume) -> bool:
    return volume.geometry.slice_spacing_mm is not None and not volume.geometry.tilt_degrees > 0.01


@lru_cache(maxsize=16)
def _seen(reader: str, folder: Path) -> Voxels | str:
    """What a reader makes of a folder, or what it says against it."""
    try:
        return READERS[reader](folder)
    except Exception as error:  # noqa: BLE001 - readers raise whatever the bytes provoke
        return f"{type(error).__name__}: {error}"


def _labels(made: Made) -> list[str]:
    """highdicom against the labels of the network itself."""
    source = read_volume(made.study)
    assert made.model is not None
    assert source.source is not None
    labels = expected_labels(made.model, source)
    seg = highdicom.seg.segread(made.files[0])
    names = [one.sop_instance_uid for one in source.source.instances]
    if source.source.instances[0].frame is None:
        read = seg.get_pixels_by_source_instance(names, combine_segments=True)
    else:
        numbers = [(one.frame or 0) + 1 for one in source.source.instances]
        read = seg.get_pixels_by_source_frame(names[0], numbers, combine_segments=True)
    return [] if np.array_equal(read, labels) and labels.any() else ["sees other labels"]


def _map(made: Made) -> list[str]:
    """highdicom's real world values, frame by frame, against the map of the network's result."""
    source = read_volume(made.study)
    assert made.model is not None
    assert source.source is not None
    result = load_denoiser(made.model)(source)
    image = highdicom.imread(made.files[0])
    frames = image.get_frames(apply_real_world_transform=True)
    keys = [(one.sop_instance_uid, one.frame or 0) for one in source.source.instances]
    lines = []
    for number, group in enumerate(image.PerFrameFunctionalGroupsSequence):
        named = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame = int(named.get("ReferencedFrameNumber", 1)) - 1
        index = keys.index((str(named.ReferencedSOPInstanceUID), frame))
        padding = None if source.padding is None else source.padding[index]
        expected = local_sd_hu(
            source.hu[index] - result.hu[index],
            padding,
            pixel_spacing_mm=source.geometry.pixel_spacing_mm,
            window_mm=9.0,
        )
        if np.abs(frames[number] - expected).max() > 0.026:  # half a stored step
            lines.append(f"sees other values in frame {number + 1}")
    return lines if len(frames) == len(keys) else [*lines, f"sees {len(frames)} frames"]


def missing_reader(reader: str) -> str:
    """Why a reader cannot be asked; empty where it can."""
    if reader == "dcm2niix" and shutil.which("dcm2niix") is None:
        return "dcm2niix is not installed"
    return ""
