"""`phantom`: a study whose truth is known."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctdenoise.config.load import write_settings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import digest
from ctdenoise.io.nifti import write_nifti
from ctdenoise.io.pair_images import affine_and_notes, write_image
from ctdenoise.io.runfile import Run, write_run
from ctdenoise.io.staging import require_free_folder, staged_folder
from ctdenoise.io.write import write_series
from ctdenoise.phantoms.build import Phantom, build_phantom
from ctdenoise.tasks.phantom_sinogram import project, write_sinogram

DICOM_FOLDER = "dicom"
"""Folder of the series inside the output folder."""

VOLUME_FILE = "volume.nii"
"""The volume, where NIfTI is asked for."""

LABELS_FILE = "labels.nii"
"""Segmentation labels; 8-bit, so that no reader takes them for a CT volume."""

TRUTH_FILE = "truth.json"
"""Every shape with its Hounsfield units and place."""


PhantomFormat = Literal["dicom", "nifti", "sinogram"]


@dataclass(frozen=True, slots=True)
class PhantomReport:
    """What was made.

    Args:
        out: The output folder.
        name: Which phantom.
        seed: What decided everything random.
        shape: Voxels along [z, y, x].
        pixel_spacing_mm: Pixel spacing, mm.
        slice_spacing_mm: Slice spacing, mm.
        shapes: How many shapes it is drawn with.
        labels: Name and number of voxels of each label that occurs.
        files: How many image files were written.
        seconds: How long it took.
    """

    out: Path
    name: str
    seed: int
    shape: tuple[int, int, int]
    pixel_spacing_mm: float
    slice_spacing_mm: float
    shapes: int
    labels: dict[str, int]
    files: int
    seconds: float


def run(
    settings: PhantomSettings,
    *,
    out: Path,
    file_format: PhantomFormat = "dicom",
    with_shapes: bool = True,
    progress: Progress = SILENT,
) -> PhantomReport:
    """Draw a phantom and write it as a study with its truth.

    The output folder holds one CT series (`dicom/`, or `volume.nii`), `labels.nii`, `truth.json`
    with every shape, `settings.yaml` and `run.json`. It can be given to `simulate` as it is. A
    sinogram (`sinogram.npz`) is written instead of series and labels.

    Args:
        settings: Which phantom, on which grid.
        out: Folder to make; new or empty.
        file_format: What the volume is written as.
        with_shapes: Whether `truth.json` lists every shape.
        progress: Told about shapes drawn.

    Raises:
        OutputExistsError: If `out` holds something.
        OutputError: If it cannot be written.
        UsageError: If a sinogram of a phantom with texture is asked for.
    """
    require_free_folder(out)
    started = time.perf_counter()
    phantom = build_phantom(settings, progress=progress)
    drawn = time.perf_counter()
    truth = phantom.truth if with_shapes else phantom.summary
    with staged_folder(out) as folder:
        files = _write_phantom(phantom, folder, file_format, settings, progress)
        (folder / TRUTH_FILE).write_text(json.dumps(truth) + "\n", encoding="utf-8")
        write_settings(folder, settings)
        counts = _label_counts(phantom)
        finished = time.perf_counter()
        write_run(
            folder,
            Run(
                command="phantom",
                settings=settings.as_json(),
                seed=settings.seed,
                results={
                    "shapes": len(phantom.shapes),
                    "truth_digest": digest(truth),
                    "label_voxels": counts,
                },
                timings_s={"draw": drawn - started, "write": finished - drawn},
            ),
        )
    return PhantomReport(
        out=out,
        name=settings.phantom.name,
        seed=settings.seed,
        shape=phantom.volume.shape,
        pixel_spacing_mm=phantom.volume.geometry.pixel_spacing_mm[1],
        slice_spacing_mm=settings.grid.slice_spacing_mm,
        shapes=len(phantom.shapes),
        labels=counts,
        files=files,
        seconds=time.perf_counter() - started,
    )


def _write_phantom(
    phantom: Phantom,
    folder: Path,
    file_format: PhantomFormat,
    settings: PhantomSettings,
    progress: Progress,
) -> int:
    """Write the volume with its labels, or the sinogram; how many files of images."""
    if file_format == "sinogram":
        write_sinogram(project(phantom, settings.sinogram, progress=progress), folder)
        return 1
    affine, _ = affine_and_notes(phantom.volume.geometry)
    write_image(folder / LABELS_FILE, phantom.labels, affine)
    if file_format == "nifti":
        write_nifti(phantom.volume, folder / VOLUME_FILE)
        return 1
    return len(write_series(phantom.volume, folder / DICOM_FOLDER, settings=settings.dicom))


def _label_counts(phantom: Phantom) -> dict[str, int]:
    names = phantom.label_names
    return {
        names[number]: count
        for number in sorted(names)
        if (count := int((phantom.labels == number).sum()))
    }
