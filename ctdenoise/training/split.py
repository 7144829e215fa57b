"""Which slices train and which judge: split by patient, never by slice.

With one single patient there is nobody to hold out. Then the last contiguous slab of each series
judges, which a warning says: neighbouring slices look alike, so the figure is optimistic.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ctdenoise.config.validation import ValidationSettings
from ctdenoise.core.randomness import stream
from ctdenoise.errors import PairsError, SettingsError, listed
from ctdenoise.io.pair_manifest import MANIFEST_FILE, read_manifest
from ctdenoise.io.pairs import PairFiles
from ctdenoise.io.staged_scan import StagedScan

_log = logging.getLogger(__name__)

TrainingScan = PairFiles | StagedScan
"""What slices are taken from: a pair, or a plain scan."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceRange:
    """Contiguous slices of one series.

    Args:
        files: The pair or the plain scan.
        start: First slice.
        stop: One past the last slice; above `start`.
    """

    files: TrainingScan
    start: int
    stop: int

    @property
    def slices(self) -> int:
        """Number of slices."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Slices to learn from and slices to judge by.

    Args:
        train: What the network sees.
        validation: What it never sees.
        held_out_patients: How many patients only judge; 0 where a slab of slices had to be held
            out of the only patient.
    """

    train: tuple[SliceRange, ...]
    validation: tuple[SliceRange, ...]
    held_out_patients: int


def split_pairs(pairs: Sequence[TrainingScan], settings: ValidationSettings, *, seed: int) -> Split:
    """Hold out whole patients for validation; a slab of slices where there is one patient.

    Series without a patient key may be of one patient, so they stay together; that they are of none
    of the others cannot be known, which a warning says.

    Args:
        pairs: At least one.
        settings: How much to hold out, or whom.
        seed: Decides who is held out, with the set of patients and nothing else.

    Raises:
        SettingsError: If a named patient is not there, or nobody would be left to train on.
        PairsError: If a single patient has a single slice, or one scan would be on both sides
            because its copies have different patient keys.
    """
    patients = sorted({files.patient_key for files in pairs})
    if len(patients) == 1 and not settings.patients:
        return _split_slab(pairs, settings)
    held_out = _named(patients, settings) if settings.patients else _drawn(patients, settings, seed)
    train = [files for files in pairs if files.patient_key not in held_out]
    validation = [files for files in pairs if files.patient_key in held_out]
    _require_no_shared_scan(train, validation)
    if "" in patients:
        _log.warning(
            "Some pairs have no patient key. If they are of a patient who is on the other side of "
            "the split, the validation flatters."
        )
    return Split(_whole(train), _whole(validation), len(held_out))


def _require_no_shared_scan(
    train: Sequence[TrainingScan], validation: Sequence[TrainingScan]
) -> None:
    """Refuse copies of one scan on both sides, under different patient keys."""
    seen = {_full_digest(files): files for files in train}
    shared = [
        f"{files.folder} and {seen[digest].folder}"
        for files, digest in ((files, _full_digest(files)) for files in validation)
        if digest in seen
    ]
    if shared:
        raise PairsError(
            "these pairs hold the same full-dose scan under different patient keys, and would both "
            f"train and judge:\n{listed(shared)}",
            fix="Leave one of each out, or name both keys in validation.patients.",
        )


def _full_digest(files: TrainingScan) -> str:
    if isinstance(files, StagedScan):
        return files.sha256
    return read_manifest(files.folder / MANIFEST_FILE).full.sha256


def _named(patients: Sequence[str], settings: ValidationSettings) -> frozenset[str]:
    wanted = frozenset(settings.patients)
    missing = sorted(wanted.difference(patients))
    if missing:
        raise SettingsError(
            f"no pair has the patient key {', '.join(missing)}.",
            where="validation.patients",
            fix=f"Keys in these pairs: {', '.join(key or '(empty)' for key in patients)}.",
        )
    if wanted.issuperset(patients):
        raise SettingsError(
            "every patient is held out, so there is nobody to train on.",
            where="validation.patients",
        )
    return wanted


def _drawn(patients: Sequence[str], settings: ValidationSettings, seed: int) -> frozenset[str]:
    count = min(max(1, round(settings.share * len(patients))), len(patients) - 1)
    order = stream(seed, "split").permutation(len(patients))
    return frozenset(patients[index] for index in order[:count])


def _split_slab(pairs: Sequence[TrainingScan], settings: ValidationSettings) -> Split:
    train: list[SliceRange] = []
    validation: list[SliceRange] = []
    for files in pairs:
        slices = files.shape[0]
        held_out = min(max(1, round(settings.share * slices)), slices - 1)
        unused = math.ceil(settings.gap_mm / (files.geometry.slice_spacing_mm or 1.0))
        if slices > held_out + unused:
            train.append(SliceRange(files, 0, slices - held_out - unused))
        if held_out:
            validation.append(SliceRange(files, slices - held_out, slices))
    if not train or not validation:
        raise PairsError(
            "one slice of one patient cannot both train and judge a network."
            if not settings.gap_mm
            else "with this gap no slice of the only patient is left to train on.",
            fix="Give pairs with more slices, or of more patients, or lower validation.gap_mm.",
        )
    _log.warning(
        "All pairs are of one patient: the last %d slices of it judge the training. "
        "Expect less on other patients.",
        sum(part.slices for part in validation),
    )
    return Split(tuple(train), tuple(validation), 0)


def _whole(pairs: Sequence[TrainingScan]) -> tuple[SliceRange, ...]:
    return tuple(SliceRange(files, 0, files.shape[0]) for files in pairs)
