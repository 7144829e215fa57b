"""Everything that ctdenoise writes as DICOM, made from every kind of source: what judges judge.

`study_of` lays out a few slices of a source, `make` writes one kind of object from them, by the
same tasks that the commands run. What is refused is told in words, and judged by nobody.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from ctdenoise.config.conversion import ConvertSettings
from ctdenoise.config.dicom import DicomSettings, TransferSyntax
from ctdenoise.config.inference import InferSettings
from ctdenoise.config.phantom import GridSettings, PhantomSettings, WaterSettings
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import CTDenoiseError, GeometryError
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from ctdenoise.io.write import write_series
from ctdenoise.tasks import convert, deidentify, infer, phantom
from tests.dicom.builders import uid
from tests.dicom.deriving import DENOISE, SIMULATE
from tests.dicom.multi_frames import ENHANCED, LEGACY, multi_frame_ct, object_file, small_volume

SYNTAXES: tuple[TransferSyntax, ...] = (
    *("explicit", "implicit", "deflated", "rle", "jpeg-ls", "jpeg2000"),
)
REAL_SOURCES = {
    "siemens_chest": "series/siemens_chest",
    "ge_abdomen": "series/ge_abdomen",
    "philips_chest": "series/philips_chest",
    "philips_head_5mm_UB": "series/philips_head_phantom_5mm_UB",
    "philips_head_1mm_UB": "series/philips_head_phantom_1mm_UB",
    "philips_head_1mm_YA": "series/philips_head_phantom_1mm_YA",
    "ge_head_tilt_uneven_gaps": "zoo/ge_head_tilt_uneven_gaps",
    "philips_tilted": "zoo/philips_tilted_with_scout",
    "enhanced_eCT_as_HU": "zoo/enhanced_ct/eCT_Supplemental.dcm",
    "enhanced_fragmented_jpeg": "zoo/enhanced_ct/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
}
"""Place of each below the folder of real CT."""
GENERATED_SOURCES = {"enhanced_generated": ENHANCED, "legacy_generated": LEGACY}
SOURCES = (*REAL_SOURCES, *GENERATED_SOURCES)

KINDS = (
    *("denoised", "simulated", "removed_noise", "noise_map_ct", "segmentation"),
    *("parametric_map", "new_series", "deidentified"),
)
"""What is made of a source; `phantom` has none."""
ONE_SYNTAX = ("segmentation", "parametric_map", "deidentified")
"""Kinds that the setting of the transfer syntax does not reach."""
SLICES = 3


@dataclass(frozen=True)
class Made:
    """What was made of one source.

    Args:
        source: Name of the source; "" for a phantom.
        kind: What it is.
        syntax: The transfer syntax asked for.
        folder: Its files lie below; none where it was refused.
        study: The files of its source lie below; an empty folder for a phantom.
        refused: Why it was not made; empty where it was.
        model: The network that denoised and labelled, for kinds that need one.
    """

    source: str
    kind: str
    syntax: str
    folder: Path
    study: Path
    refused: str = ""
    model: Path | None = None

    @property
    def series(self) -> list[Path]:
        """The folders that hold a series each."""
        return sorted({path.parent for path in self.files})

    @property
    def files(self) -> list[Path]:
        """The DICOM files, in the order of their names."""
        return sorted(self.folder.rglob("*.dcm"))

    @property
    def source_files(self) -> list[Path]:
        """The DICOM files of the source."""
        return sorted(path for path in self.study.rglob("*") if path.is_file())


def study_of(name: str, ctdata: Path, folder: Path) -> Path:
    """A few slices of a source, or one multi-frame object, as a study of its own.

    Args:
        name: One of SOURCES.
        ctdata: The folder of real CT.
        folder: A folder to make.
    """
    folder.mkdir(parents=True)
    if name in GENERATED_SOURCES:
        volume = small_volume(SLICES + list(GENERATED_SOURCES).index(name))  # no two are the same
        dataset = multi_frame_ct(volume, sop_class=GENERATED_SOURCES[name], name=name)
        dataset.SeriesInstanceUID = uid("series", name)
        object_file(folder, dataset)
        return folder
    place = ctdata / REAL_SOURCES[name]
    if name == "enhanced_eCT_as_HU":
        dataset = pydicom.dcmread(place)
        _call_hounsfield(dataset)
        dataset.save_as(folder / "frames")
    elif place.is_file():
        (folder / "frames").symlink_to(place)
    else:
        (found,) = (one for one in find_series(place) if one.what == "CT" and one.readable)
        instances = found.source.instances
        first = _first_slice(read_volume(found)) if "uneven" in name else len(instances) // 2
        for instance in instances[first : first + SLICES]:
            (folder / instance.path.name).symlink_to(instance.path)
    return folder


def _call_hounsfield(dataset: pydicom.Dataset) -> None:
    """A real Enhanced CT object whose pixels are blood flow; only its words say so."""
    groups = dataset.SharedFunctionalGroupsSequence[0]
    groups.PixelValueTransformationSequence[0].RescaleType = "HU"
    groups.CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]


def _first_slice(volume: CTVolume) -> int:
    """Where the distance of slices changes."""
    gaps = np.linalg.norm(np.diff(volume.geometry.positions_mm, axis=0), axis=1)
    changes = np.abs(np.diff(gaps)) > 0.5
    return max(int(np.argmax(changes)) - 1, 0)


def make(
    kind: str, source: str, study: Path, out: Path, *, model: Path, syntax: TransferSyntax
) -> Made:
    """Write one kind of object from a study.

    Args:
        kind: One of KINDS, or "phantom".
        source: Name of the source.
        study: From `study_of`.
        out: A folder to make.
        model: From `objects.labelling_model`.
        syntax: How to store it.
    """
    settings = DicomSettings(transfer_syntax=syntax)
    try:
        folder = _MAKERS[kind](study, out, model, settings)
    except CTDenoiseError as error:
        return Made(source, kind, syntax, out / "nothing", study, str(error))
    return Made(source, kind, syntax, folder, study, model=model)


def _derived(study: Path, out: Path, settings: DicomSettings, step: Step) -> Path:
    volume = read_volume(study)
    noise = np.random.default_rng(0).normal(0, 8, volume.shape).astype(np.float32)
    write_series(volume.with_hu(volume.hu + noise, step), out, settings=settings)
    return out


def _denoised(study: Path, out: Path, model: Path, settings: DicomSettings) -> Path:
    del model
    return _derived(study, out, settings, DENOISE)


def _simulated(study: Path, out: Path, model: Path, settings: DicomSettings) -> Path:
    del model
    return _derived(study, out, settings, SIMULATE)


def _object(name: str, **objects: object) -> _Maker:
    def made(study: Path, out: Path, model: Path, settings: DicomSettings) -> Path:
        wanted = {"segmentation": "none", **objects}
        # Plain torch, as in `expected_labels`: classes may be equal to rounding.
        chosen = InferSettings(engine="torch", objects=wanted, dicom=settings)
        infer.run(study, model=model, settings=chosen, out=out)
        return out / name

    return made


def _new_series(study: Path, out: Path, model: Path, settings: DicomSettings) -> Path:
    """By way of NIfTI, straightened where NIfTI cannot hold the stack."""
    del model
    volume = read_volume(study)
    image = out / "image.nii"
    out.mkdir(parents=True)
    convert.run(study, out=image, settings=ConvertSettings(resample=not _has_affine(volume)))
    convert.run(
        image, out=out / "dicom", settings=ConvertSettings(dicom=settings), file_format="dicom"
    )
    return out / "dicom"


def _has_affine(volume: CTVolume) -> bool:
    try:
        volume.geometry.affine()
    except GeometryError:
        return False
    return True


def _deidentified(study: Path, out: Path, model: Path, settings: DicomSettings) -> Path:
    """The source together with what was derived from it."""
    del model
    shutil.copytree(study, out / "both" / "source")
    _derived(study, out / "both" / "denoised", settings, DENOISE)
    deidentify.run(out / "both", out=out / "export")
    return out / "export"


def _phantom(study: Path, out: Path, model: Path, settings: DicomSettings) -> Path:
    del study, model
    grid = GridSettings(size=64, slices=SLICES)
    phantom.run(PhantomSettings(phantom=WaterSettings(), grid=grid, dicom=settings), out=out)
    return out / phantom.DICOM_FOLDER


_Maker = Callable[[Path, Path, Path, DicomSettings], Path]
_MAKERS: dict[str, _Maker] = {
    "denoised": _denoised,
    "simulated": _simulated,
    "removed_noise": _object("residual", residual=True),
    "noise_map_ct": _object("noise_map", noise_map="ct"),
    "segmentation": _object("segmentation", segmentation="binary"),
    "parametric_map": _object("noise_map", noise_map="pm"),
    "new_series": _new_series,
    "deidentified": _deidentified,
    "phantom": _phantom,
}
