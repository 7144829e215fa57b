"""Judges of single files and of studies: dicom3tools, DCMTK, dicom-validator and our own check.

Each holds against an object only what it does not hold against any file of the object's source.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from ctdenoise.errors import CTDenoiseError
from ctdenoise.tasks import check
from tests.dicom.judged import Made
from tests.dicom.standard import violations_of
from tests.dicom.validators import disagreements, errors_of, warnings_of
from tests.dicom.verdicts import Verdict, judged_by

DEFLATED = "1.2.840.10008.1.2.1.99"
DECODERS = {
    "implicit": ("dcmconv", "+te"),
    "explicit": ("dcmconv", "+ti"),
    "deflated": ("dcmconv", "+te"),
    "rle": ("dcmdrle",),
    "jpeg-ls": ("dcmdjpls",),
    "jpeg2000": ("gdcmconv", "--raw"),
}
"""What rewrites an object of each syntax in another one; DCMTK has no free JPEG 2000."""


def plain(path: Path) -> Path:
    """A file as it is, or inflated by DCMTK beside it where it is deflated.

    Neither validator of dicom3tools can inflate.
    """
    if pydicom.dcmread(path, specific_tags=[]).file_meta.TransferSyntaxUID != DEFLATED:
        return path
    inflated = path.parent.parent / f"{path.parent.name}_inflated" / f"{path.stem}.inflated"
    if not inflated.exists():
        inflated.parent.mkdir(exist_ok=True)
        subprocess.run(["dcmconv", "+te", str(path), str(inflated)], check=True)
    return inflated


def by_file(say: Callable[[Path], Counter[str]], made: Made) -> list[str]:
    """What a judge of single files says more often of any file than of any file of the source."""
    known: Counter[str] = Counter()
    for path in made.source_files:
        known |= say(path)
    new: Counter[str] = Counter()
    for path in made.files:
        new |= say(path) - known
    return list(new.elements())


@cache
def _errors(path: Path) -> Counter[str]:
    return errors_of("dciodvfy", plain(path))


@cache
def _warnings(path: Path) -> Counter[str]:
    return warnings_of("dciodvfy", plain(path))


def dciodvfy(made: Made) -> Verdict:
    """Errors of dciodvfy."""
    return judged_by("dciodvfy", by_file(_errors, made))


def dciodvfy_warnings(made: Made) -> Verdict:
    """Warnings of dciodvfy."""
    return judged_by("dciodvfy warnings", by_file(_warnings, made))


def dcentvfy(made: Made) -> Verdict:
    """Errors of dcentvfy over the files together with their source.

    What is de-identified or has no patient any more belongs to another patient than its source.
    """
    files = [plain(path) for path in made.files]
    if made.kind in ("new_series", "deidentified"):
        return judged_by("dcentvfy", disagreements("dcentvfy", files))
    source = [plain(path) for path in made.source_files]
    known = disagreements("dcentvfy", source) if source else []
    found = Counter(disagreements("dcentvfy", [*files, *source])) - Counter(known)
    return judged_by("dcentvfy", found.elements())


def dicom_validator(made: Made) -> Verdict:
    """What the engine of dicom-validator says over the tables of 2026b."""
    return judged_by("dicom-validator", by_file(violations_of, made))


def dcmtk(made: Made) -> Verdict:
    """Warnings and errors of dcmdump and dcmftest, and what dcmconv, dcmdrle, dcmdjpls or gdcmconv
    decode otherwise than pydicom."""

    def said(path: Path) -> Counter[str]:
        run = _run("dcmdump", "-q", str(path))
        told = [line for line in run.stderr.splitlines() if line.strip()]
        told += [] if run.returncode == 0 else [f"dcmdump ends with {run.returncode}"]
        told += [] if _run("dcmftest", str(path)).returncode == 0 else ["dcmftest says no"]
        return Counter(told)

    lines = by_file(said, made)
    for path in made.files:
        lines += _decoded(path, made.syntax)
    return judged_by("dcmtk", lines)


def _decoded(path: Path, syntax: str) -> list[str]:
    """What another program's copy in another transfer syntax differs in."""
    ours = pydicom.dcmread(path)
    if not ours.file_meta.TransferSyntaxUID.is_compressed:
        syntax = "explicit"  # a mask of bits, for instance, whatever was asked for
    if syntax == "explicit" and ours.file_meta.TransferSyntaxUID.is_implicit_VR:
        syntax = "implicit"
    program, *options = DECODERS[syntax]
    copy = path.parent.parent / f"{path.parent.name}_copies" / f"{path.stem}.copy"
    copy.parent.mkdir(exist_ok=True)
    run = _run(found_program(program) or program, *options, str(path), str(copy))
    if run.returncode:
        return [f"{program} ends with {run.returncode}: {run.stderr.strip()[:200]}"]
    theirs = pydicom.dcmread(copy)
    if not np.array_equal(theirs.pixel_array, ours.pixel_array):
        return [f"{program} decodes other pixels"]
    return [f"{program} has another {name}" for name in differences(ours, theirs)]


def differences(ours: Dataset, theirs: Dataset) -> list[str]:
    """Keywords of elements, at any depth, that two datasets do not share.

    Pixels and what belongs to their storage are left out, as are group lengths.
    """
    left_out = ("PixelData", "OtherByteOrder", "PlanarConfiguration")
    names = []
    for tag in sorted({*ours.keys(), *theirs.keys()}):
        keyword = pydicom.datadict.keyword_for_tag(tag) or str(tag)
        if keyword in left_out or tag.element == 0:
            continue
        if tag not in ours or tag not in theirs:
            names.append(keyword)
        elif ours[tag].VR == "SQ":
            items = ours[tag].value, theirs[tag].value
            if len(items[0]) != len(items[1]):
                names.append(keyword)
            for one, other in zip(*items, strict=False):
                names += [f"{keyword}/{name}" for name in differences(one, other)]
        elif ours[tag].value != theirs[tag].value:
            names.append(keyword)
    return names


def own_check(made: Made) -> Verdict:
    """What `ctdenoise check` calls an error in a series derived from a source."""
    try:
        found = check.run(made.folder, source=made.study)
    except CTDenoiseError as error:
        return Verdict((str(error),))
    lines = [
        f"{one.rule}: {one.text}"
        for series in found
        for one in series.objections
        if one.severity == "error"
    ]
    return judged_by("ctdenoise check", lines)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


JUDGES: dict[str, Callable[[Made], Verdict]] = {
    "dciodvfy": dciodvfy,
    "dciodvfy warnings": dciodvfy_warnings,
    "dcentvfy": dcentvfy,
    "dicom-validator": dicom_validator,
    "dcmtk": dcmtk,
    "ctdenoise check": own_check,
}
CHECKED = ("denoised", "simulated")
"""Kinds that `ctdenoise check` is made for."""
PROGRAMS = {
    "dciodvfy": ("dciodvfy", "dcmconv"),
    "dciodvfy warnings": ("dciodvfy", "dcmconv"),
    "dcentvfy": ("dcentvfy", "dcmconv"),
    "dcmtk": ("dcmdump", "dcmftest", "dcmconv", "dcmdrle", "dcmdjpls", "gdcmconv"),
}


def found_program(name: str) -> str | None:
    """Where a program is: in the PATH, or beside this Python, where packages put theirs."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def missing_programs(judge: str) -> str:
    """Which programs of a judge are not installed, in words; empty where all are."""
    names = [name for name in PROGRAMS.get(judge, ()) if found_program(name) is None]
    packages = "Debian packages dicom3tools, dcmtk; gdcmconv comes with python-gdcm"
    return f"{', '.join(names)} not installed ({packages})" if names else ""


def applies(judge: str, made: Made) -> bool:
    """Whether a judge has anything to say about a kind of object."""
    return not made.refused and (judge != "ctdenoise check" or made.kind in CHECKED)


def verdicts(judge: str, objects: Sequence[Made]) -> list[tuple[Made, Verdict]]:
    """What a judge says about each object that it can judge."""
    return [(made, JUDGES[judge](made)) for made in objects if applies(judge, made)]
