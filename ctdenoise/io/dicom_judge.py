"""A judge of derived series: what was written is read again and compared with its source.

It shares nothing with the code that writes. What no public validator looks at is looked at here:
whether a derived image still claims to be an original, names the slice that it was made from, left
padding alone, carries identities inside sequences, and so on; `RULES` is the list.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.source import SourceSeries
from ctdenoise.errors import OutputError, listed
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom
from ctdenoise.io.dicom_judge_encoding import Judged, judge_elements, judge_file
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
from ctdenoise.io.dicom_judge_view import Slice, View, keywords, text_value

_log = logging.getLogger(__name__)

_SAME_PLACE_MM = 0.01

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


@dataclass(slots=True)
class _Source:
    """The slices of the source and how to find one."""

    slices: list[Slice] = field(default_factory=list)
    by_name: dict[tuple[str, int], int] = field(default_factory=dict)
    positions: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))

    @classmethod
    def of(cls, slices: Sequence[Slice]) -> _Source:
        names = {(one.view.sop_instance_uid, one.frame): index for index, one in enumerate(slices)}
        places = [one.position_mm if len(one.position_mm) == 3 else (np.nan,) * 3 for one in slices]
        return cls(list(slices), names, np.array(places, dtype=float).reshape(-1, 3))

    def named_by(self, derived: Slice) -> int | None:
        for item in derived.source_images:
            uid = text_value(item, "ReferencedSOPInstanceUID")
            frame = text_value(item, "ReferencedFrameNumber").split("\\")[0]
            number = int(frame) - 1 if frame.isdigit() else 0
            if (uid, number) in self.by_name:
                return self.by_name[uid, number]
        return None

    def at(self, derived: Slice) -> list[int]:
        if len(derived.position_mm) != 3 or not len(self.positions):
            return []
        away = np.abs(self.positions - np.array(derived.position_mm)).max(axis=1)
        return [int(index) for index in np.flatnonzero(away <= _SAME_PLACE_MM)]


def judge_written(
    paths: Sequence[Path], source: SourceSeries | None, settings: DicomSettings
) -> None:
    """Refuse a series that was just written, if it is not what a derived series must be.

    Args:
        paths: Its files, not in place yet.
        source: What it was derived from; nothing is judged where that is not DICOM.
        settings: How it was to be written.

    Raises:
        OutputError: With every error; that is a mistake of this program, and says so.
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
        OutputError: With every error; that is a mistake of this program, and says so.
    """
    for one in found:
        if one.rule in _OF_THE_MODEL:
            _log.warning("%s", one)
    errors = [one for one in found if one.severity == "error" and one.rule not in _OF_THE_MODEL]
    if errors:
        raise OutputError(
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
    objections = Objections(expected.maker)
    with quiet_pydicom():
        views = _views(derived, objections)
        sources = _Source.of(_slices(source))
        _judge_together(views, sources, objections)
        matched = _judge_each(views, sources, expected, objections)
    if expected.pixels:
        images = (one for one in matched if not told_by(one.derived.view).is_of_another_quantity)
        PixelJudge(objections).judge(images)
    return objections.sorted()


def _views(paths: Iterable[Path], objections: Objections) -> list[View]:
    views = []
    for path in paths:
        try:
            views.append(View(path))
        except (DamagedFileError, OSError):
            objections.add("unreadable", path)
    return views


def _slices(source: Iterable[tuple[Path, int]]) -> list[Slice]:
    views: dict[Path, View] = {}
    slices = []
    for path, frame in source:
        try:
            view = views.get(path) or views.setdefault(path, View(path))
        except (DamagedFileError, OSError):
            continue
        slices.append(Slice(view, frame))
    return slices


def _judge_together(views: Sequence[View], sources: _Source, objections: Objections) -> None:
    """What concerns several files at once: identities, and what must not vary."""
    seen = Counter(view.sop_instance_uid for view in views)
    old = {uid for uid, _ in sources.by_name}
    old_series = {one.view.text("SeriesInstanceUID") for one in sources.slices[:1]}
    uneven = {
        keyword
        for one in sources.slices
        for keyword in _differing(one.view, sources.slices[0].view, _KEPT_OF_SERIES)
    }
    for view in views:
        if seen[view.sop_instance_uid] > 1:
            objections.add("identity-repeated", view.path)
        reused = ["SOPInstanceUID"] if view.sop_instance_uid in old else []
        if view.text("SeriesInstanceUID") in old_series:
            reused.append("SeriesInstanceUID")
        objections.add_each("identity-reused", view.path, reused)
        for rule, names in (("varies", _ONE_FOR_SERIES), ("moment", _ONE_MOMENT)):
            for keyword in _differing(view, views[0], names):
                objections.add(rule, view.path, keyword, inherited=keyword in uneven)


def _differing(view: View, first: View, names: tuple[str, ...]) -> list[str]:
    return [k for k in names if (view.raw(k) or b"") != (first.raw(k) or b"")]


def _judge_each(
    views: Sequence[View], sources: _Source, expected: Expected, objections: Objections
) -> list[Matched]:
    """Judge file by file; returns the slices with their sources, along the source."""
    judged, used = Judged(), Counter[int]()
    matched: list[tuple[int, Matched]] = []
    for view in views:
        try:
            found = _judge_view(view, sources, expected, objections, judged)
        except Exception as error:  # noqa: BLE001 - pydicom raises whatever the bytes provoke
            objections.add("unreadable", view.path, type(error).__name__)
            continue
        matched += found
        used.update(index for index, _ in found)
    for index, one in enumerate(sources.slices):
        if not used[index]:
            objections.add("missing-slice", one.path)
    for index, pair in matched:
        if used[index] > 1:
            objections.add("extra-slice", pair.derived.path)
    return [pair for _, pair in sorted(matched, key=lambda item: item[0])]


def _judge_view(
    view: View, sources: _Source, expected: Expected, objections: Objections, judged: Judged
) -> list[tuple[int, Matched]]:
    """Judge one file; returns its slices with their sources and the places of these."""
    told = told_by(view)
    matched = []
    for one in view.slices():
        index = _judge_place(one, sources, objections)
        if index is not None:
            matched.append((index, Matched(one, sources.slices[index])))
            judge_slice(matched[-1][1], told, objections)
    source = matched[0][1].source.view if matched else _any(sources)
    _judge_file(view, source, told, expected, objections, judged)
    return matched


def _any(sources: _Source) -> View | None:
    return sources.slices[0].view if sources.slices else None


def _judge_place(one: Slice, sources: _Source, objections: Objections) -> int | None:
    """The source slice of a derived slice; None where there is none."""
    if not sources.slices:
        return None
    named, places = sources.named_by(one), sources.at(one)
    place = named if named in places else next(iter(places), None)
    index = named if place is None else place
    judge_reference(
        one,
        None if named is None else sources.slices[named],
        None if place is None else sources.slices[place],
        sources.slices[0].view,
        objections,
    )
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
