"""Finding derived series in a folder, and the series that each was derived from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ctdenoise.core.source import SourceSeries
from ctdenoise.errors import StudyError, UsageError
from ctdenoise.io.dicom_file import DamagedFileError, looks_like_dicom, quiet_pydicom
from ctdenoise.io.dicom_judge_objections import Maker
from ctdenoise.io.dicom_judge_view import View, text_value
from ctdenoise.io.study import FoundSeries

_PRODUCT = "ctdenoise"


@dataclass(frozen=True, slots=True)
class DerivedSeries:
    """The files of one CT series that claims to be derived, or should.

    Args:
        description: SeriesDescription, ASCII.
        maker: Who wrote it, as far as it says.
        paths: Its files.
        sources: Instances that it references as its source.
        first_sources: Those that a slice names first; it has their header.
    """

    description: str
    maker: Maker
    paths: tuple[Path, ...]
    sources: frozenset[str]
    first_sources: frozenset[str]


def derived_series(folder: Path, *, besides: frozenset[Path] = frozenset()) -> list[DerivedSeries]:
    """Every CT series in a folder, by SeriesInstanceUID.

    Args:
        folder: A folder, or one file.
        besides: Files to leave out, such as those of the source.

    Returns:
        The series; files that cannot be read are counted to the first.

    Raises:
        StudyError: If there is no such folder, or no CT image in it.
    """
    if not folder.exists():
        raise StudyError("there is no such file or folder.", where=folder)
    views: dict[str, list[View]] = {}
    unreadable = []
    files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    with quiet_pydicom():
        for path in files:
            if not path.is_file() or path.resolve() in besides or path.name.upper() == "DICOMDIR":
                continue
            try:
                if looks_like_dicom(path):
                    view = View(path)
                    if view.text("Modality") in {"CT", ""}:
                        views.setdefault(view.text("SeriesInstanceUID"), []).append(view)
            except DamagedFileError:
                unreadable.append(path)
            except OSError as error:
                raise StudyError(f"it cannot be opened: {error.strerror}.", where=path) from error
        if not views:
            raise StudyError("there is no CT series to check.", where=folder)
        found = [_series(members) for members in views.values()]
    first = found[0]
    whole = replace(first, paths=(*first.paths, *unreadable))
    return [whole, *found[1:]]


def _series(views: Sequence[View]) -> DerivedSeries:
    text = views[0].text("SeriesDescription")
    ours = any(_is_ours(view) for view in views)
    images = [one.source_images for view in views for one in view.slices()]
    named = [[text_value(item, "ReferencedSOPInstanceUID") for item in items] for items in images]
    return DerivedSeries(
        "".join(c if c.isascii() and c.isprintable() else "?" for c in text),
        "ours" if ours else "others",
        tuple(view.path for view in views),
        frozenset(name for names in named for name in names),
        frozenset(name for names in named for name in names[:1]),
    )


def _is_ours(view: View) -> bool:
    version = view.meta("ImplementationVersionName")
    return _PRODUCT in (
        view.text("Manufacturer").lower(),
        view.text("ManufacturerModelName").lower(),
        version.lower(),
    )


def source_of(derived: DerivedSeries, found: Sequence[FoundSeries], *, where: Path) -> SourceSeries:
    """The series that a derived series references; the only one where it references none.

    Args:
        derived: A derived series.
        found: Every series of the source's study.
        where: The folder they were found in, for the error.

    Raises:
        UsageError: If it is not clear which series it was derived from.
    """
    dicom = [one for one in found if one.kind == "dicom" and one.what == "CT"]
    counts = [
        tuple(
            sum(instance.sop_instance_uid in names for instance in one.source.instances)
            for names in (derived.first_sources, derived.sources)
        )
        for one in dicom
    ]
    if counts and max(counts) > (0, 0):
        return dicom[counts.index(max(counts))].source
    readable = [one for one in dicom if one.readable]
    if len(readable) == 1:
        return readable[0].source
    raise UsageError(
        f"none of the {len(dicom)} CT series here is named as the source.",
        where=where,
        fix="Give --source the folder of the one series that it was derived from.",
    )
