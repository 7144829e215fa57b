"""A study written again without what tells whose it is (PS3.15 E, Basic Profile)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code

from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import StudyError, listed
from ctdenoise.io.deidentify_rules import (
    TABLE_EDITION,
    Dates,
    Pseudonyms,
    Rules,
    confidentiality_table,
)
from ctdenoise.io.deidentify_scan import Allowed, residues
from ctdenoise.io.deidentify_secrets import Secrets
from ctdenoise.io.dicom_codes import code_item
from ctdenoise.io.dicom_encoding import IMPLEMENTATION_VERSION_NAME
from ctdenoise.io.dicom_file import quiet_pydicom, read_header, read_instance, transfer_syntax
from ctdenoise.io.dicom_kinds import CT_IMAGE
from ctdenoise.io.dicom_slice import SliceHeader
from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID
from ctdenoise.io.study import FoundSeries, find_series

BASIC_PROFILE = Code("113100", "DCM", "Basic Application Confidentiality Profile")
MODIFIED_DATES = Code(
    "113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option"
)

SIMULATED_DESCRIPTION = "SIMULATED DOSE, RESEARCH USE ONLY"
"""SeriesDescription of a series that says SyntheticData YES; other series have none."""

_HEAD_WORDS = (
    *("head", "brain", "neuro", "skull", "face", "facial", "sinus", "orbit", "cerebr", "neck"),
    *("dental", "maxill", "mandib", "temporal bone", "stereota", "carot"),
)
_SMALL_FIELD_MM = 300.0


@dataclass(frozen=True, slots=True)
class ExportedSeries:
    """One series of an export.

    Args:
        number: Its number in the study, for the person who made the export.
        folder: Name of its folder.
        files: How many.
        series_instance_uid: The new one.
        is_simulated: Whether it says that it is synthetic.
        may_show_face: Whether it may hold a head, from which a face can be made.
    """

    number: int
    folder: str
    files: int
    series_instance_uid: str
    is_simulated: bool
    may_show_face: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A series that is not exported.

    Args:
        number: Its number in the study.
        what: "scout", "secondary capture", "CT", ...
        slices: How many.
        reason: Why.
    """

    number: int
    what: str
    slices: int
    reason: str


@dataclass(slots=True)
class Export:
    """What was exported and what was not."""

    series: list[ExportedSeries] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def leave_out(self, series: FoundSeries, reason: str) -> None:
        """Note that a series is not exported.

        Args:
            series: Which.
            reason: Why.
        """
        self.left_out.append(LeftOut(series.number, series.what, series.slices, reason))


class StudyExport:
    """The export of a study, prepared: every header was read, nothing is written yet.

    Args:
        found: All series below a folder; NIfTI is not looked at.
        pseudonyms: New identities.
        dates: "remove" or "shift".

    Attributes:
        secrets: Words and UIDs that must appear nowhere.
    """

    def __init__(
        self, found: Sequence[FoundSeries], pseudonyms: Pseudonyms, *, dates: Dates
    ) -> None:
        self._pseudonyms, self._dates = pseudonyms, dates
        self.secrets, self._table = Secrets(), confidentiality_table()
        self._wanted: list[FoundSeries] = []
        self._result = Export()
        for series in found:
            if series.kind == "dicom":
                reason = self._looked_at(series)
                if reason:
                    self._result.leave_out(series, reason)
                else:
                    self._wanted.append(series)

    @property
    def files(self) -> int:
        """How many files will be written."""
        return sum(len(_paths(series)) for series in self._wanted)

    def _looked_at(self, series: FoundSeries) -> str:
        """Collect the secrets of a series; returns why it is left out."""
        burned = overlaid = False
        for path in _paths(series):
            with quiet_pydicom():
                dataset = read_header(path).dataset
                self.secrets.collect(dataset)
                self.secrets.add_uid(dataset.file_meta.get("MediaStorageSOPInstanceUID", ""))
                burned |= str(dataset.get("BurnedInAnnotation", "")).upper() == "YES"
                overlaid |= _has_overlay_in_pixels(dataset)
        if series.what != "CT":
            return "not CT images: its pixels may show names"
        if not series.readable:
            return "it cannot be read right"
        if any(finding.code == "repeated-identity" for finding in series.notes):
            return "several of its images have one SOPInstanceUID"
        if burned:
            return "BurnedInAnnotation says that its pixels show words"
        return "an overlay lies in the bits of its pixels" if overlaid else ""

    def write(self, out: Path, *, progress: Progress = SILENT) -> Export:
        """Write every series, then look for anything that remains of the patient.

        Args:
            out: An existing folder; the caller makes it vanish where this fails.
            progress: Told about every file, twice.

        Raises:
            StudyError: If there is nothing to export, a file cannot be read any more, or something
                of the patient remains.
        """
        if not self._wanted:
            raise StudyError(
                "no series here can be exported:\n"
                + listed([f"series {one.number}: {one.reason}" for one in self._result.left_out])
            )
        written: list[tuple[Path, SliceHeader, str, bytes]] = []
        with progress.stage("De-identifying", self.files) as advance:
            for place, series in enumerate(self._wanted, start=1):
                folder = out / f"series_{place:03}"
                folder.mkdir()
                for number, header in enumerate(_first_of_files(series), start=1):
                    target = folder / f"{number:05}.dcm"
                    written.append((target, header, *self._write_file(header, target)))
                    advance()
                self._result.series.append(_exported(series, folder.name, written))
        self._require_clean(written, progress)
        _require_readable(self._wanted, out)
        return self._result

    def _write_file(self, header: SliceHeader, target: Path) -> tuple[str, bytes]:
        """Write one instance; returns the patient's new name and the digest of its pixel data."""
        source = read_instance(header.path, most_pixel_bytes=_most_pixel_bytes(header))
        with quiet_pydicom():
            patient = f"{source.get('PatientID', '')}{source.get('IssuerOfPatientID', '')}"
            rules = Rules(self._pseudonyms, self.secrets, dates=self._dates, patient_id=patient)
            clean = rules.applied(source)
            if str(source.get("SyntheticData", "")) == "YES":
                clean.SeriesDescription = SIMULATED_DESCRIPTION
            self._complete(clean, header)
            self._state_method(clean)
            pixels = _pixel_digest(source)
            _write(clean, source, target)
        return str(clean.PatientID), pixels

    def _complete(self, clean: Dataset, header: SliceHeader) -> None:
        """Identities that the file meta or nothing at all told; a written file has them all."""
        clean.SOPClassUID = clean.get("SOPClassUID") or header.sop_class_uid or CT_IMAGE
        parent = str(header.path.parent)
        for keyword, old in (
            ("SOPInstanceUID", header.sop_instance_uid or str(header.path)),
            ("SeriesInstanceUID", header.series or f"series in {parent}"),
            ("StudyInstanceUID", header.study or f"study in {parent}"),
        ):
            if not clean.get(keyword):
                setattr(clean, keyword, self._pseudonyms.uid(old))

    def _state_method(self, clean: Dataset) -> None:
        """Say what was done (PS3.15 E.1.1 step 6, PS3.3 C.7.1.1)."""
        shifts = self._dates == "shift"
        clean.PatientIdentityRemoved = "YES"
        clean.DeidentificationMethod = f"ctdenoise, PS3.15 {TABLE_EDITION} Basic Profile"
        codes = [BASIC_PROFILE, MODIFIED_DATES] if shifts else [BASIC_PROFILE]
        clean.DeidentificationMethodCodeSequence = DicomSequence([code_item(c) for c in codes])
        clean.LongitudinalTemporalInformationModified = "MODIFIED" if shifts else "REMOVED"

    def _require_clean(
        self, written: Sequence[tuple[Path, SliceHeader, str, bytes]], progress: Progress
    ) -> None:
        remains: dict[str, int] = {}
        with progress.stage("Looking for remains", len(written)) as advance:
            for path, header, patient, pixels in written:
                allowed = Allowed(
                    patient, frozenset((SIMULATED_DESCRIPTION,)), self._dates == "shift"
                )
                most = _most_pixel_bytes(header)
                found = set(
                    residues(path, self.secrets, self._table, allowed, most_pixel_bytes=most)
                )
                if _pixel_digest(read_instance(path, most_pixel_bytes=most)) != pixels:
                    found.add("its pixel data changed")
                for remark in found:
                    remains[remark] = remains.get(remark, 0) + 1
                advance()
        if remains:
            raise StudyError(
                "something of the patient would remain, so nothing was written:\n"
                + listed([f"{remark} ({count} files)" for remark, count in remains.items()]),
                fix="Remove these elements from the source first; a name that is also a common "
                "word of CT headers can cause this.",
            )


def _paths(series: FoundSeries) -> list[Path]:
    return list(dict.fromkeys(instance.path for instance in series.source.instances))


def _first_of_files(series: FoundSeries) -> Iterator[SliceHeader]:
    """One slice header for each file."""
    seen: set[Path] = set()
    for header in series.headers:
        if header.path not in seen:
            seen.add(header.path)
            yield header


def _most_pixel_bytes(header: SliceHeader) -> int:
    return header.rows * header.columns * header.frames * header.bits_allocated // 8


def _has_overlay_in_pixels(dataset: Dataset) -> bool:
    return any(
        0x6000 <= tag.group <= 0x60FF
        and tag.element == 0x0100
        and dataset[tag].value not in (None, 1)
        for tag in list(dataset.keys())
    )


def _pixel_digest(dataset: Dataset) -> bytes:
    value = dataset.get_item("PixelData").value
    return hashlib.sha256(value).digest()


def _write(clean: Dataset, source: Dataset, target: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax(source)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    clean.file_meta = meta
    try:
        dcmwrite(target, clean, enforce_file_format=True)
    except OSError:
        raise
    except Exception as error:  # pydicom raises whatever odd values provoke
        raise StudyError(
            f"a file of the study cannot be written again ({type(error).__name__}).",
            fix="Leave its series out, or have it exported again.",
        ) from error


def _exported(
    series: FoundSeries, folder: str, written: Sequence[tuple[Path, SliceHeader, str, bytes]]
) -> ExportedSeries:
    ours = [path for path, *_ in written if path.parent.name == folder]
    with quiet_pydicom():
        first = read_header(ours[0]).dataset
        return ExportedSeries(
            number=series.number,
            folder=folder,
            files=len(ours),
            series_instance_uid=str(first.SeriesInstanceUID),
            is_simulated=str(first.get("SyntheticData", "")) == "YES",
            may_show_face=_may_show_face(series),
        )


def _may_show_face(series: FoundSeries) -> bool:
    """Whether a series may hold a head: by its words, or by a small field of view."""
    words = f"{series.description} {series.acquisition.body_part_examined or ''}".lower()
    if any(word in words for word in _HEAD_WORDS):
        return True
    grid = series.geometry
    return grid is not None and grid.columns * grid.pixel_spacing_mm[1] <= _SMALL_FIELD_MM


def _require_readable(wanted: Sequence[FoundSeries], out: Path) -> None:
    """Refuse an export that would read otherwise than its source.

    Phases of one series that only their times tell apart cannot be told apart without them.
    """
    before = sorted(series.slices for series in wanted)
    after = sorted(series.slices for series in find_series(out) if series.readable)
    if before != after:
        raise StudyError(
            "without its dates the study would not read as before: stacks of one series are told "
            "apart by their times only.",
            fix="Keep the times, moved into the past, with --dates shift.",
        )
