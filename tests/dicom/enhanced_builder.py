"""An Enhanced CT object as a scanner writes it, complete enough for a validator of the standard."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from ctdenoise.core.volume import CTVolume
from tests.dicom.builders import ct_series, multi_frame, uid

_IMAGE_TYPE = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
_CLASSIC_ONLY = (
    *("ConvolutionKernel", "Exposure", "KVP", "AcquisitionNumber", "AcquisitionDate"),
    *("AcquisitionTime", "WindowCenter", "WindowWidth", "BodyPartExamined"),
)
"""What a classic header holds and an Enhanced CT object keeps in its functional groups."""


def enhanced_ct(volume: CTVolume, *, order: Sequence[int] | None = None) -> Dataset:
    """All slices of a volume as the frames of one Enhanced CT object (PS3.3 A.38).

    Args:
        volume: What to write.
        order: Slice of each frame; ascending by default.
    """
    order = range(volume.shape[0]) if order is None else order
    dataset = multi_frame(volume, order=order, sop_class=EnhancedCTImageStorage)
    window = Dataset()
    window.WindowCenter, window.WindowWidth = "40", "400"
    for keyword in _CLASSIC_ONLY:
        if keyword in dataset:
            delattr(dataset, keyword)
    _fill_top(dataset)
    _fill_shared(dataset.SharedFunctionalGroupsSequence[0], window)
    singles = ct_series(volume)
    for number, (frame, index) in enumerate(
        zip(dataset.PerFrameFunctionalGroupsSequence, order, strict=True)
    ):
        content = frame.FrameContentSequence[0]
        content.FrameAcquisitionDateTime = content.FrameReferenceDateTime = "20240102101212"
        content.FrameAcquisitionDuration = 500.0
        content.InStackPositionNumber = index + 1
        content.DimensionIndexValues = [1, index + 1]
        exposure = _item(
            ExposureTimeInms=500.0,
            XRayTubeCurrentInmA=200.0,
            ExposureInmAs=float(singles[index].Exposure),
            ExposureModulationType="NONE",
            CTDIvol=8.0 + number / 100,
        )
        phantom = _coded("113691", "IEC Body Dosimetry Phantom")
        exposure.CTDIPhantomTypeCodeSequence = [phantom]
        frame.CTExposureSequence = [exposure]
    return dataset


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _coded(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _fill_top(dataset: Dataset) -> None:
    dataset.ImageType = _IMAGE_TYPE
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.AcquisitionDateTime = "20240102101212"
    dataset.AcquisitionDuration = 5.0
    dataset.DeviceSerialNumber = "1"
    dataset.SoftwareVersions = "1"
    dataset.ContentQualification = "PRODUCT"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.AcquisitionContextSequence = []
    dataset.InstanceNumber = "1"
    dataset.PositionReferenceIndicator = ""
    organization = uid("dimensions")
    dataset.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    dataset.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=0x00209111,  # FrameContentSequence
        )
        for pointer in (0x00209056, 0x00209057)  # StackID, InStackPositionNumber
    ]


def _fill_shared(shared: Dataset, window: Dataset) -> None:
    frame_type = _item(
        FrameType=_IMAGE_TYPE,
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    shared.CTImageFrameTypeSequence = [frame_type]
    anatomy = _item(FrameLaterality="U")
    anatomy.AnatomicRegionSequence = [_coded("51185008", "Chest", "SCT")]
    shared.FrameAnatomySequence = [anatomy]
    shared.FrameVOILUTSequence = [window]
    shared.IrradiationEventIdentificationSequence = [_item(IrradiationEventUID=uid("event"))]
    shared.CTAcquisitionTypeSequence = [
        _item(
            AcquisitionType="SEQUENCED",
            ConstantVolumeFlag="NO",
            FluoroscopyFlag="NO",
        )
    ]
    shared.CTAcquisitionDetailsSequence = [
        _item(
            RotationDirection="CW",
            RevolutionTime=0.5,
            SingleCollimationWidth=0.625,
            TotalCollimationWidth=40.0,
            TableHeight=100.0,
            GantryDetectorTilt="0",
            DataCollectionDiameter="500",
        )
    ]
    shared.CTTableDynamicsSequence = [_item(TableFeedPerRotation=20.0)]
    shared.CTPositionSequence = [
        _item(
            TablePosition=0.0,
            DataCollectionCenterPatient=[0.0, 0.0, 0.0],
            ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0],
        )
    ]
    shared.CTGeometrySequence = [
        _item(DistanceSourceToDetector="950", DistanceSourceToDataCollectionCenter=540.0)
    ]
    shared.CTReconstructionSequence = [
        _item(
            ReconstructionAlgorithm="FILTER_BACK_PROJ",
            ConvolutionKernel="STANDARD",
            ConvolutionKernelGroup="GENERAL",
            ReconstructionDiameter="300",
            ReconstructionPixelSpacing=list(shared.PixelMeasuresSequence[0].PixelSpacing),
            ReconstructionAngle=360.0,
            ImageFilter="NONE",
        )
    ]
    shared.CTXRayDetailsSequence = [_item(KVP="120", FocalSpots="1.2", FilterType="NONE")]
