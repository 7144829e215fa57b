"""`ctdenoise deidentify`: a study or training pairs written again without whose they are."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import ctdenoise
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import StudyError, UsageError
from ctdenoise.io.deidentify import Export, StudyExport
from ctdenoise.io.deidentify_nifti import (
    loose_nifti,
    pair_folders,
    write_clean_nifti,
    write_clean_pair,
)
from ctdenoise.io.deidentify_rules import (
    TABLE_EDITION,
    Dates,
    Pseudonyms,
    require_deidentify_extra,
)
from ctdenoise.io.deidentify_secrets import Secrets
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.io.study import FoundSeries, find_series

RECORD_FILE = "deidentify.json"
"""What was done, beside the exported series."""

_SHORTEST_KEY = 16
_KEY_FIX = "Write 32 random bytes into a file, and keep it secret: `head -c 32 /dev/urandom > KEY`."


@dataclass(frozen=True, slots=True)
class DeidentifyReport:
    """What was exported.

    Args:
        out: The folder that was made.
        export: DICOM series, and what was left out.
        images: NIfTI files outside of pairs.
        pairs: Training pairs.
    """

    out: Path
    export: Export
    images: int
    pairs: int

    @property
    def faces(self) -> tuple[int, ...]:
        """Numbers of the series that may show a face."""
        return tuple(series.number for series in self.export.series if series.may_show_face)


def run(
    study: Path,
    *,
    out: Path,
    dates: Dates = "remove",
    key_file: Path | None = None,
    progress: Progress = SILENT,
) -> DeidentifyReport:
    """Write the CT series, NIfTI images and training pairs below a folder without whose they are.

    The output appears whole or not at all, and not before every file was searched for what may
    remain of the patient.

    Args:
        study: Folder with DICOM, NIfTI or pairs, or one file.
        out: Folder to make; new or empty.
        dates: "remove", or "shift" by a secret number of days that is the same for all dates of a
            patient.
        key_file: Secret of at least 16 bytes from which new identities are made; the same key
            gives the same identities in a later export. Without, a random one is made and
            forgotten.
        progress: Told about every file.

    Raises:
        MissingExtraError: If dicom-anonymizer is not installed.
        OutputExistsError: If `out` holds something.
        UsageError: If the key is too short or cannot be read.
        StudyError: If there is nothing to export, or something of the patient would remain.
        OutputError: If the result cannot be written.
    """
    require_deidentify_extra()
    require_free_folder(out)
    pseudonyms = Pseudonyms(_key(key_file))
    found = find_series(study)
    pairs = pair_folders(study)
    files = [series.source.instances[0].path for series in found if series.kind == "nifti"]
    images = loose_nifti(files, pairs)
    export = Export()
    with staged_folder(out) as stage:
        names = Secrets()
        if any(series.kind == "dicom" for series in found):
            study_export = StudyExport(found, pseudonyms, dates=dates)
            export, names = study_export.write(stage, progress=progress), study_export.secrets
        elif not images and not pairs:
            raise StudyError("holds nothing that can be exported.", where=study)
        _write_images(images, stage)
        for number, folder in enumerate(pairs, start=1):
            target = stage / f"pair_{number:03}"
            target.mkdir()
            write_clean_pair(folder, target, pseudonyms, names)
        left = tuple(one for one in found if one.kind not in ("dicom", "nifti"))
        _leave_out(export, left)
        _write_record(stage, export, dates, images=len(images), pairs=len(pairs))
    return DeidentifyReport(out, export, len(images), len(pairs))


def _key(path: Path | None) -> bytes:
    if path is None:
        return secrets.token_bytes(32)
    try:
        key = path.read_bytes()
    except OSError as error:
        raise UsageError(
            "the key cannot be read.",
            where=path,
            fix=_KEY_FIX,
        ) from error
    if len(key) < _SHORTEST_KEY:
        raise UsageError(
            f"a key has at least {_SHORTEST_KEY} bytes; this one can be guessed.",
            where=path,
            fix=_KEY_FIX,
        )
    return key


def _write_images(images: Sequence[Path], stage: Path) -> None:
    """NIfTI files under numbers, because their names may be those of patients."""
    for number, path in enumerate(images, start=1):
        suffix = ".nii.gz" if path.name.lower().endswith(".gz") else ".nii"
        write_clean_nifti(path, stage / f"image_{number:03}{suffix}")


def _leave_out(export: Export, series: Sequence[FoundSeries]) -> None:
    for one in series:
        export.leave_out(one, f"{one.kind} files are not exported; convert them to NIfTI first")


def _write_record(stage: Path, export: Export, dates: Dates, *, images: int, pairs: int) -> None:
    """What was done, in words that hold nothing of the source."""
    record = {
        "format": "ctdenoise-deidentified",
        "version": 1,
        "program": f"ctdenoise {ctdenoise.__version__}",
        "profile": f"PS3.15 {TABLE_EDITION} Basic Application Level Confidentiality Profile",
        "dates": "shifted" if dates == "shift" else "removed",
        "not_done": ["search for words burned into pixels", "removal of faces"],
        "series": [asdict(series) for series in export.series],
        "left_out": [asdict(one) for one in export.left_out],
        "nifti_images": images,
        "pairs": pairs,
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    (stage / RECORD_FILE).write_text(text, encoding="utf-8")
