"""What rules of a server look at in a found series, its own products recognised among it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydicom.dataset import Dataset

from ctdenoise.core.orientation import plane
from ctdenoise.core.series_facts import ArrivedBy, SeriesFacts
from ctdenoise.io.dicom_derivation import LAST_WORDS, PRODUCT
from ctdenoise.io.dicom_file import DamagedFileError, quiet_pydicom, read_header
from ctdenoise.io.dicom_values import HeaderValues
from ctdenoise.io.study import FoundSeries

_SYNTHESIZING = "109100"
"""Code of equipment that made artificial content (DCM, PS3.16 CID 7005): a phantom of ours may be
sent to a server to try it."""


def rule_facts(series: FoundSeries, entrances: Mapping[str, ArrivedBy]) -> SeriesFacts:
    """What is known of a series and of how it came.

    The sender is the SourceApplicationEntityTitle of the file meta group, which the inbox writes.

    Args:
        series: As `find_series` gives it, readable or not.
        entrances: How series came whose sender has one of these titles; all others were sent over
            the network.
    """
    facts = SeriesFacts(
        what=series.what,
        slices=series.slices,
        plane="" if series.geometry is None else plane(series.geometry),
        acquisition=series.acquisition,
        series_description=series.description,
    )
    if series.kind != "dicom":
        return facts
    first = series.headers[0]
    try:
        header = read_header(first.path).dataset
    except (DamagedFileError, OSError):
        header = Dataset()
    with quiet_pydicom():
        values = HeaderValues(header, ())
        meta = HeaderValues(getattr(header, "file_meta", Dataset()), ())
        sender = meta.text("SourceApplicationEntityTitle")
        return replace(
            facts,
            modality=first.modality,
            protocol=values.text("ProtocolName"),
            study_description=values.text("StudyDescription"),
            series_description=first.description,
            image_type="/".join(first.image_type),
            sender=sender,
            arrived_by=entrances.get(sender, "dimse"),
            made_by_us=_made_by_us(values, first.steps),
        )


def _made_by_us(values: HeaderValues, steps: tuple[str, ...]) -> str:
    """Why a header shows that this program derived it, or that something was derived from that.

    Descriptions are no evidence: people and archives change them.
    """
    if not {"phantom", LAST_WORDS}.issuperset(steps):
        return "it is a derived series of ctdenoise"
    if values.text("Manufacturer") == PRODUCT and values.text("ImageType").startswith("DERIVED"):
        return "its equipment is ctdenoise"
    for item in values.items("ContributingEquipmentSequence"):
        equipment = HeaderValues(item, ())
        purposes = [
            HeaderValues(code, ()).text("CodeValue")
            for code in equipment.items("PurposeOfReferenceCodeSequence")
        ]
        if equipment.text("Manufacturer") == PRODUCT and _SYNTHESIZING not in purposes:
            return "ctdenoise contributed to it"
    return ""
