"""A derived series on the headers of its source: one instance for each instance, nothing moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.arrays import BoolArray, HuArray
from ctdenoise.core.scan import Scan
from ctdenoise.core.source import SourceInstance, SourceSeries
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.dicom_attributes import TYPE_1
from ctdenoise.io.dicom_checks import gathered, repeated_identities, slice_problems
from ctdenoise.io.dicom_derivation import derivation_of, run_moment
from ctdenoise.io.dicom_derived import (
    LossyStorage,
    NewSeries,
    derived_header,
    text_of,
)
from ctdenoise.io.dicom_encoding import encoded
from ctdenoise.io.dicom_enhanced_checks import is_multi_frame, multi_frame_problems
from ctdenoise.io.dicom_file import (
    DamagedFileError,
    DicomHeader,
    quiet_pydicom,
    read_header,
    read_instance,
    transfer_syntax,
)
from ctdenoise.io.dicom_fused import keep_warnings, name_more_sources
from ctdenoise.io.dicom_identity import free_series_numbers, series_uid, source_of, stack_key
from ctdenoise.io.dicom_kinds import CT_IMAGE
from ctdenoise.io.dicom_pixels import NATIVE_SYNTAXES, stored_values, without_unused_bits
from ctdenoise.io.dicom_slice import NO_IMAGE_STEPS, SliceHeader, slices_of
from ctdenoise.io.dicom_stored import StoredScale, Words, stored_from_hu
from ctdenoise.io.dicom_uids import is_uid, new_uid

_NOT_SINGLE = "it holds several frames, but was read as one slice"

LOSSY_METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
"""Transfer syntaxes that may lose something, and LossyImageCompressionMethod for each."""


def check_derivable(scan: Scan, *, by_trial: bool = True) -> None:
    """Refuse, before anything is computed, a series that no legal series can be derived from.

    Args:
        scan: Something read from DICOM; its history does not matter.
        by_trial: Also derive and encode every header once, to find what only then shows.

    Raises:
        StudyError: With every reason.
    """
    source = source_of(scan)
    problems: dict[str, list[Path]] = {}
    for path, reasons in _headers_problems(source, by_trial=by_trial):
        for reason in reasons:
            problems.setdefault(reason, []).append(path)
    found = list(gathered(problems, len(source.instances)))
    if len(source.instances) != scan.shape[0]:
        found.append(f"{scan.shape[0]} slices came from {len(source.instances)} instances")
    repeated = repeated_identities((one.sop_instance_uid, one.frame) for one in source.instances)
    if repeated:
        found.append(f"{repeated} slices have the SOPInstanceUID of another one")
    if found:
        raise StudyError(
            f"no legal DICOM series can be derived from this series:\n{listed(found)}",
            where=source.instances[0].path.parent,
            fix="Write NIfTI instead, or have the series exported again with a complete header.",
        )


class DerivedWriter:
    """Writes one derived instance for each instance of a source, slice after slice.

    What all instances share is decided before the first.

    Args:
        scan: What was read from DICOM, for which `check_derivable` holds; its history says what
            was done since.
        series_number: Number of the new series; by default the source's plus SERIES_NUMBER_STEP, or
            the next that no series beside the source has.
        posix_s: When the run began, in seconds since 1970; now by default.

    Raises:
        StudyError: If a source file changed or vanished since it was read.
    """

    def __init__(
        self,
        scan: Scan,
        *,
        series_number: int | None = None,
        settings: DicomSettings | None = None,
        posix_s: int | None = None,
    ) -> None:
        self._settings = settings or DicomSettings()
        self._source, self._shape = source_of(scan), scan.shape
        self._stack = stack_key(self._source)
        derivation = derivation_of(scan.history, self._settings)
        if series_number is None:
            series_number = free_series_numbers([scan], self._settings)[0]
        first = _read_source(self._source.instances[0], scan.shape)
        with quiet_pydicom():
            moment = run_moment(text_of(first, "TimezoneOffsetFromUTC"), posix_s)
        self._series = NewSeries(
            derivation, series_uid(scan, self._settings), series_number, moment, self._settings
        )

    def encoded(self, index: int, hu: HuArray, padding: BoolArray | None) -> bytes:
        """The bytes of one instance.

        Args:
            index: Its slice.
            hu: Hounsfield units [y, x].
            padding: Which pixels are padding, bool [y, x]; None for none.

        Raises:
            StudyError: If the file of the source changed or vanished since it was read.
        """
        header, words, _ = self.derived(index, hu, padding)
        return encoded(header, [words], self._settings.transfer_syntax)

    def derived(
        self, index: int, hu: HuArray, padding: BoolArray | None
    ) -> tuple[Dataset, Words, Words]:
        """Header, new stored values and the source's stored values of one instance.

        Args:
            index: Its slice.
            hu: Hounsfield units [y, x].
            padding: Which pixels are padding, bool [y, x]; None for none.

        Raises:
            StudyError: If the file of the source changed or vanished since it was read.
        """
        instance = self._source.instances[index]
        dataset = _read_source(instance, self._shape)
        key = self._series.derivation.key
        sop_uid = new_uid("instance", instance.sop_instance_uid, self._stack, key)
        with quiet_pydicom():
            try:
                header = _header(dataset, self._series, sop_uid, _lossy_storage(dataset))
            except DamagedFileError as error:
                raise StudyError(
                    f"no slice can be derived: {error}.", where=instance.path
                ) from error
            for other in name_more_sources(header, self._source, index):
                keep_warnings(header, other, LOSSY_METHODS)
            words, stored = _new_words(dataset, instance, hu, padding)
        return header, words, stored


def _headers_problems(
    source: SourceSeries, *, by_trial: bool
) -> Iterator[tuple[Path, Sequence[str]]]:
    if is_multi_frame(source):
        yield from multi_frame_problems(source, by_trial=by_trial)
        return
    for instance in source.instances:
        try:
            with quiet_pydicom():
                problems = _problems(read_header(instance.path), instance, source)
                if by_trial and not problems:
                    _try(read_header(instance.path).dataset)
                yield (instance.path, problems)
        except (DamagedFileError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            yield (instance.path, [f"the file cannot be read again: {reason}"])


def _try(dataset: Dataset) -> None:
    """Derive and encode a header for nothing but the errors that this may raise."""
    trial = NewSeries(derivation_of(()), new_uid("trial"), 1, run_moment())
    encoded(_header(dataset, trial, new_uid("trial"), None))


def _header(
    dataset: Dataset, series: NewSeries, sop_instance_uid: UID, lossy: LossyStorage | None
) -> Dataset:
    try:
        return derived_header(dataset, series, sop_instance_uid, lossy)
    except Exception as error:
        reason = f"its header cannot be copied ({type(error).__name__})"
        raise DamagedFileError(reason) from error


def _problems(header: DicomHeader, instance: SourceInstance, source: SourceSeries) -> list[str]:
    dataset = header.dataset
    slices = slices_of(instance.path, header)
    if len(slices) != 1 or slices[0].frames > 1:
        return [_NOT_SINGLE]
    one = slices[0]
    problems = [
        f"{keyword} is missing or empty" for keyword in TYPE_1 if not _has(dataset, keyword)
    ]
    if one.sop_class_uid not in ("", CT_IMAGE):
        problems.append("its SOP class is not CT Image Storage")
    if not NO_IMAGE_STEPS.isdisjoint(one.steps):
        problems.append("it holds what ctdenoise removed, or a map of it, not the patient")
    problems += [
        f"{keyword} is not a UID"
        for keyword in TYPE_1
        if keyword.endswith("UID")
        and _has(dataset, keyword)
        and not is_uid(str(dataset[keyword].value))
    ]
    named = {problem.split(" ", 1)[0] for problem in problems}
    problems += [why for why in slice_problems(one) if why.split(" ", 1)[0] not in named]
    expected = (instance.sop_instance_uid, source.series_instance_uid, source.study_instance_uid)
    if (one.sop_instance_uid, one.series, one.study) != expected:
        problems.append("the file changed since it was read")
    return problems


def _has(dataset: Dataset, keyword: str) -> bool:
    return keyword in dataset and not dataset[keyword].is_empty


def _read_source(instance: SourceInstance, shape: tuple[int, int, int]) -> Dataset:
    most = shape[1] * shape[2] * 4
    try:
        dataset = read_instance(instance.path, most_pixel_bytes=most)
    except (DamagedFileError, OSError) as error:
        raise StudyError(
            "a file of the source series cannot be read again.", where=instance.path
        ) from error
    with quiet_pydicom():
        is_the_same = dataset.get("SOPInstanceUID") == instance.sop_instance_uid
    if not is_the_same:
        raise StudyError("the source file changed since it was read.", where=instance.path)
    return dataset


def _new_words(
    dataset: Dataset, instance: SourceInstance, hu: HuArray, padding: BoolArray | None
) -> tuple[Words, Words]:
    header = DicomHeader(dataset, None, has_pixels=True, truncated=False)
    one = slices_of(instance.path, header)[0]
    try:
        words = next(iter(stored_values(dataset, [0])))
    except (DamagedFileError, StopIteration) as error:
        raise StudyError(
            "the pixels of a source file cannot be read again.", where=instance.path
        ) from error
    stored = without_unused_bits(words, allocated=one.bits_allocated, stored=one.bits_stored)
    scale = scale_of(one)
    new = stored_from_hu(hu, scale, source=stored, source_words=words, padding=padding)
    return new, stored


def scale_of(one: SliceHeader) -> StoredScale:
    """How a slice stores its pixels.

    Args:
        one: What its header says.

    Raises:
        StudyError: If its rescale is missing.
    """
    if one.rescale_slope is None or one.rescale_intercept is None:
        raise StudyError("the rescale of a source file is missing.", where=one.path)
    return StoredScale(
        slope=one.rescale_slope,
        intercept=one.rescale_intercept,
        bits_allocated=one.bits_allocated,
        bits_stored=one.bits_stored,
        signed=bool(one.signed),
        padding=one.padding,
    )


def _lossy_storage(dataset: Dataset) -> LossyStorage | None:
    syntax = transfer_syntax(dataset)
    method = LOSSY_METHODS.get(syntax)
    if method is None or syntax in NATIVE_SYNTAXES:
        return None
    decoded = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    return LossyStorage(method, decoded / max(1, len(dataset.PixelData)))
