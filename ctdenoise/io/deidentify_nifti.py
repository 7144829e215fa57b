"""NIfTI files and training pairs without what may tell whose they are."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import nibabel as nib

from ctdenoise.errors import StudyError
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.deidentify_rules import Pseudonyms
from ctdenoise.io.deidentify_secrets import Secrets
from ctdenoise.io.pair_manifest import (
    MANIFEST_FILE,
    ImageFile,
    read_manifest,
    write_manifest,
)

_TEXT_FIELDS = ("data_type", "db_name", "descrip", "aux_file", "intent_name", "unused_str")
_HEADERS = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
_GZIP = b"\x1f\x8b"


def write_clean_nifti(source: Path, target: Path) -> None:
    """A NIfTI file with empty texts and no extensions; grid and voxels byte for byte.

    Args:
        source: A .nii or .nii.gz file.
        target: The file to make, with the same suffix; compressed without name and time.

    Raises:
        StudyError: If it is no NIfTI file.
    """
    content = source.read_bytes()
    is_compressed = content.startswith(_GZIP)
    if is_compressed:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise StudyError("the file is damaged.", where=source) from error
    cleaned = _cleaned(bytearray(content), source)
    target.write_bytes(gzip.compress(cleaned, mtime=0) if is_compressed else cleaned)


def _cleaned(content: bytearray, source: Path) -> bytes:
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        size = int.from_bytes(content[:4], order)
        if size in _HEADERS:
            break
    else:
        raise StudyError("is no NIfTI file.", where=source)
    fields = _HEADERS[size].template_dtype.fields
    for name in _TEXT_FIELDS:
        if name in fields:
            kind, start = fields[name][:2]
            content[start : start + kind.itemsize] = bytes(kind.itemsize)
    header = _HEADERS[size](bytes(content[:size]), check=False)
    voxels = int(header["vox_offset"])
    if not size <= voxels <= len(content):
        raise StudyError("its voxels do not begin where its header says.", where=source)
    content[size:voxels] = bytes(voxels - size)  # extensions may hold anything, DICOM headers too
    return bytes(content)


def write_clean_pair(source: Path, target: Path, pseudonyms: Pseudonyms, secrets: Secrets) -> int:
    """A training pair with clean headers and a patient key that no one can guess back.

    Args:
        source: Folder with a `pair.json`.
        target: An existing folder to write into.
        pseudonyms: New identities.
        secrets: Words that must appear nowhere.

    Returns:
        How many image files it has.

    Raises:
        PairsError: If it is no pair.
        StudyError: If an image is damaged, or the manifest would hold a word of the patient.
    """
    manifest = read_manifest(source / MANIFEST_FILE)

    def cleaned(image: ImageFile) -> ImageFile:
        write_clean_nifti(source / image.file, target / image.file)
        return replace(image, sha256=sha256_of(target / image.file))

    new = replace(
        manifest,
        patient_key=pseudonyms.digest(manifest.patient_key) if manifest.patient_key else "",
        full=cleaned(manifest.full),
        low=tuple((cleaned(image), exposure) for image, exposure in manifest.low),
        labels=None if manifest.labels is None else cleaned(manifest.labels),
    )
    written = write_manifest(target, new)
    if secrets.are_in(written.read_text(encoding="utf-8")):
        raise StudyError("the manifest of a pair holds a word of the patient's name or IDs.")
    return 1 + len(new.low) + (new.labels is not None)


def pair_folders(path: Path) -> list[Path]:
    """Folders at or below a path that hold a training pair.

    Args:
        path: A folder or a file.
    """
    if not path.is_dir():
        return []
    return sorted({file.parent for file in path.rglob(MANIFEST_FILE)})


def loose_nifti(files: Iterable[Path], pairs: Iterable[Path]) -> list[Path]:
    """NIfTI files that belong to no pair, each once.

    Args:
        files: NIfTI files.
        pairs: Folders of pairs.
    """
    folders = set(pairs)
    return [file for file in dict.fromkeys(files) if file.parent not in folders]
