"""The files a volume came from, so that the writer can go back to their headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """One slice of the source.

    Args:
        path: File that holds the slice.
        sop_instance_uid: Identity of the instance; empty for NIfTI.
        frame: Zero-based frame of a multi-frame object; None for one slice per file.
    """

    path: Path
    sop_instance_uid: str = ""
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class SourceSeries:
    """The series a volume was read from, slices in the volume's order.

    Args:
        kind: "dicom" or "nifti".
        instances: One for each slice of the volume.
        series_instance_uid: Empty for NIfTI.
        study_instance_uid: Empty for NIfTI.
        patient_key: A short digest that is equal for series of one patient and names nobody; empty
            where unknown. Training splits by it.
    """

    kind: Literal["dicom", "nifti"]
    instances: tuple[SourceInstance, ...]
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    patient_key: str = ""

    def select(self, indices: Sequence[int]) -> SourceSeries:
        """The same series with some of its slices.

        Args:
            indices: Which, in order.
        """
        return replace(self, instances=tuple(self.instances[index] for index in indices))
