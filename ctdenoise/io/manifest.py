"""`manifest.json`: which derived instance came from which source instance, and lies in which file.

It lies beside the folders of the series, which hold nothing but what can be sent. Everything in it
is read back from the files as they were written. It names nobody: UIDs, digests and settings only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydicom.dataset import Dataset

from ctdenoise import __version__
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import InputError
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom, read_header, transfer_syntax

MANIFEST_FILE = "manifest.json"
"""Name of the manifest in an output folder."""

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """What one slice was derived from.

    Args:
        sop_instance_uid: The source instance.
        frame: Its frame, from 1; None for a single-frame instance.
    """

    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class WrittenInstance:
    """One file of a series.

    Args:
        file: Its path below the manifest's folder, with forward slashes.
        sha256: Of its bytes.
        sop_class_uid: What it is.
        sop_instance_uid: Its identity.
        transfer_syntax_uid: How it is stored; a slice that a codec cannot hold is stored otherwise
            than the settings say.
        sources: What its slices were derived from, frame by frame; empty for a new series.
    """

    file: str
    sha256: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sources: tuple[SourceFrame, ...]


@dataclass(frozen=True, slots=True)
class WrittenSeries:
    """One series.

    Args:
        study_instance_uid: Its study, which is the source's.
        series_instance_uid: Its identity.
        source_series_instance_uids: The series it was derived from; empty for a new series.
        instances: Its files, in order.
    """

    study_instance_uid: str
    series_instance_uid: str
    source_series_instance_uids: tuple[str, ...]
    instances: tuple[WrittenInstance, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All series of an output folder.

    Args:
        version: Of the program that wrote them.
        settings: How they were written.
        series: What was written.
    """

    version: str
    settings: DicomSettings
    series: tuple[WrittenSeries, ...]


def write_manifest(folder: Path, series: Sequence[str], settings: DicomSettings) -> Path:
    """Describe the series in some subfolders in a manifest beside them.

    Args:
        folder: The output folder.
        series: Names of the folders in it that hold a series each, and nothing else.
        settings: How they were written.

    Returns:
        The manifest.

    Raises:
        InputError: If a file there is no readable DICOM.
    """
    described = tuple(_described(folder, folder / name) for name in series)
    manifest = Manifest(__version__, settings, described)
    values: dict[str, JsonValue] = {
        "format": _FORMAT,
        "ctdenoise": manifest.version,
        "dicom": settings.as_json(),
        "series": [asdict(one) for one in manifest.series],
    }
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an output folder.

    Args:
        folder: The output folder.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        series = tuple(_series_of(one) for one in values["series"])
        settings = DicomSettings.model_validate(values["dicom"])
        manifest = Manifest(str(values["ctdenoise"]), settings, series)
        number = int(values["format"])
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {MANIFEST_FILE}.", where=folder, fix="Give a folder that infer made."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the manifest cannot be read ({type(error).__name__}).",
            where=path,
            fix="It was damaged, or changed by hand: make the result again.",
        ) from error
    if number != _FORMAT:
        raise InputError(
            f"the manifest is of format {number}, which this version does not know.",
            where=path,
            fix="Use the version of ctdenoise that wrote it.",
        )
    return manifest


def manifest_problems(folder: Path) -> list[str]:
    """What in an output folder is not as its manifest says; empty if everything is.

    Args:
        folder: The output folder.

    Raises:
        InputError: If there is no manifest, or it is damaged.
    """
    manifest = read_manifest(folder)
    problems: list[str] = []
    seen: set[str] = set()
    for series in manifest.series:
        for instance in series.instances:
            problems += _instance_problems(folder, series, instance)
            if instance.sop_instance_uid in seen:
                problems.append(f"{instance.file}: an identity is given twice")
            seen.add(instance.sop_instance_uid)
        problems += _strangers(folder, series)
    return problems


def _described(folder: Path, place: Path) -> WrittenSeries:
    instances: list[WrittenInstance] = []
    studies: dict[str, None] = {}
    identities: dict[str, None] = {}
    sources: dict[str, None] = {}
    for path in sorted(place.iterdir()):
        header = _header(path)
        studies[str(header.get("StudyInstanceUID", ""))] = None
        identities[str(header.get("SeriesInstanceUID", ""))] = None
        for item in header.get("ReferencedSeriesSequence") or ():
            sources[str(item.get("SeriesInstanceUID", ""))] = None
        instances.append(
            WrittenInstance(
                path.relative_to(folder).as_posix(),
                sha256_of(path),
                str(header.get("SOPClassUID", "")),
                str(header.get("SOPInstanceUID", "")),
                str(transfer_syntax(header)),
                tuple(_sources(header)),
            )
        )
    if len(identities) != 1 or len(studies) != 1:
        raise InputError("a folder holds the files of several series, or none.", where=place)
    (study,), (identity,) = studies, identities
    return WrittenSeries(study, identity, tuple(sources), tuple(instances))


def _header(path: Path) -> Dataset:
    try:
        return read_header(path).dataset
    except DamagedFileError as error:
        raise InputError(f"the file is no whole DICOM file: {error}.", where=path) from error


def _sources(header: Dataset) -> Iterator[SourceFrame]:
    """The source of the image, or of each frame (PS3.3 C.7.6.16.2.6)."""
    with quiet_pydicom():
        groups = header.get("PerFrameFunctionalGroupsSequence") or ()
        derivations = [one for group in groups for one in group.get("DerivationImageSequence", ())]
        for place in derivations or (header,):
            for item in place.get("SourceImageSequence") or ():
                frame = item.get("ReferencedFrameNumber")
                uid = str(item.get("ReferencedSOPInstanceUID", ""))
                yield SourceFrame(uid, None if frame is None else int(frame))


def _series_of(values: dict[str, Any]) -> WrittenSeries:
    instances = tuple(
        WrittenInstance(
            **{**one, "sources": tuple(SourceFrame(**source) for source in one["sources"])}
        )
        for one in values["instances"]
    )
    sources = tuple(values["source_series_instance_uids"])
    return WrittenSeries(
        **{**values, "instances": instances, "source_series_instance_uids": sources}
    )


def _instance_problems(
    folder: Path, series: WrittenSeries, instance: WrittenInstance
) -> Iterator[str]:
    if not _is_inside(instance.file):
        yield "the manifest names a file outside its folder"
        return
    path = folder / instance.file
    if not path.is_file():
        yield f"{instance.file} is missing"
        return
    if sha256_of(path) != instance.sha256:
        yield f"{instance.file} was changed since it was written"
    try:
        header = read_header(path).dataset
    except DamagedFileError as error:
        yield f"{instance.file}: {error}"
        return
    identity = (header.get("SOPInstanceUID"), header.get("SeriesInstanceUID"))
    if identity != (instance.sop_instance_uid, series.series_instance_uid):
        yield f"{instance.file} has another identity than the manifest says"
    if tuple(_sources(header)) != instance.sources:
        yield f"{instance.file} names other source images than the manifest does"


def _strangers(folder: Path, series: WrittenSeries) -> Iterator[str]:
    known = {instance.file for instance in series.instances if _is_inside(instance.file)}
    for place in sorted({(folder / file).parent for file in known}):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if name not in known:
                yield f"{name} is not in the manifest"


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts
