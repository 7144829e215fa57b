"""Defects of a derived series, each with the rule that must notice it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.dicom.builders import uid
from tests.dicom.planting import (
    Series,
    add_code,
    add_nameless_equipment,
    add_nested_name,
    add_nested_private,
    add_private,
    add_sequence,
    add_signature,
    add_slice,
    change_code,
    change_meta,
    change_purpose,
    cut_off,
    drop_equipment_code,
    drop_purpose,
    drop_scanner,
    drop_slice,
    exceed_bits,
    fill_preamble,
    fill_with_zeros,
    from_source,
    in_all,
    in_one,
    in_pixels,
    land_on_padding,
    move,
    name_other_series,
    name_the_patient,
    name_wrong_slice,
    repeat_uid,
    restore_pixels,
    reuse_source_uid,
    shift,
    swap_pixels,
    touch_padding,
    with_bytes,
    with_element,
    with_values,
    without,
)


@dataclass(frozen=True)
class Mutation:
    """One defect.

    Args:
        name: What is wrong, in words.
        rule: The rule that must object.
        plant: Puts the defect into the files.
        companions: Other rules that rightly object as well.
        simulated: Whether it is planted into a simulated series.
    """

    name: str
    rule: str
    plant: Callable[[Series], None]
    companions: frozenset[str] = frozenset()
    simulated: bool = False


def _of(*names: str) -> frozenset[str]:
    return frozenset(names)


MUTATIONS = (
    Mutation("the file is no DICOM", "unreadable", fill_with_zeros, _of("missing-slice")),
    Mutation("preamble of a program", "preamble", fill_preamble),
    Mutation("MediaStorageSOPInstanceUID differs", "file-meta", in_one(change_meta)),
    Mutation(
        "UID with a leading zero", "uid-form", in_one(with_bytes("IrradiationEventUID", b"1.02"))
    ),
    Mutation(
        "DS of 18 characters",
        "value-form",
        in_one(with_bytes("TableHeight", b"150.00000000000001")),
    ),
    Mutation("LO of 70 characters", "value-form", in_one(with_bytes("ProtocolName", b"A" * 70))),
    Mutation(
        "DA with dots", "value-form", in_one(with_bytes("DateOfSecondaryCapture", b"2024.01.02"))
    ),
    Mutation(
        "not ASCII, no character set",
        "character-set",
        in_one(with_bytes("ProtocolName", b"R\xf6hre ")),
    ),
    Mutation(
        "another SOP class",
        "sop-class",
        in_one(with_values(SOPClassUID="1.2.840.10008.5.1.4.1.1.7")),
        _of("file-meta", "varies"),
    ),
    Mutation("no rescale", "type-1", in_one(without("RescaleSlope")), _of("storage")),
    Mutation("no position", "type-1", in_one(without("ImagePositionPatient")), _of("geometry")),
    Mutation("no pixels", "type-1", in_one(without("PixelData")), _of("pixels-unreadable")),
    Mutation("no SliceThickness", "type-2", in_one(without("SliceThickness")), _of("geometry")),
    Mutation("no StudyID", "type-2", in_one(without("StudyID")), _of("other-study")),
    Mutation(
        "ImageType ORIGINAL\\PRIMARY",
        "image-type",
        in_all(with_values(ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])),
    ),
    Mutation(
        "ImageType of one value", "image-type-values", in_all(with_values(ImageType="DERIVED"))
    ),
    Mutation(
        "ImageType 3 is DENOISED",
        "image-type-values",
        in_all(with_values(ImageType=["DERIVED", "SECONDARY", "DENOISED"])),
    ),
    Mutation(
        "no DerivationDescription",
        "derivation-description",
        in_all(without("DerivationDescription")),
    ),
    Mutation(
        "no DerivationCodeSequence", "derivation-code", in_all(without("DerivationCodeSequence"))
    ),
    Mutation("two derivation codes", "derivation-code", in_all(add_code)),
    Mutation("wrong derivation code", "derivation-code", in_all(change_code)),
    Mutation(
        "contributing equipment without scanner", "contributing-equipment", in_all(drop_scanner)
    ),
    Mutation(
        "contributing equipment without code", "contributing-equipment", in_all(drop_equipment_code)
    ),
    Mutation(
        "contributing equipment without Manufacturer",
        "contributing-equipment",
        in_all(add_nameless_equipment),
    ),
    Mutation(
        "Manufacturer is the scanner's",
        "equipment",
        from_source("Manufacturer", "ManufacturerModelName"),
    ),
    Mutation(
        "serial number of the scanner",
        "scanner-identity",
        in_all(with_values(DeviceSerialNumber="SN-77")),
    ),
    Mutation("station of the scanner", "scanner-identity", in_all(with_values(StationName="CT3"))),
    Mutation(
        "performed procedure step",
        "performed-step",
        in_all(with_values(PerformedProcedureStepID="P1")),
    ),
    Mutation("digital signature", "stale-elements", in_one(add_signature)),
    Mutation("icon of the old pixels", "stale-elements", in_one(add_sequence("IconImageSequence"))),
    Mutation("largest pixel value", "stale-elements", in_one(with_element(0x00280107, "US", 4000))),
    Mutation("private elements", "private-elements", in_one(add_private)),
    Mutation("private elements in a sequence", "private-elements", in_one(add_nested_private)),
    Mutation(
        "SyntheticData missing", "synthetic-data", in_all(without("SyntheticData")), simulated=True
    ),
    Mutation(
        "no word SIMULATED",
        "simulated-words",
        in_all(with_values(SeriesDescription="Low dose")),
        simulated=True,
    ),
    Mutation("dated in the future", "dates", in_all(with_values(SeriesDate="20990101"))),
    Mutation("dated before its source", "dates", in_all(with_values(ContentDate="19000101"))),
    Mutation("SOPInstanceUID twice", "identity-repeated", repeat_uid),
    Mutation(
        "FrameOfReferenceUID varies",
        "varies",
        in_one(with_values(FrameOfReferenceUID=uid("other"))),
        _of("frame-of-reference"),
    ),
    Mutation(
        "Manufacturer varies", "varies", in_one(with_values(Manufacturer="Other")), _of("equipment")
    ),
    Mutation("SeriesDescription varies", "varies", in_one(with_values(SeriesDescription="Other"))),
    Mutation("SeriesNumber varies", "varies", in_one(with_values(SeriesNumber="77"))),
    Mutation("ContentTime varies", "moment", in_one(with_values(ContentTime="000001"))),
    Mutation("SeriesNumber of the source", "series-name", from_source("SeriesNumber")),
    Mutation("SeriesDescription of the source", "series-name", from_source("SeriesDescription")),
    Mutation("SOPInstanceUID of the source", "identity-reused", reuse_source_uid),
    Mutation(
        "SeriesInstanceUID of the source", "identity-reused", from_source("SeriesInstanceUID")
    ),
    Mutation("another patient", "other-patient", in_all(with_values(PatientName="Other^One"))),
    Mutation("another study", "other-study", in_all(with_values(StudyDate="19990101"))),
    Mutation(
        "another frame of reference",
        "frame-of-reference",
        in_all(with_values(FrameOfReferenceUID=uid("other"))),
    ),
    Mutation("moved by 0.1 mm", "geometry", in_one(move)),
    Mutation("another pixel spacing", "geometry", in_all(with_values(PixelSpacing=["0.5", "0.5"]))),
    Mutation(
        "another rescale", "storage", in_all(with_values(RescaleIntercept="-1000")), _of("hu-shift")
    ),
    Mutation("another window", "window", in_all(with_values(WindowCenter="0"))),
    Mutation("another kernel", "acquisition", in_all(with_values(ConvolutionKernel="OTHER"))),
    Mutation("exposure scaled though not simulated", "dose", in_all(with_values(Exposure="7"))),
    Mutation("exposure not scaled", "dose", from_source("Exposure"), simulated=True),
    Mutation(
        "LossyImageCompression reset", "lossy", in_all(with_values(LossyImageCompression="00"))
    ),
    Mutation("patient's name in a sequence", "nested-identity", in_one(add_nested_name)),
    Mutation("patient's name in the derivation", "identity-in-text", in_one(name_the_patient)),
    Mutation("no SourceImageSequence", "source-reference", in_all(without("SourceImageSequence"))),
    Mutation("no purpose of reference", "purpose-of-reference", in_all(drop_purpose)),
    Mutation("wrong purpose of reference", "purpose-of-reference", in_all(change_purpose)),
    Mutation("wrong slice referenced", "wrong-source", name_wrong_slice),
    Mutation("another series referenced", "series-reference", in_all(name_other_series)),
    Mutation("a slice is missing", "missing-slice", drop_slice),
    Mutation("a slice is there twice", "extra-slice", add_slice),
    Mutation("pixels cut off", "pixel-length", cut_off),
    Mutation(
        "BitsStored 8",
        "stored-range",
        in_all(with_values(BitsStored=8, HighBit=7)),
        _of("storage", "hu-offset", "padding-landed"),
    ),
    Mutation("a value above BitsStored", "stored-range", in_one(in_pixels(exceed_bits))),
    Mutation("padding touched", "padding-changed", in_one(in_pixels(touch_padding))),
    Mutation("a pixel lands on padding", "padding-landed", in_one(in_pixels(land_on_padding))),
    Mutation("values shifted by 20 HU", "hu-shift", in_one(in_pixels(shift(20)))),
    Mutation("values shifted by 200 HU", "hu-offset", in_one(in_pixels(shift(200)))),
    Mutation("nothing was changed", "unchanged", restore_pixels),
    Mutation("pixels of two slices swapped", "swapped", swap_pixels, _of("hu-shift")),
)
