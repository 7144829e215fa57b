"""Why no legal multi-frame object can be derived from another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.io.dicom_checks import slice_problems
from ctdenoise.io.dicom_derivation import derivation_of, run_moment
from ctdenoise.io.dicom_derived import LossyStorage, NewSeries
from ctdenoise.io.dicom_enhanced import derived_object
from ctdenoise.io.dicom_enhanced_attributes import MULTI_FRAME_TYPE_1
from ctdenoise.io.dicom_enhanced_file import encoded_header
from ctdenoise.io.dicom_file import DamagedFileError, DicomHeader, quiet_pydicom, read_header
from ctdenoise.io.dicom_kinds import ENHANCED_CT, LEGACY_ENHANCED_CT
from ctdenoise.io.dicom_slice import NO_IMAGE_STEPS, SliceHeader, slices_of
from ctdenoise.io.dicom_uids import is_uid, new_uid

MOST_OBJECT_BYTES = 4_000_000_000
"""Pixels of one object: lengths and offsets have 32 bits (PS3.5 7.1.1, A.4), and compressed noise
can be somewhat larger than it was."""


def is_multi_frame(source: SourceSeries) -> bool:
    """Whether any slice of a series is a frame of a multi-frame DICOM object.

    Slices of an image file have a frame, too.
    """
    return source.kind == "dicom" and any(
        instance.frame is not None for instance in source.instances
    )


def frames_by_file(source: SourceSeries) -> dict[Path, list[SourceInstance]]:
    """The slices of each file, in the order of the series; files in the order of their first."""
    files: dict[Path, list[SourceInstance]] = {}
    for instance in source.instances:
        files.setdefault(instance.path, []).append(instance)
    return files


def multi_frame_problems(
    source: SourceSeries, *, by_trial: bool
) -> Iterator[tuple[Path, Sequence[str]]]:
    """Every file of a series with multi-frame objects, and the reasons against deriving from it.

    Args:
        source: The series.
        by_trial: Also derive and encode every header once, to find what only then shows.
    """
    seen: set[str] = set()
    for path, instances in frames_by_file(source).items():
        uid = instances[0].sop_instance_uid
        if instances[0].frame is None:
            yield (path, ["single-frame and multi-frame objects are mixed in one stack"])
            continue
        if uid in seen:
            yield (path, ["another file has the same SOPInstanceUID"])
        seen.add(uid)
        try:
            with quiet_pydicom():
                problems = _problems(read_header(path), instances, source)
                if by_trial and not problems:
                    frames = [instance.frame or 0 for instance in instances]
                    _try(read_header(path).dataset, frames)
            yield (path, problems)
        except (DamagedFileError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            yield (path, [f"the file cannot be read again: {reason}"])


def object_header(
    dataset: Dataset,
    frames: Sequence[int],
    series: NewSeries,
    sop_instance_uid: UID,
    lossy: LossyStorage | None = None,
) -> Dataset:
    """See `derived_object`.

    Raises:
        DamagedFileError: If the header of the source cannot be copied.
    """
    try:
        return derived_object(dataset, frames, series, sop_instance_uid, lossy)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        reason = f"its header cannot be copied ({type(error).__name__})"
        raise DamagedFileError(reason) from error


def _try(dataset: Dataset, frames: Sequence[int]) -> None:
    """Derive and encode a header for nothing but the errors that this may raise."""
    trial = NewSeries(derivation_of(()), new_uid("trial"), 1, run_moment())
    encoded_header(object_header(dataset, frames, trial, new_uid("trial")))


def _problems(
    header: DicomHeader, instances: Sequence[SourceInstance], source: SourceSeries
) -> list[str]:
    dataset = header.dataset
    slices = slices_of(instances[0].path, header)
    if not all(
        instance.frame is not None and _is_same(instance, slices, source) for instance in instances
    ):
        return ["the file changed since it was read"]
    problems = [
        f"{keyword} is missing or empty"
        for keyword in MULTI_FRAME_TYPE_1
        if keyword not in dataset or dataset[keyword].is_empty
    ]
    problems += [
        f"{keyword} is not a UID"
        for keyword in MULTI_FRAME_TYPE_1
        if keyword.endswith("UID")
        and keyword in dataset
        and not dataset[keyword].is_empty
        and not is_uid(str(dataset[keyword].value))
    ]
    if slices[0].sop_class_uid not in (ENHANCED_CT, LEGACY_ENHANCED_CT):
        problems.append("its SOP class is not Enhanced CT or Legacy Converted Enhanced CT")
    reasons = [reason for one in instances for reason in slice_problems(slices[one.frame or 0])]
    problems += dict.fromkeys(reasons)
    if any(not NO_IMAGE_STEPS.isdisjoint(slices[one.frame or 0].steps) for one in instances):
        problems.append("it holds what ctdenoise removed, or a map of it, not the patient")
    if any(slices[one.frame or 0].rescale_assumed for one in instances):
        problems.append("RescaleSlope or RescaleIntercept is missing")
    if object_bytes(slices[0], len(instances)) > MOST_OBJECT_BYTES:
        problems.append("its pixels take more than 4 GB, more than one object is written with")
    return problems


def object_bytes(one: SliceHeader, frames: int) -> int:
    """Size of uncompressed pixels."""
    return one.rows * one.columns * frames * one.bits_allocated // 8


def _is_same(instance: SourceInstance, slices: Sequence[SliceHeader], source: SourceSeries) -> bool:
    frame = instance.frame or 0
    if frame >= len(slices):
        return False
    one = slices[frame]
    found = (one.frame, one.sop_instance_uid, one.series, one.study)
    expected = (instance.sop_instance_uid, source.series_instance_uid, source.study_instance_uid)
    return found == (instance.frame, *expected)
