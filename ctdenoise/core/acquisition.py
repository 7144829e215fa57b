"""How a series was acquired and reconstructed, as far as its header says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Facts of the scan that the simulator, the trainer and the report read.

    Every field may be unknown. Header dose is a hint, never evidence: low-dose files on public
    servers often carry the full-dose exposure.

    Args:
        manufacturer: Maker of the scanner.
        manufacturer_model_name: Model of the scanner.
        kvp: Peak tube voltage, kV.
        exposure_mas: Exposure of each slice, mAs; empty where unknown.
        slice_thickness_mm: Nominal thickness of a slice.
        convolution_kernel: Reconstruction kernel, as the maker names it ("a/b" for two values).
        distance_source_to_patient_mm: Focal spot to isocentre.
        distance_source_to_detector_mm: Focal spot to detector.
        reconstruction_diameter_mm: Diameter of the reconstructed field.
        reconstruction_centre_offset_mm: Isocentre relative to the centre of the image, along the
            (column index, row index) directions; None where unknown.
        ctdi_vol_mgy: Dose index of the series, mGy.
        body_part_examined: As the header says.
        patient_position: HFS, FFS, ...
        filter_type: Beam filter, as the header says.
        exposure_modulation_type: How the tube current followed the patient, as the header says
            ("a/b" for two values).
    """

    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    kvp: float | None = None
    exposure_mas: tuple[float, ...] = ()
    slice_thickness_mm: float | None = None
    convolution_kernel: str | None = None
    distance_source_to_patient_mm: float | None = None
    distance_source_to_detector_mm: float | None = None
    reconstruction_diameter_mm: float | None = None
    reconstruction_centre_offset_mm: tuple[float, float] | None = None
    ctdi_vol_mgy: float | None = None
    body_part_examined: str | None = None
    patient_position: str | None = None
    filter_type: str | None = None
    exposure_modulation_type: str | None = None

    def select(self, indices: Sequence[int]) -> Acquisition:
        """The same facts for some of the slices.

        Args:
            indices: Which, in order.
        """
        if not self.exposure_mas:
            return self
        return replace(self, exposure_mas=tuple(self.exposure_mas[index] for index in indices))
