"""The archive as a judge: what it stores, it gives back, and tells viewers about."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from tests.dicom.archive import archived
from tests.dicom.judged import Made
from tests.dicom.verdicts import Verdict, judged_by

_BULK = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_YOUNGER = ("SyntheticData",)
"""Not in the tables of this archive: sent in implicit VR, to it they are unknown bytes."""
_ASKED = {
    "study": ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber"),
    "series": ("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
    "instances": ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns"),
}
"""What viewers read out of the answers of QIDO-RS (PS3.18 10.6.3.3) that concerns us."""


def stored(objects: Sequence[Made], folder: Path) -> dict[tuple[str, str], Verdict]:
    """Send objects with their sources to an archive, twice, and compare what comes back.

    Args:
        objects: Of one transfer syntax: an object is the same in each.
        folder: A folder to make.

    Returns:
        What differs, by source and kind.
    """
    sent, returned = folder / "sent", folder / "returned"
    files = {made: _laid_out(made, sent) for made in objects if not made.refused}
    report = archived(sent, returned)
    count = len({path for paths in files.values() for path in paths})
    sources = sum(1 for path in sent.rglob("*") if path.is_file()) - count
    general = []
    if (report["sent"], report["again"]) != (0, 0):
        general.append(f"dcmsend ends with {report['sent']} and {report['again']}")
    counts = [report[when]["CountInstances"] for when in ("first", "second")]
    if counts != [count + sources] * 2:
        general.append(f"{counts} of {count + sources} are stored after one and two sendings")
    return {
        (made.source, made.kind): judged_by(
            "Orthanc", [*general, *(line for path in paths for line in _returned(path, returned))]
        )
        for made, paths in files.items()
    }


def _laid_out(made: Made, sent: Path) -> list[Path]:
    source = sent / (made.source or "phantom") / "source"
    if made.source_files and not source.exists():
        source.mkdir(parents=True)
        for path in made.source_files:
            shutil.copy(path, source / path.name)
    paths = []
    for number, path in enumerate(made.files):
        target = sent / (made.source or "phantom") / made.kind / f"{number:05}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        paths.append(shutil.copy(path, target))
    return [Path(path) for path in paths]


def _returned(path: Path, returned: Path) -> Iterator[str]:
    ours = pydicom.dcmread(path)
    rest = returned / f"{ours.SOPInstanceUID}.dcm"
    if not rest.exists():
        yield "is not stored"
        return
    theirs = pydicom.dcmread(rest)
    syntaxes = [one.file_meta.TransferSyntaxUID for one in (ours, theirs)]
    if syntaxes[0] != syntaxes[1] and any(syntax.is_compressed for syntax in syntaxes):
        yield "comes back in another transfer syntax"
    yield from (f"comes back with another {name}" for name in raw_differences(ours, theirs))
    if rest.read_bytes() not in _wado(returned, str(ours.SeriesInstanceUID)):
        yield "comes back otherwise by WADO-RS than by REST"
    yield from _told(ours, returned)


def _wado(returned: Path, series: str) -> list[bytes]:
    return [path.read_bytes() for path in (returned / "wado").glob(f"{series}_*.dcm")]


def raw_differences(ours: Dataset, theirs: Dataset) -> Iterator[str]:
    """Keywords of elements whose bytes differ, at any depth, pixels included.

    Group lengths are left out, which are the writer's own affair.
    """
    for tag in sorted({*ours.keys(), *theirs.keys()}):
        keyword = keyword_for_tag(tag) or str(tag)
        if tag.element == 0:
            continue
        if tag not in ours or tag not in theirs:
            yield keyword
            continue
        raw = [_raw(one, tag) for one in (ours, theirs)]
        if None not in raw:
            if raw[0] != raw[1]:
                yield keyword
            continue
        if ours[tag].VR != "SQ":  # pydicom decoded it while it read, as it does with few and empty
            if not _same(ours[tag].value, theirs[tag].value):
                yield keyword
            continue
        one, other = ours[tag].value, theirs[tag].value
        if len(one) != len(other):
            yield keyword
        for item, same in zip(one, other, strict=False):
            yield from (f"{keyword}/{name}" for name in raw_differences(item, same))


def _raw(dataset: Dataset, tag: BaseTag) -> bytes | None:
    """The bytes of an element as they are in the file, text without its padding (PS3.5 6.2)."""
    item = dataset.get_item(tag)
    if not isinstance(item, RawDataElement) or item.VR == "SQ":
        return None
    value = bytes(item.value or b"")
    representation = item.VR or dictionary_VR(tag)
    return value if representation.startswith("O") else value.rstrip(b" \0")


def _told(ours: Dataset, returned: Path) -> Iterator[str]:
    """What DICOMweb tells otherwise than the file."""
    series = str(ours.SeriesInstanceUID)
    metadata = json.loads((returned / "metadata" / f"{series}.json").read_text())
    instances = [_from_json(one) for one in metadata]
    same = [one for one in instances if one.SOPInstanceUID == ours.SOPInstanceUID]
    if len(same) != 1:
        yield f"is told {len(same)} times by WADO-RS metadata"
    for one in same:
        yield from (f"has another {name} in WADO-RS metadata" for name in _untrue(ours, one))
    answers = json.loads((returned / "qido" / f"{series}.json").read_text())
    for level, keywords in _ASKED.items():
        found = [_from_json(one) for one in answers[level]]
        if level == "instances":
            found = [one for one in found if one.SOPInstanceUID == ours.SOPInstanceUID]
        if len(found) != 1:
            yield f"is {len(found)} times in the {level} of QIDO-RS"
        for one in found:
            for keyword in keywords:
                if keyword in ours and not _same(ours[keyword].value, one.get(keyword)):
                    yield f"has another {keyword} in the {level} of QIDO-RS"


def _from_json(one: dict[str, object]) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values of sources need not be valid
        return Dataset.from_json(one, bulk_data_uri_handler=lambda *_: None)


def _untrue(ours: Dataset, told: Dataset) -> Iterator[str]:
    for tag in sorted(ours.keys()):
        element = ours[tag]
        keyword = element.keyword or str(tag)
        if element.VR in _BULK or tag.element == 0:
            continue
        if keyword in _YOUNGER:
            continue
        if tag not in told:
            if element.VR == "SQ" and not any(map(len, element.value)):
                continue  # Orthanc leaves out sequences of empty items
            yield keyword
        elif element.VR == "SQ":
            one, other = ([i for i in of if len(i)] for of in (element.value, told[tag].value))
            if len(one) != len(other):
                yield keyword
            for item, same in zip(one, other, strict=False):
                yield from (f"{keyword}/{name}" for name in _untrue(item, same))
        elif not _same(element.value, told[tag].value):
            yield keyword


def _same(one: object, other: object) -> bool:
    """Whether two values say the same: numbers as numbers, an empty one as any empty one."""
    if isinstance(one, list | pydicom.multival.MultiValue):
        others = other if isinstance(other, list | pydicom.multival.MultiValue) else [other]
        return len(one) == len(others) and all(map(_same, one, others))
    empty = (None, "", b"")
    if str(one).strip() == str(other).strip():
        return True
    if one in empty or other in empty:
        return one in empty and other in empty
    try:
        return abs(float(str(one)) - float(str(other))) <= 1e-9 * abs(float(str(one)))
    except ValueError:
        return False
