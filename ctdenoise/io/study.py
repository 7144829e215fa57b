"""What lies in a folder: every series, whether it can be read, and why not."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.source import SourceInstance, SourceKind, SourceSeries
from ctdenoise.errors import StudyError, UsageError, listed
from ctdenoise.io.dicom_acquisition import acquisition_of
from ctdenoise.io.dicom_checks import is_placed
from ctdenoise.io.dicom_directory import (
    DIRECTORY_NAME,
    Listed,
    is_directory_file,
    merged,
    read_directory,
)
from ctdenoise.io.dicom_file import DamagedFileError, looks_like_dicom, quiet_pydicom, read_header
from ctdenoise.io.dicom_series import Stack, stacks_of
from ctdenoise.io.dicom_slice import SliceHeader, slices_of
from ctdenoise.io.finding import Finding
from ctdenoise.io.image_files import ct_header, image_kind
from ctdenoise.io.image_header import ImageHeader

_log = logging.getLogger(__name__)

_DICOM_SUFFIXES = frozenset((".dcm", ".dicom", ".ima"))
_BLANK_BYTES = 4096  # a copy that broke off may leave a file of zeros


@dataclass(frozen=True, slots=True, eq=False)
class FoundSeries:
    """One series of a study, or one stack of a series that holds several.

    Args:
        number: Its number in the list, from 1.
        kind: What it is read from.
        what: "CT", "scout", "dose report", "segmentation", "labels", ...
        description: SeriesDescription, and what tells the stack from others of its series; the
            file name of an image file.
        slices: How many slices or instances it has.
        geometry: The grid; None where it cannot be read right.
        acquisition: How it was scanned, as far as known.
        source: Its files, slices in order.
        problems: Every reason why it cannot be read right.
        notes: What is unusual about it though it can be read.
        headers: What each DICOM slice says, in the order of `source.instances`; for the reader.
    """

    number: int
    kind: SourceKind
    what: str
    description: str
    slices: int
    geometry: Geometry | None
    acquisition: Acquisition
    source: SourceSeries
    problems: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()
    headers: tuple[SliceHeader, ...] = field(default=(), repr=False)

    @property
    def readable(self) -> bool:
        """Whether it can be read as a CT volume."""
        return self.geometry is not None and not self.problems


@dataclass(slots=True)
class _Files:
    """What a walk through a folder found."""

    slices: list[SliceHeader] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    images: list[tuple[Path, ImageHeader, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    directories: list[Listed] = field(default_factory=list)


def find_series(path: Path | str) -> tuple[FoundSeries, ...]:
    """Every series below a folder, or in one file, readable or not.

    Only headers are read. Files are told by their content, so names, extensions and depth of
    folders do not matter. A series that holds several stacks (orientations, matrices, phases)
    gives one entry for each.

    Args:
        path: A folder, a DICOM file, a DICOMDIR (the files that it lists inside its folder) or an
            image file (NIfTI, MetaImage, NRRD).

    Raises:
        StudyError: If there is no image at all; it says what there is.
    """
    path = Path(path)
    if not path.exists():
        raise StudyError("there is no such file or folder.", where=path)
    found = _Files()
    with quiet_pydicom():
        for file in _files_at(path, found):
            _look_at(file, found)
        stacks = stacks_of(found.slices, found.damaged)
    if not stacks and not found.images:
        _refuse(path, found)
    listed = merged(found.directories)
    drafts = [_draft_of_stack(stack, listed) for stack in stacks]
    names = Counter(file.name for file, *_ in found.images)
    drafts += [
        _draft_of_image(file, header, what, _told_apart(file, path, names))
        for file, header, what in found.images
    ]
    numbered = [_numbered(number, draft) for number, draft in enumerate(_sorted(drafts), start=1)]
    return tuple(numbered)


def _files_at(path: Path, found: _Files) -> Iterable[Path]:
    """The files to look at: below a folder, listed by a DICOMDIR, or the one."""
    if path.is_dir():
        return _files_below(path)
    if not (path.is_file() and is_directory_file(path)):  # a pipe would wait for ever
        return (path,)
    try:
        found.directories.append(read_directory(path))
    except DamagedFileError as error:
        raise StudyError(
            f"this DICOMDIR cannot be used: {error}.",
            where=path,
            fix="Give the folder instead: its files are found without a DICOMDIR.",
        ) from error
    return found.directories[0].files


def _files_below(path: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(path, onerror=_left_out):
        folders.sort()
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent) / name


def _left_out(error: OSError) -> None:
    _log.warning("a folder cannot be opened and was left out (%s)", error.strerror)


def _look_at(path: Path, found: _Files) -> None:
    if not path.is_file():
        return
    if path.name.upper() == DIRECTORY_NAME:
        with suppress(DamagedFileError, OSError):  # the files are found without it
            found.directories.append(read_directory(path))
        return
    if image_kind(path) is not None:
        found.images.append((path, *ct_header(path)))
        return
    try:
        if looks_like_dicom(path):
            found.slices += _slices(path)
            return
        why = _what_befell(path)
        if why:
            found.damaged.append((path, why))
        else:
            found.others[path.suffix.lower() or "(no extension)"] += 1
    except DamagedFileError as error:
        found.damaged.append((path, str(error)))
    except OSError as error:
        found.damaged.append((path, f"it cannot be opened: {error.strerror}"))


def _what_befell(path: Path) -> str:
    """Why a file that should be DICOM is none; empty if nothing says that it should be."""
    is_named = path.suffix.lower() in _DICOM_SUFFIXES
    if path.stat().st_size == 0:
        return "it is empty" if is_named else ""
    with path.open("rb") as file:
        head = file.read(_BLANK_BYTES)
    if len(head) == _BLANK_BYTES and not any(head):
        return "it is blank: all zeros where it should begin"
    return "it does not begin like DICOM" if is_named else ""


def _slices(path: Path) -> list[SliceHeader]:
    header = read_header(path)
    slices = slices_of(path, header)
    first = slices[0]
    if first.what in ("CT", "unknown DICOM object") and not first.series and not is_placed(first):
        raise DamagedFileError("its header is incomplete, perhaps truncated")
    return [header for header in slices if header.what != "DICOMDIR"]


def _refuse(path: Path, found: _Files) -> None:
    there = [
        f"{count} {'file' if count == 1 else 'files'} {suffix}"
        for suffix, count in found.others.most_common()
    ]
    there += [f"{file.name}: damaged, {why}" for file, why in found.damaged]
    raise StudyError(
        "holds no DICOM, NIfTI, MetaImage or NRRD image"
        + (":\n" + listed(there) if there else "; it is empty."),
        where=path,
        fix="Give the folder of one study, a DICOM file, or a file such as .nii.gz, .mha or .nrrd.",
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A found series before it has its number, and what to sort it by."""

    order: tuple[int, int, str, str]
    series: FoundSeries


def _draft_of_stack(stack: Stack, listed: Listed) -> _Draft:
    first = stack.slices[0]
    description = " | ".join(text for text in (first.description, stack.label) if text)
    instances = tuple(
        SourceInstance(header.path, header.sop_instance_uid, header.frame)
        for header in stack.slices
    )
    steps = dict.fromkeys(step for header in stack.slices for step in header.steps)
    source = SourceSeries(
        "dicom", instances, first.series, first.study, first.patient, steps=tuple(steps)
    )
    series = FoundSeries(
        number=0,
        kind="dicom",
        what=stack.what,
        description=description,
        slices=len(instances),
        geometry=stack.geometry,
        acquisition=acquisition_of(stack.slices, stack.geometry),
        source=source,
        problems=stack.problems,
        notes=(*stack.notes, *listed.findings(first.series)),
        headers=stack.slices,
    )
    number = first.series_number
    return _Draft((0, 2**31 if number is None else number, first.series, ""), series)


def _told_apart(file: Path, folder: Path, names: Mapping[str, int]) -> str:
    """Name of a file, with the folders above it where others have the same."""
    return file.name if names[file.name] == 1 else file.relative_to(folder).as_posix()


def _draft_of_image(path: Path, header: ImageHeader, what: str, name: str) -> _Draft:
    geometry = header.geometry
    slices = geometry.slices if geometry else 0
    instances = tuple(SourceInstance(path, frame=index) for index in range(max(1, slices)))
    series = FoundSeries(
        number=0,
        kind=header.kind,
        what=what,
        description=name,
        slices=slices,
        geometry=geometry,
        acquisition=Acquisition(),
        source=SourceSeries(header.kind, instances),
        problems=header.problems,
        notes=header.notes,
    )
    return _Draft((1, 0, str(path.parent), path.name), series)


def _sorted(drafts: Iterable[_Draft]) -> list[_Draft]:
    return sorted(drafts, key=lambda draft: draft.order)


def _numbered(number: int, draft: _Draft) -> FoundSeries:
    return replace(draft.series, number=number)


def choose_series(
    found: Sequence[FoundSeries], wanted: str | None, *, where: Path | str
) -> FoundSeries:
    """The one series that is meant.

    Args:
        found: What `find_series` gave.
        wanted: Its number, the end of its SeriesInstanceUID, or a part of its description that no
            other has; None if there is only one to choose.
        where: The folder, for the message.

    Raises:
        UsageError: If nothing or more than one thing fits; it lists what can be chosen.
        StudyError: If the chosen series cannot be read right; it says every reason.
    """
    if wanted is None:
        fitting = [series for series in found if series.readable]
        if not fitting:
            raise StudyError(
                "no series here can be read as CT:\n"
                + listed([f"{_titled(s)}: {p}" for s in found for p in s.problems]),
                where=where,
            )
        skipped = [s for s in found if s.what == "CT" and not s.readable]
        if len(fitting) == 1 and skipped:
            _log.warning(
                "series %d is the only readable one; %d other CT series here cannot be read",
                fitting[0].number,
                len(skipped),
            )
        if len(fitting) != 1:
            _ask_again(found, wanted, fitting, where)
        chosen = fitting[0]
    else:
        chosen = named_series(found, wanted, where=where)
    if not chosen.readable:
        raise StudyError(
            f"series {_titled(chosen)} cannot be read right:\n{listed(chosen.problems)}",
            where=where,
        )
    return chosen


def named_series(found: Sequence[FoundSeries], wanted: str, *, where: Path | str) -> FoundSeries:
    """The one series that a name fits, whether it can be read or not.

    Args:
        found: What `find_series` gave.
        wanted: As for `choose_series`.
        where: The folder, for the message.

    Raises:
        UsageError: If nothing or more than one thing fits; it lists what can be chosen.
    """
    fitting = _matching(found, wanted)
    if len(fitting) != 1:
        _ask_again(found, wanted, fitting, where)
    return fitting[0]


def _matching(found: Sequence[FoundSeries], wanted: str) -> list[FoundSeries]:
    wanted = wanted.strip()
    by_number = [series for series in found if str(series.number) == wanted]
    if by_number or not wanted:
        return by_number
    if set(wanted) <= set("0123456789."):
        by_uid = [s for s in found if s.source.series_instance_uid.endswith(wanted)]
        if by_uid:
            return by_uid
    exact = [s for s in found if s.description.casefold() == wanted.casefold()]
    return exact or [s for s in found if wanted.casefold() in s.description.casefold()]


def _ask_again(
    found: Sequence[FoundSeries],
    wanted: str | None,
    fitting: Sequence[FoundSeries],
    where: Path | str,
) -> None:
    offered = [s for s in (fitting or found) if s.readable] or list(fitting or found)
    if wanted is None:
        what = f"holds {len(fitting)} readable series; say which one"
    elif fitting:
        what = f"{len(fitting)} series fit {wanted!r}; say which one"
    else:
        what = f"no series fits {wanted!r}; there are"
    raise UsageError(
        f"{what}:\n{listed([_titled(series) for series in offered])}",
        where=where,
        fix="Choose with --series and a number of this list or a part of a description.",
    )


def _titled(series: FoundSeries) -> str:
    name = f" {series.description!r}" if series.description else ""
    slices = "1 slice" if series.slices == 1 else f"{series.slices} slices"
    return f"{series.number}{name} ({series.what}, {slices})"
