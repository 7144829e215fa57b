"""A judge of derived series: what was written is read again and compared with its source.

It shares nothing with the code that writes. What no public validator looks at is looked at here:
whether a derived image still claims to be an original, names the slice that it was made from, left
padding alone, carries identities inside sequences, and so on; `RULES` is the list.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.source import SourceSeries
from ctdenoise.errors import UnfitResultError, listed
from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.io.dicom_judge_encoding import Judged, judge_elements, judge_file
from ctdenoise.io.dicom_judge_files import Files, SourceFiles, raw_values, readable
from ctdenoise.io.dicom_judge_instance import (
    Told,
    judge_dates,
    judge_derivation,
    judge_equipment,
    judge_kind,
    judge_labels,
    judge_leftovers,
    judge_types,
    told_by,
)
from ctdenoise.io.dicom_judge_objections import Maker, Objection, Objections
from ctdenoise.io.dicom_judge_pixels import PixelJudge, judge_pixel_length
from ctdenoise.io.dicom_judge_source import (
    Matched,
    judge_reference,
    judge_slice,
    judge_subject,
)
from ctdenoise.io.dicom_judge_view import Slice, View, keywords

_log = logging.getLogger(__name__)

_OF_THE_MODEL = frozenset(("hu-shift", "hu-offset", "swapped"))
"""What a model may do to pixels though they are written right; told, and no reason to refuse."""

_ONE_FOR_SERIES = keywords(
    "SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID Modality Manufacturer "
    "ManufacturerModelName SoftwareVersions SeriesNumber SeriesDescription SOPClassUID "
    "PatientID PatientName"
)
_KEPT_OF_SERIES = keywords("FrameOfReferenceUID PatientID PatientName")
"""What a derived series takes over from its source even where the source is uneven."""

_ONE_MOMENT = keywords(
    "SeriesDate SeriesTime ContentDate ContentTime InstanceCreationDate InstanceCreationTime"
)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known about a derived series before it is looked at.

    Args:
        maker: Who wrote it.
        settings: How it was to be written; None where that is not known.
        pixels: Whether its pixels are read and compared as well.
    """

    maker: Maker = "ours"
    settings: DicomSettings | None = None
    pixels: bool = True


def judge_written(
    paths: Sequence[Path], source: SourceSeries | None, settings: DicomSettings
) -> None:
    """Refuse a series that was just written, if it is not what a derived series must be.

    Args:
        paths: Its files, not in place yet.
        source: What it was derived from; nothing is judged where that is not DICOM.
        settings: How it was to be written.

    Raises:
        UnfitResultError: With every error; that is a mistake of this program, and says so.
    """
    if source is None or source.kind != "dicom":
        return
    slices = [(one.path, one.frame or 0) for one in source.instances]
    refuse(judge_series(paths, slices, Expected("ours", settings)))


def refuse(found: Sequence[Objection]) -> None:
    """Refuse what was just written, if there is an error among what was found.

    Args:
        found: Everything that is wrong with it; warnings are no reason.

    Raises:
        UnfitResultError: With every error; that is a mistake of this program, and says so.
    """
    for one in found:
        if one.rule in _OF_THE_MODEL:
            _log.warning("%s", one)
    errors = [one for one in found if one.severity == "error" and one.rule not in _OF_THE_MODEL]
    if errors:
        raise UnfitResultError(
            "what was written is not a legal derived series, so nothing was put in place:\n"
            + listed([str(one) for one in errors]),
            fix="This is a mistake of ctdenoise, not of your data. Please report these lines, "
            "which hold no patient data, and the scanner's maker and model.",
        )


def judge_series(
    derived: Iterable[Path],
    source: Iterable[tuple[Path, int]] = (),
    expected: Expected | None = None,
) -> tuple[Objection, ...]:
    """Judge the files of one derived series.

    Args:
        derived: Its files, in any order.
        source: File and zero-based frame of each slice that it was derived from; without them only
            what shows in the derived files themselves is judged.
        expected: What is known about it.

    Returns:
        Everything that is wrong, errors first; empty for a legal series.
    """
    expected = expected or Expected()
    objections, files = Objections(expected.maker), Files()
    with quiet_pydicom():
        sources = SourceFiles.of(source, files, _KEPT_OF_SERIES)
        paths = _judge_together(derived, sources, objections)
        matched = _judge_each(paths, sources, expected, objections)
        images = (one for one in matched if not told_by(one.derived.view).is_of_another_quantity)
        if expected.pixels:
            PixelJudge(objections).judge(images)
        for _ in matched:  # whatever the pixels did not ask for
            pass
    return objections.sorted()


def _judge_together(
    derived: Iterable[Path], sources: SourceFiles, objections: Objections
) -> list[Path]:
    """What concerns several files at once: identities, and what must not vary.

    Returns:
        The files that can be read, along the source.
    """
    paths, seen = [], Counter[str]()
    first: dict[str, bytes] = {}
    uids: list[str] = []
    old = {uid for uid, _ in sources.by_name}
    for path, view in readable(derived, sources.files):
        if view is None:
            objections.add("unreadable", path)
            continue
        values = raw_values(view, (*_ONE_FOR_SERIES, *_ONE_MOMENT))
        first = first or values
        paths.append(path)
        uids.append(view.sop_instance_uid)
        reused = ["SOPInstanceUID"] if view.sop_instance_uid in old else []
        if view.text("SeriesInstanceUID") == sources.series_instance_uid:
            reused.append("SeriesInstanceUID")
        objections.add_each("identity-reused", path, reused)
        for keyword in values:
            if values[keyword] != first[keyword]:
                rule = "moment" if keyword in _ONE_MOMENT else "varies"
                objections.add(rule, path, keyword, inherited=keyword in sources.uneven)
    seen.update(uids)
    for path, uid in zip(paths, uids, strict=True):
        if seen[uid] > 1:
            objections.add("identity-repeated", path)
    return sources.along(paths)


def _judge_each(
    paths: Sequence[Path], sources: SourceFiles, expected: Expected, objections: Objections
) -> Iterator[Matched]:
    """Judge file by file; gives the slices with their sources, along the source."""
    judged, used = Judged(), Counter[int]()
    matched: list[tuple[int, Path]] = []
    waiting: list[tuple[int, Matched]] = []
    for path in paths:
        try:
            view = sources.files.view(path)
            found = _judge_view(view, sources, expected, objections, judged)
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
            objections.add("unreadable", path, type(error).__name__)
            continue
        used.update(index for index, _ in found)
        matched += [(index, path) for index, _ in found]
        if view.is_multi_frame:  # its slices may lie between those of another
            waiting += found
        else:
            yield from (pair for _, pair in found)
    yield from (pair for _, pair in sorted(waiting, key=lambda item: item[0]))
    for index, (path, _) in enumerate(sources.places):
        if not used[index]:
            objections.add("missing-slice", path)
    for index, path in matched:
        if used[index] > 1:
            objections.add("extra-slice", path)


def _judge_view(
    view: View, sources: SourceFiles, expected: Expected, objections: Objections, judged: Judged
) -> list[tuple[int, Matched]]:
    """Judge one file; returns its slices with their sources and the places of these."""
    told = told_by(view)
    matched = []
    for one in view.slices():
        index = _judge_place(one, sources, objections)
        if index is not None:
            matched.append((index, Matched(one, sources.slice(index))))
            judge_slice(matched[-1][1], told, objections)
    source = matched[0][1].source.view if matched else sources.any()
    _judge_file(view, source, told, expected, objections, judged)
    return matched


def _judge_place(one: Slice, sources: SourceFiles, objections: Objections) -> int | None:
    """The source slice of a derived slice; None where there is none."""
    first = sources.any()
    if first is None:
        return None
    found = sources.found(one)
    judge_reference(
        one,
        None if found.named is None else sources.slice(found.named),
        None if found.placed is None else sources.slice(found.placed),
        first,
        objections,
    )
    index = found.index
    if index is None:
        objections.add("extra-slice", one.path)
    return index


def _judge_file(
    view: View,
    source: View | None,
    told: Told,
    expected: Expected,
    objections: Objections,
    judged: Judged,
) -> None:
    settings = expected.settings
    judge_file(view, objections)
    judge_types(view, source, objections)
    judge_kind(view, objections, value_2=None if settings is None else settings.image_type)
    judge_derivation(view, told, objections)
    judge_equipment(view, source, told, objections)
    judge_labels(view, source, told, objections)
    judge_leftovers(view, objections)
    judge_dates(view, source, objections)
    judge_pixel_length(view, objections)
    keep = objections.maker == "others" or (settings is not None and settings.private == "keep")
    judge_elements(view, source, objections, judged, keep=keep)
    if source is not None:
        judge_subject(view, source, objections)
