"""Classic CT series written with pydicom, for tests that read or derive DICOM.

Everything is made from a `CTVolume`, so that a test knows which Hounsfield unit lies where in the
patient. Always through bytes: `series_files` writes real files, `as_bytes` gives one file's bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    generate_uid,
)

from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume

NATIVE = (
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
PATIENT_NAME = "Marker^Someone"
PATIENT_ID = "PATIENT-4711"


def uid(*parts: str | int) -> str:
    """The same UID for the same parts."""
    return str(generate_uid(entropy_srcs=["ctdenoise tests", *(str(part) for part in parts)]))


def marked_volume(
    *,
    slices: int = 6,
    size: tuple[int, int] = (40, 36),
    geometry: Geometry | None = None,
    spacing_mm: tuple[float, float] = (0.8, 0.7),
    slice_spacing_mm: float = 2.5,
    seed: int = 0,
) -> CTVolume:
    """A volume in which every voxel differs from its neighbours: nothing can move unnoticed.

    Hounsfield units are whole numbers from -1000 to 2000; size is (rows, columns).
    """
    if geometry is None:
        geometry = Geometry.axial(
            (slices, *size),
            pixel_spacing_mm=spacing_mm,
            slice_spacing_mm=slice_spacing_mm,
            first_position_mm=(-12.5, 31.25, -40.0),
        )
    hu = np.random.default_rng(seed).integers(-1000, 2001, geometry.shape).astype(np.float32)
    acquisition = Acquisition(
        manufacturer="Maker",
        manufacturer_model_name="Model",
        kvp=120.0,
        exposure_mas=tuple(100.0 + index for index in range(geometry.slices)),
        slice_thickness_mm=geometry.slice_spacing_mm or 1.0,
        convolution_kernel="STANDARD",
    )
    return CTVolume(hu, geometry, acquisition)


def ct_series(
    volume: CTVolume,
    *,
    series: str = "1",
    slope: float | Sequence[float] = 1.0,
    intercept: float = -1024.0,
    signed: bool = False,
    padding_value: int | None = None,
    edit: Callable[[Dataset, int], None] | None = None,
) -> list[Dataset]:
    """One CT Image dataset per slice, in the order of the volume, legal before `edit`.

    Args:
        volume: What to write; its padding mask needs a padding value.
        series: Decides the SeriesInstanceUID and SeriesNumber (its digits).
        slope: Rescale slope, one for all slices or one each.
        intercept: Rescale intercept.
        signed: Store two's complement numbers.
        padding_value: Stored value of padding pixels, written as PixelPaddingValue.
        edit: Called with every finished dataset and its index, to spoil or change it.
    """
    slopes = [slope] * volume.shape[0] if isinstance(slope, int | float) else list(slope)
    datasets = []
    for index in range(volume.shape[0]):
        dataset = _header(volume, index, series)
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{slopes[index]:g}", f"{intercept:g}"
        stored = np.rint((volume.hu[index].astype(np.float64) - intercept) / slopes[index])
        if padding_value is not None:
            if volume.padding is not None:
                stored[volume.padding[index]] = padding_value
            dataset.add_new(0x00280120, "SS" if signed else "US", padding_value)
        dataset.PixelRepresentation = int(signed)
        dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
        if edit is not None:
            edit(dataset, index)
        datasets.append(dataset)
    return datasets


def _header(volume: CTVolume, index: int, series: str) -> Dataset:
    geometry, acquisition = volume.geometry, volume.acquisition
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid("instance", series, index)
    dataset.StudyDate, dataset.StudyTime = "20240102", "101112"
    dataset.SeriesDate, dataset.SeriesTime = "20240102", "101212"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20240102", "101212"
    dataset.ContentDate, dataset.ContentTime = "20240102", "101312"
    dataset.AccessionNumber = "ACC42"
    dataset.Modality = "CT"
    dataset.Manufacturer = acquisition.manufacturer or ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Chest"
    dataset.SeriesDescription = f"Series {series}"
    dataset.ManufacturerModelName = acquisition.manufacturer_model_name or "Model"
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.PatientBirthDate, dataset.PatientSex = "19500101", "O"
    dataset.BodyPartExamined = "CHEST"
    dataset.SliceThickness = f"{acquisition.slice_thickness_mm or 1.0:g}"
    dataset.KVP = f"{acquisition.kvp or 120.0:g}"
    if acquisition.exposure_mas:
        dataset.Exposure = str(round(acquisition.exposure_mas[index]))
    dataset.ConvolutionKernel = acquisition.convolution_kernel or "STANDARD"
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = uid("study")
    dataset.SeriesInstanceUID = uid("series", series)
    dataset.StudyID = "1"
    dataset.SeriesNumber = "".join(c for c in series if c.isdigit()) or "1"
    dataset.AcquisitionNumber = "1"
    dataset.InstanceNumber = str(index + 1)
    dataset.ImagePositionPatient = [_text(v) for v in geometry.positions_mm[index]]
    dataset.ImageOrientationPatient = [
        _text(v) for v in (*geometry.row_direction, *geometry.column_direction)
    ]
    dataset.FrameOfReferenceUID = uid("frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = geometry.rows, geometry.columns
    dataset.PixelSpacing = [_text(v) for v in geometry.pixel_spacing_mm]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    return dataset


def _text(value: float) -> str:
    """A number as a DICOM decimal string: at most 16 characters."""
    return f"{value:.10g}"[:16]


def as_bytes(
    dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, file_meta: bool = True
) -> bytes:
    """The file of a dataset whose PixelData is native little-endian.

    Args:
        dataset: One instance; left as it is.
        syntax: Transfer syntax: one of `NATIVE`, or one that pydicom can compress to.
        file_meta: Without it, the bytes begin with the dataset (no preamble, no group 2).
    """
    copy = _copied(dataset)
    copy.file_meta = _meta(dataset, ExplicitVRLittleEndian)
    copy.preamble = bytes(128)
    if syntax not in NATIVE:
        copy.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian and copy.get("BitsAllocated") == 16:
        copy.PixelData = np.frombuffer(copy.PixelData, "<u2").astype(">u2").tobytes()
        copy["PixelData"].VR = "OW"
    copy.file_meta.TransferSyntaxUID = syntax
    if not file_meta:
        del copy.file_meta
        copy.preamble = None
    buffer = io.BytesIO()
    dcmwrite(
        buffer,
        copy,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        enforce_file_format=file_meta,
    )
    return buffer.getvalue()


def _copied(dataset: Dataset) -> Dataset:
    copy = Dataset()
    for element in dataset:
        copy[element.tag] = element
    return copy


def _meta(dataset: Dataset, syntax: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", uid("no instance"))
    meta.TransferSyntaxUID = syntax
    return meta


def series_files(
    folder: Path,
    datasets: Sequence[Dataset],
    *,
    names: Sequence[str] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    file_meta: bool = True,
) -> list[Path]:
    """Write datasets as files into a folder, which is made; names default to 0001.dcm and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    names = names or [f"{index + 1:04d}.dcm" for index in range(len(datasets))]
    paths = [folder / name for name in names]
    for path, dataset in zip(paths, datasets, strict=True):
        path.write_bytes(as_bytes(dataset, syntax, file_meta=file_meta))
    return paths


def multi_frame(
    volume: CTVolume,
    *,
    order: Sequence[int] | None = None,
    sop_class: str = LegacyConvertedEnhancedCTImageStorage,
) -> Dataset:
    """All slices of a volume as the frames of one multi-frame CT object.

    Args:
        volume: What to write.
        order: Slice of each frame; ascending by default.
        sop_class: Enhanced or Legacy Converted Enhanced CT.
    """
    singles = ct_series(volume)
    order = range(volume.shape[0]) if order is None else order
    dataset = _copied(singles[0])
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid("multi-frame")
    dataset.NumberOfFrames = len(order)
    dataset.PixelData = b"".join(singles[index].PixelData for index in order)
    shared, frames = Dataset(), []
    shared.PixelMeasuresSequence = [_moved(dataset, "PixelSpacing", "SliceThickness")]
    shared.PlaneOrientationSequence = [_moved(dataset, "ImageOrientationPatient")]
    dataset.SharedFunctionalGroupsSequence = [shared]
    for number, index in enumerate(order):
        frame, content = Dataset(), Dataset()
        content.FrameAcquisitionNumber, content.StackID = 1, "1"
        content.InStackPositionNumber = number + 1
        rescale = ("RescaleSlope", "RescaleIntercept")
        frame.FrameContentSequence = [content]
        frame.PlanePositionSequence = [_moved(singles[index], "ImagePositionPatient")]
        frame.PixelValueTransformationSequence = [_moved(singles[index], *rescale)]
        frame.PixelValueTransformationSequence[0].RescaleType = "HU"
        frames.append(frame)
    for keyword in ("ImagePositionPatient", "RescaleSlope", "RescaleIntercept"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PerFrameFunctionalGroupsSequence = frames
    return dataset


def _moved(dataset: Dataset, *keywords: str) -> Dataset:
    """A sequence item with some elements, which the dataset then has no longer."""
    item = Dataset()
    for keyword in keywords:
        item[keyword] = dataset[keyword]
        delattr(dataset, keyword)
    return item
