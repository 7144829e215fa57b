"""Small series on disk and what is derived from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    ExplicitVRLittleEndian,
)

from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files, uid

DENOISE = Step("denoise", {"model": "redcnn", "model_digest": "0123456789ab", "strength": 1.0})


SIMULATE = Step("simulate_low_dose", {"dose_fraction": 0.25, "seed": 1})


def rich(dataset: Dataset, index: int) -> None:
    """Everything that the table of attributes has a row for, and more."""
    dataset.InstitutionName = "Hospital"
    dataset.StationName = "CT3"
    dataset.DeviceSerialNumber = "SN-77"
    dataset.SoftwareVersions = ["v1", "v2"]
    dataset.DateOfLastCalibration = "20240101"
    dataset.XRayTubeCurrent = "200"
    dataset.ExposureTime = "500"
    dataset.ExposureInuAs = "100000"
    dataset.CTDIvol = 8.0
    dataset.IrradiationEventUID = uid("event")
    dataset.SmallestImagePixelValue = 0
    dataset.LargestImagePixelValue = 4000
    dataset.PerformedProcedureStepID = "PPS1"
    dataset.PerformedProcedureStepDescription = "CT chest"
    dataset.InstanceCreatorUID = uid("creator")
    dataset.ImageComments = "breath hold"
    dataset.RetrieveAETitle = "ARCHIVE"
    icon = Dataset()
    icon.Rows = 2
    dataset.IconImageSequence = Sequence([icon])
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    request.add_new((0x0009, 0x0010), "LO", "NESTED PRIVATE")
    dataset.RequestAttributesSequence = Sequence([request])
    step = Dataset()
    step.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.3"
    step.ReferencedSOPInstanceUID = uid("pps")
    dataset.ReferencedPerformedProcedureStepSequence = Sequence([step])
    earlier = Dataset()
    earlier.Manufacturer = "Injector Inc"
    earlier.StationName = "INJ1"
    dataset.ContributingEquipmentSequence = Sequence([earlier])
    dataset.add_new((0x0009, 0x0010), "LO", "MAKER PRIVATE")
    dataset.add_new((0x0009, 0x1001), "LO", "secret")
    dataset.add_new((0x6000, 0x0010), "US", dataset.Rows)
    dataset.add_new((0x6000, 0x0011), "US", dataset.Columns)
    dataset.add_new((0x6000, 0x0100), "US", 1)
    dataset.add_new((0x6000, 0x0102), "US", 0)
    dataset.add_new((0x6000, 0x3000), "OW", bytes(dataset.Rows * dataset.Columns // 8))
    dataset.add_new((0x6002, 0x0100), "US", 16)
    dataset.add_new((0x6002, 0x0102), "US", 12)
    dataset.add_new((0x6004, 0x0100), "US", 1)  # without OverlayData
    dataset.add_new((0x5000, 0x3000), "OW", b"\0\0")


def read_source(folder: Path, **options: object) -> CTVolume:
    """A small series on disk, read back."""
    syntax = options.pop("syntax", ExplicitVRLittleEndian)
    volume = options.pop("volume", None) or marked_volume(slices=3, size=(32, 40))
    series_files(folder, ct_series(volume, **options), syntax=syntax)
    return read_volume(folder)


def derive(
    tmp_path: Path, step: Step = DENOISE, *, change_hu: float = 0.0, **options: object
) -> tuple[list[Dataset], list[Dataset]]:
    """Source and derived instances of a small series, slice by slice."""
    volume = read_source(tmp_path / "source", **options)
    hu = np.asarray(volume.hu + np.float32(change_hu))
    paths = write_series(volume.with_hu(hu, step), tmp_path / "derived")
    assert volume.source is not None
    sources = [pydicom.dcmread(one.path) for one in volume.source.instances]
    return sources, [pydicom.dcmread(path) for path in paths]


def raw_bytes(dataset: Dataset, keyword: str) -> bytes:
    return bytes(dataset.get_item(Tag(keyword)).value or b"")
