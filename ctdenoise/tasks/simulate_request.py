"""What a simulation was asked to make, to tell whether an earlier one was asked for the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ctdenoise import __version__
from ctdenoise.config.dicom import DicomSettings
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.provenance import JsonValue, digest
from ctdenoise.core.source import SourceSeries
from ctdenoise.io.checksum import sha256_of

_OTHER = {
    "version": "another version of ctdenoise",
    "format": "another --format",
    "settings": "other settings",
    "dicom": "other settings of DICOM output",
    "seed": "another seed",
    "study": "another study, or files that have changed since",
    "labels": "other labels",
    "calibration": "another calibration",
}
"""What is told of each thing that differs; what only follows from the others comes last."""


def request_of(
    source: SourceSeries | None,
    geometry: Geometry,
    settings: SimulateSettings,
    *,
    seed: int,
    file_format: str,
    labels: Path | None = None,
) -> dict[str, JsonValue]:
    """What decides the result before a pixel is read, as short digests that name nobody.

    Args:
        source: Files of the series, told apart by identity, size and time of change.
        geometry: Its grid.
        settings: What to simulate; what only costs memory and time does not count.
        seed: The run's seed.
        file_format: What to write.
        labels: The segmentation that goes with it, told apart by its content.
    """
    files: list[JsonValue] = []
    for instance in source.instances if source else ():
        stat = instance.path.stat()
        uid = instance.sop_instance_uid
        files.append([uid, instance.frame, stat.st_size, stat.st_mtime_ns])
    grid: list[JsonValue] = [list(geometry.shape), geometry.positions_mm.ravel().tolist()]
    series = "" if source is None else source.series_instance_uid
    writes_otherwise = file_format == "dicom" and settings.dicom != DicomSettings()
    return {
        "version": __version__,
        "format": file_format,
        "settings": digest(settings.deciding()),
        "dicom": digest(settings.dicom.as_json()) if writes_otherwise else None,
        "seed": seed,
        "study": digest([series, files, grid]),
        "labels": None if labels is None else sha256_of(labels)[:16],
    }


def differences(before: Mapping[str, JsonValue], now: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """In words what was asked for otherwise; empty where the results are the same.

    Args:
        before: A request as `request_of` gives it, or with more in it.
        now: Another.
    """
    differing = [name for name in _OTHER if name in now and before.get(name) != now[name]]
    causes = [name for name in differing if name != "calibration"]
    return tuple(_OTHER[name] for name in causes or differing)
