"""From the label numbers of a segmentation to the classes of a network."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ctdenoise.config.training import DataSettings
from ctdenoise.errors import PairsError, SettingsError, listed
from ctdenoise.training.split import SliceRange, Split, TrainingScan

_log = logging.getLogger(__name__)

ClassTable = npt.NDArray[np.uint8]
"""Class of each label number, uint8 [256]."""


def require_labels(pairs: Sequence[TrainingScan]) -> None:
    """Refuse pairs without labels: a loss that compares labels needs them everywhere.

    Raises:
        PairsError: Listing every pair without labels.
    """
    missing = [str(files.folder) for files in pairs if files.labels is None]
    if missing:
        raise PairsError(
            f"the loss compares labels, and {len(missing)} of {len(pairs)} pairs have none:\n"
            f"{listed(missing)}",
            fix="Make them again with `ctdenoise simulate --labels`, leave them out, or train "
            "without cross_entropy and dice.",
        )


def class_tables(
    ranges: Sequence[SliceRange], wanted: Mapping[str, int] | None, *, classes: int
) -> dict[str, ClassTable]:
    """The class of every label, for each pair.

    Args:
        ranges: The series, all with labels.
        wanted: Class by label name or number; None if label numbers are classes.
        classes: How many classes the network tells apart.

    Returns:
        For each pair's folder, as text, its table.

    Raises:
        SettingsError: If a label is no class of the network, or a wanted name is in no pair.
    """
    found = {part.files.folder: part.files for part in ranges}.values()
    if wanted is None:
        _require_numbers_below(found, classes)
        identity = np.arange(256, dtype=np.uint8)
        return {str(files.folder): identity for files in found}
    known = {name for files in found for name in files.label_names.values()}
    unknown = [key for key in wanted if not key.isdigit() and key not in known]
    if unknown:
        raise SettingsError(
            f"no pair has labels of these names:\n{listed(unknown)}",
            where="data.labels",
            fix=f"Names in these pairs: {', '.join(sorted(known)) or 'none; use label numbers'}.",
        )
    return {str(files.folder): _table(files, wanted) for files in found}


def trained_classes(
    split: Split, settings: DataSettings, *, classes: int | None
) -> tuple[tuple[str, ...], dict[str, ClassTable] | None]:
    """Names and tables of the classes of a run; nothing for a network without a head.

    Args:
        split: What is trained on, and what judges.
        settings: Which labels belong to which class, and what classes are called.
        classes: How many classes the network tells apart; None without a head.

    Raises:
        SettingsError: If a label is no class of the network, or a wanted name is in no pair.
    """
    if classes is None:
        return (), None
    tables = class_tables((*split.train, *split.validation), settings.labels, classes=classes)
    names = class_names(split.train, settings, classes=classes)
    shares = class_shares(split.train, tables, names)
    _log.info(
        "Classes in the training slices: %s.",
        ", ".join(f"{name} {share:.2%}" for name, share in zip(names, shares, strict=False)),
    )
    return names, tables


def class_names(
    ranges: Sequence[SliceRange], settings: DataSettings, *, classes: int
) -> tuple[str, ...]:
    """A name for each class, background first, no two alike.

    It is the name that the settings give the class, or else the names of its labels, as the
    settings or the pairs say them, or else its number.

    Args:
        ranges: The series, all with labels.
        settings: Which labels belong to which class, and what classes are called.
        classes: How many classes the network tells apart.
    """
    called = {number: name for part in ranges for number, name in part.files.label_names.items()}
    own: dict[int, dict[str, None]] = {}  # in order, each once
    if settings.labels is None:
        own = {number: {name: None} for number, name in called.items()}
    else:
        for key, number in settings.labels.items():
            name = called.get(int(key)) if key.isdigit() else key
            own.setdefault(number, {}).update({name: None} if name else {})
    names = ["background"]
    for number in range(1, classes):
        name = (settings.class_names or {}).get(number) or " and ".join(own.get(number, ()))
        names.append(f"class {number}" if not name or name in names else name)
    return tuple(names)


def class_shares(
    ranges: Sequence[SliceRange], tables: Mapping[str, ClassTable], names: Sequence[str]
) -> list[float]:
    """Share of the pixels that each class has, by class number; what is absent is warned about.

    Args:
        ranges: The training slices.
        tables: As made by `class_tables`.
        names: Name of each class.
    """
    pixels = np.zeros(256, dtype=np.int64)
    for part in ranges:
        counts = _label_counts(part.files, part.start, part.stop)
        np.add.at(pixels, tables[str(part.files.folder)], counts)
    shares = pixels[: len(names)] / pixels.sum()
    absent = [f"{names[n]} ({n})" for n, share in enumerate(shares) if share == 0]
    if absent:
        _log.warning(
            "No training slice shows the class %s, so it cannot be learnt.", ", ".join(absent)
        )
    return [float(share) for share in shares]


def warn_of_unjudged(shown: Iterable[npt.NDArray[np.integer] | None], names: Sequence[str]) -> None:
    """Warn of classes whose Dice will have no value, since no validation slice shows them.

    Args:
        shown: Class of each pixel of every validation slice; None where labels are not used.
        names: Name of each class.
    """
    found = {
        int(number) for classes in shown if classes is not None for number in np.unique(classes)
    }
    absent = [f"{name} ({n})" for n, name in enumerate(names) if n and n not in found]
    if absent:
        _log.warning(
            "No validation slice shows the class %s, so its Dice stays empty. Measure more with "
            "validation.slices and validation.crop.",
            ", ".join(absent),
        )


def _table(files: TrainingScan, wanted: Mapping[str, int]) -> ClassTable:
    table = np.zeros(256, dtype=np.uint8)
    for key, wanted_class in wanted.items():
        # Several labels may carry one name: all of them are meant.
        named = [number for number, name in files.label_names.items() if name == key]
        numbers = [int(key)] if key.isdigit() else named
        if not all(0 <= number < len(table) for number in numbers):
            raise SettingsError(f"label {key} is not within 0 to 255.", where="data.labels")
        table[numbers] = wanted_class
    return table


def _require_numbers_below(pairs: Iterable[TrainingScan], classes: int) -> None:
    problems = []
    for files in pairs:
        counts = _label_counts(files, 0, files.shape[0])
        above = np.flatnonzero(counts[classes:]) + classes
        if len(above):
            shown = ", ".join(str(number) for number in above[:12])
            problems.append(f"{files.folder}: {shown}{', ...' if len(above) > 12 else ''}")
    if problems:
        raise SettingsError(
            f"some labels are no class of the network, which has {classes} "
            f"(0 to {classes - 1}):\n{listed(problems)}",
            where="network.head.classes",
            fix="Raise it, or say with data.labels which label belongs to which class.",
        )


def _label_counts(files: TrainingScan, start: int, stop: int) -> npt.NDArray[np.int64]:
    """Pixels of each label number, [256]."""
    labels = files.open().labels
    counts = np.zeros(256, dtype=np.int64)
    if labels is not None:
        for plane in labels[start:stop]:
            counts += np.bincount(plane.reshape(-1), minlength=256)
    return counts
