"""`infer --dry-run`: what would be done, in how much time, memory and space. Nothing is written."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from ctdenoise.core.source import SourceKind
from ctdenoise.inference import uncertainty
from ctdenoise.inference.check_finding import CheckFinding
from ctdenoise.inference.check_range import outside_training, scan_figures, trained_on
from ctdenoise.inference.method import Block
from ctdenoise.io.runfile import peak_memory_mb
from ctdenoise.io.volume_writer import image_name
from ctdenoise.tasks.infer import DICOM_FOLDER
from ctdenoise.tasks.infer_beside import (
    NOISE_FOLDER,
    RESIDUAL_FOLDER,
    SEGMENTATION_FOLDER,
    UNCERTAINTY_FOLDER,
)
from ctdenoise.tasks.infer_work import InferRequest, Work, controls_in_words, prepared

HEADER_BYTES = 8192
"""Room for the header of a DICOM file; more than most have."""

_BLOCKS_IN_MEMORY = 5  # read ahead, in work and waiting to be written, and what is made of them
_BYTES_PER_VOXEL = 2  # of what is written, uncompressed


@dataclass(frozen=True, slots=True)
class InferPlan:
    """What `infer` would do.

    Args:
        kind: What the study is: "dicom", "nifti", ...
        shape: Slices, rows, columns.
        model: The kind of network or filter.
        model_digest: Digest of the checkpoint.
        engine: What would compute: "torch cpu float32".
        strength: Share of the method's change that would be applied, found or chosen.
        controls: The other controls that would be used, in words.
        noise_told_hu: Noise that the network would be told; None where it is not.
        computed_slices: Slices that would be computed.
        outputs: Every folder or file that would appear in the output folder.
        files: How many image files.
        seconds_per_slice: Of the denoiser, measured on slices of this study; 0 where nothing is
            computed.
        seconds: Of the run, writing left out, which goes on at the same time.
        memory_mb: The most memory that the run would hold.
        disk_mb: The most space that the result would take.
        free_mb: Space that is free where the result would lie.
        out: The output folder.
        findings: What the checks say of the scan already, before anything is made of it.
    """

    kind: SourceKind
    shape: tuple[int, int, int]
    model: str
    model_digest: str
    engine: str
    strength: float
    controls: tuple[tuple[str, str], ...]
    noise_told_hu: float | None
    computed_slices: int
    outputs: tuple[str, ...]
    files: int
    seconds_per_slice: float
    seconds: float
    memory_mb: float
    disk_mb: float
    free_mb: float
    out: Path
    findings: tuple[CheckFinding, ...] = ()


def plan(request: InferRequest) -> InferPlan:
    """Say what would be done, and refuse what would be refused.

    Headers and the sample are read, controls are settled, and one or two blocks are computed for
    their time. What only shows when all slices are read or the result is judged is not found.

    Args:
        request: What is asked for.

    Raises:
        CTDenoiseError: As the run would; see `prepared`.
    """
    started = time.perf_counter()
    with prepared(request) as work:
        findings = _findings(work)
        computed = _computed_slices(work)
        per_slice = _seconds_per_slice(work) if computed else 0.0
        slices = work.reader.shape[0]
        reading = slices * work.busy.seconds["sample"] / len(work.sample.places)
        before_first = time.perf_counter() - started
        block_mb = work.denoising.block_slices * _slice_bytes(work, 4) / 1e6
        outputs, files = _outputs(work)
        twice = uncertainty.PASSES * min(uncertainty.SLICES, slices) * per_slice
        if work.wanted.uncertainty != "none":
            before_first += twice * (1 + 2 * work.denoiser.context)
        told = work.denoising.step.params.get("noise_level_hu")
        return InferPlan(
            kind=work.kind,
            shape=work.reader.shape,
            model=work.denoiser.name,
            model_digest=work.denoiser.digest,
            engine=work.denoiser.description,
            strength=work.denoising.strength,
            controls=controls_in_words(work),
            noise_told_hu=float(told) if isinstance(told, int | float) else None,
            computed_slices=computed,
            outputs=outputs,
            files=files,
            seconds_per_slice=per_slice,
            seconds=before_first + max(reading, computed * per_slice),
            memory_mb=peak_memory_mb() + _BLOCKS_IN_MEMORY * block_mb,
            disk_mb=_disk_bytes(work, files) / 1e6,
            free_mb=_free_bytes(request.out) / 1e6,
            out=request.out,
            findings=findings,
        )


def _findings(work: Work) -> tuple[CheckFinding, ...]:
    """What the checks say of the scan."""
    figures = scan_figures(work.sample, work.reader)
    return outside_training(figures, trained_on(work.denoiser), work.settings.checks)


def _computed_slices(work: Work) -> int:
    if work.denoising.method is None:
        return 0
    if work.wanted.labels or work.wanted.states_error:
        return work.reader.shape[0]
    return sum(map(work.denoising.settled.controls.touches, range(work.reader.shape[0])))


def _seconds_per_slice(work: Work) -> float:
    """Time of a slice in the second of two blocks: the first finds caches cold."""
    denoising = work.denoising
    size = min(denoising.block_slices, len(work.sample.places))
    some = slice(0, size)
    # Slices of the sample may be no neighbours: for a time, it does not matter.
    block = Block(work.sample.volume.select(some), work.sample.places[0], some, alone=True)
    everywhere = replace(denoising.settled.controls, region=None)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        if denoising.method is not None:
            taken = denoising.method.take(block, labels=denoising.labels, error=denoising.error)
            everywhere.applied(block.volume, taken.removed_hu, block.places)
        seconds = time.perf_counter() - started
    return seconds / size


def _slice_bytes(work: Work, size: int) -> int:
    _, rows, columns = work.reader.shape
    return rows * columns * size


def _outputs(work: Work) -> tuple[tuple[str, ...], int]:
    """Every folder or file that would appear, and how many image files there would be."""
    wanted = work.wanted
    beside = {"labels": wanted.labels, "residual": wanted.residual}
    beside["noise_map"] = wanted.noise_map != "none"
    beside["uncertainty"] = wanted.uncertainty != "none"
    always = ("settings.yaml", "run.json")
    if work.kind != "dicom":
        name, _ = image_name(work.reader, work.kind)
        suffix = name.removeprefix("image")
        return (name, *(f"{key}{suffix}" for key, yes in beside.items() if yes), *always), 1
    folders = {
        "labels": SEGMENTATION_FOLDER,
        "residual": RESIDUAL_FOLDER,
        "noise_map": NOISE_FOLDER,
        "uncertainty": UNCERTAINTY_FOLDER,
    }
    source = work.reader.source
    paths = {instance.path for instance in source.instances} if source is not None else set()
    multi_frame = 0 < len(paths) < work.reader.shape[0]
    files = len(paths) if multi_frame else work.reader.shape[0]
    objects = (folder for key, folder in folders.items() if beside[key])
    return (DICOM_FOLDER, *objects, "manifest.json", *always), files


def _disk_bytes(work: Work, files: int) -> int:
    """At most: nothing is compressed, and labels take whole bytes."""
    wanted, slices = work.wanted, work.reader.shape[0]
    is_dicom = work.kind == "dicom"
    beside = _BYTES_PER_VOXEL if is_dicom else 4
    sizes = [_BYTES_PER_VOXEL, wanted.labels, beside * wanted.residual]
    maps = (wanted.noise_map, wanted.uncertainty)
    sizes += [beside * (how != "none") for how in maps]
    headers = HEADER_BYTES * files * (1 + wanted.residual + maps.count("ct"))
    return slices * _slice_bytes(work, sum(sizes)) + is_dicom * headers


def _free_bytes(out: Path) -> int:
    nearest = next(one for one in (out.absolute(), *out.absolute().parents) if one.exists())
    return shutil.disk_usage(nearest).free
