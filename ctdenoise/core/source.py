"""The files a volume came from, so that the writer can go back to their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

ImageKind = Literal["nifti", "mha", "nrrd"]
"""Formats of one file for one volume; `mha` is every MetaImage, .mhd included."""

SourceKind = Literal["dicom", ImageKind]
"""What a series can be read from."""


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """One slice of the source.

    Args:
        path: File that holds the slice.
        sop_instance_uid: Identity of the instance; empty for an image file.
        frame: Zero-based frame of a multi-frame object; None for one slice per file.
    """

    path: Path
    sop_instance_uid: str = ""
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class SourceSeries:
    """The series a volume was read from, slices in the volume's order.

    Args:
        kind: What it was read from.
        instances: One for each slice of the volume.
        series_instance_uid: Empty for an image file.
        study_instance_uid: Empty for an image file.
        patient_key: A short digest that is equal for series of one patient and names nobody; empty
            where unknown. Training splits by it.
        others: Further series that went into the volume, slice by slice on the same grid; this one
            gives the headers.
        steps: What this program did before, as the files tell: "denoise", ...
    """

    kind: SourceKind
    instances: tuple[SourceInstance, ...]
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    patient_key: str = ""
    others: tuple[SourceSeries, ...] = ()
    steps: tuple[str, ...] = ()

    def select(self, indices: Sequence[int]) -> SourceSeries:
        """The same series with some of its slices.

        Args:
            indices: Which, in order.
        """
        return replace(
            self,
            instances=tuple(self.instances[index] for index in indices),
            others=tuple(other.select(indices) for other in self.others),
        )
