"""Words for kinds of instances: "CT" only where Hounsfield units can be."""

from __future__ import annotations

import pytest

from ctdenoise.io.dicom_kinds import CT_IMAGE, ENHANCED_CT, what_it_is
from ctdenoise.io.dicom_slice import patient_key


@pytest.mark.parametrize(
    ("sop_class", "modality", "image_type", "what"),
    [
        (CT_IMAGE, "CT", ("ORIGINAL", "PRIMARY", "AXIAL"), "CT"),
        (ENHANCED_CT, "CT", ("ORIGINAL", "PRIMARY", "VOLUME", "NONE"), "CT"),
        (CT_IMAGE, "", ("ORIGINAL", "PRIMARY", "AXIAL"), "CT"),
        ("", "CT", (), "CT"),
        (CT_IMAGE, "CT", ("ORIGINAL", "PRIMARY", "LOCALIZER "), "scout"),
        ("1.2.840.10008.5.1.4.1.1.7", "CT", ("DERIVED", "SECONDARY", "DOSE_INFO"), "dose report"),
        ("1.2.840.10008.5.1.4.1.1.7.4", "CT", ("DERIVED",), "secondary capture"),
        ("1.2.840.10008.5.1.4.1.1.88.67", "SR", (), "dose report"),
        ("1.2.840.10008.5.1.4.1.1.88.22", "SR", (), "structured report"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "PR", (), "presentation state"),
        ("1.2.840.10008.5.1.4.1.1.4", "MR", (), "MR object"),
        ("", "", (), "unknown DICOM object"),
    ],
)
def test_instances_are_named_for_what_they_are(
    sop_class: str, modality: str, image_type: tuple[str, ...], what: str
) -> None:
    assert what_it_is(sop_class, modality, image_type) == what


def test_the_patient_key_is_the_start_of_a_sha256() -> None:
    # sha256("4711" + "HOSPITAL") by an independent tool.
    assert patient_key("4711", "HOSPITAL") == "285032f3"


def test_without_a_patient_id_there_is_no_key() -> None:
    assert patient_key("", "HOSPITAL") == ""


def test_equal_ids_of_other_issuers_are_other_patients() -> None:
    assert patient_key("1", "A") != patient_key("1", "B")
