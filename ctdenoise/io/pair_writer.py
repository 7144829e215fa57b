"""Writing training pairs, whole or block by block; see `pairs` for what they are on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from ctdenoise.core.arrays import LabelArray
from ctdenoise.core.pair import Exposure, Pair
from ctdenoise.core.provenance import Step
from ctdenoise.core.scan import Scan
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import PairsError, listed
from ctdenoise.io.growing import Growing, GrowingFile
from ctdenoise.io.image_heads import nifti_head
from ctdenoise.io.pair_images import affine_and_notes, stored_hu
from ctdenoise.io.pair_manifest import ImageFile, PairManifest, write_manifest
from ctdenoise.io.pairs import FULL_FILE, LABELS_FILE

_BLOCK_SLICES = 32


class PairWriter:
    """Writes one full-dose series and its low-dose twins, block by block, the manifest last.

    Voxels are rounded to whole HU and clipped to what int16 holds above PADDING_HU.

    Args:
        folder: An existing folder; the caller stages it. Files that a killed run left in it are to
            be cut (`Growing.cut_to`) before more is written.
        scan: The full-dose series.
        doses: Dose fraction of each twin.
        has_labels: Whether labels come with every block.
    """

    def __init__(
        self, folder: Path, scan: Scan, doses: Sequence[float], *, has_labels: bool = False
    ) -> None:
        self._folder, self._scan = folder, scan
        affine, self._notes = affine_and_notes(scan.geometry)
        head = nifti_head(scan.shape, np.int16, affine)
        with ExitStack() as opened:
            self._full = GrowingFile(folder / FULL_FILE, head)
            opened.callback(self._full.close)
            self._low = []
            for name in low_names(doses):
                self._low.append(GrowingFile(folder / f"{name}.nii", head))
                opened.callback(self._low[-1].close)
            self._labels: GrowingFile | None = None
            if has_labels:
                label_head = nifti_head(scan.shape, np.uint8, affine)
                self._labels = GrowingFile(folder / LABELS_FILE, label_head)
                opened.callback(self._labels.close)
            self._opened = opened.pop_all()

    @property
    def parts(self) -> tuple[Growing, ...]:
        """Every file, for the journal."""
        labels = () if self._labels is None else (self._labels,)
        return (self._full, *self._low, *labels)

    def write(
        self, full: CTVolume, low: Sequence[CTVolume], labels: LabelArray | None = None
    ) -> None:
        """Append a block of slices.

        Args:
            full: The next slices of the series.
            low: The same slices of each twin.
            labels: Their segmentation, where there is one.
        """
        for file, volume in zip((self._full, *self._low), (full, *low), strict=True):
            file.write(stored_hu(volume, full.padding).data.cast("B"))
        if self._labels is not None and labels is not None:
            self._labels.write(np.ascontiguousarray(labels).data.cast("B"))

    def finish(
        self,
        twins: Sequence[tuple[Exposure, tuple[Step, ...]]],
        label_names: Mapping[int, str] | None = None,
    ) -> None:
        """Write the manifest.

        Args:
            twins: How each twin was made: exposure and history.
            label_names: Name of each label, by number.
        """
        scan = self._scan
        low = [
            (_written(file, history), exposure)
            for file, (exposure, history) in zip(self._low, twins, strict=True)
        ]
        manifest = PairManifest(
            patient_key="" if scan.source is None else scan.source.patient_key,
            geometry=scan.geometry,
            acquisition=scan.acquisition,
            full=_written(self._full, scan.history),
            low=tuple(low),
            labels=None if self._labels is None else _written(self._labels, ()),
            label_names=dict(label_names or {}),
            notes=self._notes,
        )
        write_manifest(self._folder, manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._opened.close()
        except OSError:
            if error is None:  # a full disk is told once, where it was met first
                raise


def write_pairs(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write one full-dose volume and its low-dose twins.

    Args:
        folder: An existing empty folder; the caller stages it.
        pairs: At least one; all share their full-dose volume, labels and padding.

    Raises:
        PairsError: If the pairs do not share them, or there is none.
    """
    _require_shared(pairs)
    first = pairs[0]
    doses = [pair.exposure.dose_fraction for pair in pairs]
    with PairWriter(folder, first.full, doses, has_labels=first.labels is not None) as writer:
        for start in range(0, first.full.shape[0], _BLOCK_SLICES):
            block = slice(start, start + _BLOCK_SLICES)
            writer.write(
                first.full.select(block),
                [pair.low.select(block) for pair in pairs],
                None if first.labels is None else first.labels[block],
            )
        writer.finish([(pair.exposure, pair.low.history) for pair in pairs], first.label_names)


def low_names(doses: Sequence[float]) -> list[str]:
    """`low_0.25`; a second twin at the same dose is `low_0.25_2`.

    Args:
        doses: Dose fraction of each twin.
    """
    names: list[str] = []
    for dose in doses:
        name, repeat = f"low_{dose:g}", 1
        while name in names:
            repeat += 1
            name = f"low_{dose:g}_{repeat}"
        names.append(name)
    return names


def _written(file: GrowingFile, history: tuple[Step, ...]) -> ImageFile:
    return ImageFile(file.name, file.mark().sha256, history)


def _require_shared(pairs: Sequence[Pair]) -> None:
    if not pairs:
        raise PairsError("there is no pair to write.")
    first = pairs[0]
    problems = []
    for number, pair in enumerate(pairs, start=1):
        if not (
            pair.full.geometry.matches(first.full.geometry)
            and _same(pair.full.hu, first.full.hu)
            and _same(pair.full.padding, first.full.padding)
        ):
            problems.append(f"pair {number} has another full-dose volume than pair 1")
        if not _same(pair.labels, first.labels) or pair.label_names != first.label_names:
            problems.append(f"pair {number} has other labels than pair 1")
        if not _same(pair.low.padding, pair.full.padding):
            problems.append(f"pair {number} has different padding in its two volumes")
    if problems:
        raise PairsError(f"these pairs do not belong into one folder:\n{listed(problems)}")


def _same(first: npt.NDArray[np.generic] | None, second: npt.NDArray[np.generic] | None) -> bool:
    if first is None or second is None:
        return first is second
    return first is second or np.array_equal(first, second)
