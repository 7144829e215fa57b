"""`pair.json`: what a folder of a training pair says about its image files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.pair import Exposure
from ctdenoise.core.provenance import JsonValue, Step
from ctdenoise.errors import InputError, PairsError

MANIFEST_FILE = "pair.json"
"""Name of the file."""

FORMAT = "ctdenoise-pair"
"""What the file calls itself."""

VERSION = 1
"""Version of the layout; a reader refuses any other."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image file of a pair.

    Args:
        file: Plain name inside the pair's folder.
        sha256: Digest of the whole file, 64 hexadecimal digits.
        history: What was done to the volume, oldest first.
    """

    file: str
    sha256: str
    history: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PairManifest:
    """Everything about a pair that is not a voxel.

    Args:
        patient_key: Short digest that is equal for series of one patient; may be empty.
        geometry: The grid that all images share, with the position of every slice.
        acquisition: How the full-dose scan was made.
        full: The full-dose image.
        low: Its low-dose twins, with the dose and the evidence for it.
        labels: The segmentation, if there is one.
        label_names: Name of each label, by number.
        notes: What a reader of the files should know.
    """

    patient_key: str
    geometry: Geometry
    acquisition: Acquisition
    full: ImageFile
    low: tuple[tuple[ImageFile, Exposure], ...]
    labels: ImageFile | None
    label_names: dict[int, str]
    notes: tuple[str, ...] = ()


def write_manifest(folder: Path, manifest: PairManifest) -> Path:
    """Write `pair.json`.

    Args:
        folder: An existing folder.
        manifest: What to write.
    """
    geometry = manifest.geometry
    record: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "patient_key": manifest.patient_key,
        "geometry": {
            "rows": geometry.rows,
            "columns": geometry.columns,
            "pixel_spacing_mm": geometry.pixel_spacing_mm,
            "row_direction": geometry.row_direction,
            "column_direction": geometry.column_direction,
            "positions_mm": geometry.positions_mm.tolist(),
        },
        "acquisition": asdict(manifest.acquisition),
        "full": _image_json(manifest.full),
        "low": [{**_image_json(image), "exposure": asdict(dose)} for image, dose in manifest.low],
        "labels": None if manifest.labels is None else _image_json(manifest.labels),
        "label_names": {str(number): name for number, name in manifest.label_names.items()},
        "notes": manifest.notes,
    }
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def read_manifest(path: Path) -> PairManifest:
    """Read a `pair.json`.

    Args:
        path: The file.

    Raises:
        PairsError: If it is not such a file, is of another version, or holds something impossible.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PairsError("the manifest cannot be read as JSON.", where=path) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise PairsError(f"this is no manifest of a pair (format {FORMAT!r}).", where=path)
    if record.get("version") != VERSION:
        raise PairsError(
            f"the layout has version {record.get('version')!r}; this program reads {VERSION}.",
            where=path,
            fix="Make the pairs again with `ctdenoise simulate`, or the program that made them.",
        )
    try:
        return _manifest(record)
    except (KeyError, TypeError, ValueError, InputError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise PairsError(f"the manifest is damaged: {reason}.", where=path) from error


def _image_json(image: ImageFile) -> dict[str, JsonValue]:
    return {
        "file": image.file,
        "sha256": image.sha256,
        "history": [step.as_json() for step in image.history],
    }


def _manifest(record: Mapping[str, Any]) -> PairManifest:
    low = tuple((_image(item), Exposure(**item["exposure"])) for item in record["low"])
    if not low:
        raise ValueError("it lists no low-dose image")
    grid = record["geometry"]
    return PairManifest(
        patient_key=str(record["patient_key"]),
        geometry=Geometry(
            rows=int(grid["rows"]),
            columns=int(grid["columns"]),
            pixel_spacing_mm=_numbers(grid["pixel_spacing_mm"], 2),
            row_direction=_numbers(grid["row_direction"], 3),
            column_direction=_numbers(grid["column_direction"], 3),
            positions_mm=grid["positions_mm"],
        ),
        acquisition=_acquisition(record["acquisition"]),
        full=_image(record["full"]),
        low=low,
        labels=None if record["labels"] is None else _image(record["labels"]),
        label_names={int(number): str(name) for number, name in record["label_names"].items()},
        notes=tuple(record.get("notes", ())),
    )


def _image(item: Mapping[str, Any]) -> ImageFile:
    name = str(item["file"])
    if Path(name).name != name or name in {"", ".", ".."} or "\\" in name:
        raise ValueError(f"{name!r} is not a plain file name")
    steps = tuple(Step(step["name"], step["params"]) for step in item["history"])
    return ImageFile(name, str(item["sha256"]), steps)


def _acquisition(item: Mapping[str, Any]) -> Acquisition:
    known = {field.name for field in fields(Acquisition)}
    unknown = sorted(set(item) - known)
    if unknown:
        raise ValueError(f"unknown facts about the acquisition: {', '.join(unknown)}")
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in item.items()
    }
    return Acquisition(**values)


def _numbers(values: Sequence[float], count: int) -> Any:
    """A tuple of so many floats (the caller's field says how many)."""
    if len(values) != count:
        raise ValueError(f"{count} numbers were expected, {len(values)} found")
    return tuple(float(value) for value in values)
