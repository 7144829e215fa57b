"""Ways to spoil the files of a derived series, in place: through pydicom or byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from ctdenoise.io.dicom_file import quiet_pydicom
from tests.dicom.builders import uid

Edit = Callable[[Dataset], None]


@dataclass(frozen=True)
class Series:
    """Derived files with their sources, slice by slice."""

    derived: list[Path]
    source: list[Path]


def _rewrite(path: Path, edit: Edit) -> None:
    with quiet_pydicom():
        dataset = pydicom.dcmread(path)
        edit(dataset)
        dataset.save_as(path)


def in_all(edit: Edit) -> Callable[[Series], None]:
    def plant(series: Series) -> None:
        for path in series.derived:
            _rewrite(path, edit)

    return plant


def in_one(edit: Edit) -> Callable[[Series], None]:
    return lambda series: _rewrite(series.derived[1], edit)


def with_values(**values: object) -> Edit:
    def edit(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def without(*keywords: str) -> Edit:
    def edit(dataset: Dataset) -> None:
        for keyword in keywords:
            dataset.pop(keyword, None)

    return edit


def with_element(tag: int, vr: str, value: object) -> Edit:
    return lambda dataset: dataset.add_new(tag, vr, value)


def with_bytes(keyword: str, value: bytes) -> Edit:
    """Bytes that pydicom would not write."""

    def edit(dataset: Dataset) -> None:
        element = dataset[keyword]
        raw = pydicom.dataelem.RawDataElement(
            element.tag, element.VR, len(value), value, 0, False, True
        )
        dataset[element.tag] = raw

    return edit


def from_source(*keywords: str) -> Callable[[Series], None]:
    def plant(series: Series) -> None:
        for derived, source in zip(series.derived, series.source, strict=True):
            old = pydicom.dcmread(source)
            _rewrite(derived, with_values(**{keyword: old[keyword].value for keyword in keywords}))

    return plant


def reuse_source_uid(series: Series) -> None:
    old = pydicom.dcmread(series.source[1]).SOPInstanceUID

    def edit(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = old

    _rewrite(series.derived[1], edit)


def repeat_uid(series: Series) -> None:
    other = pydicom.dcmread(series.derived[0]).SOPInstanceUID

    def edit(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = other

    _rewrite(series.derived[1], edit)


def change_meta(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()


def drop_purpose(dataset: Dataset) -> None:
    del dataset.SourceImageSequence[0].PurposeOfReferenceCodeSequence


def change_purpose(dataset: Dataset) -> None:
    code = dataset.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "121320", "Uncompressed predecessor"


def name_wrong_slice(series: Series) -> None:
    other = pydicom.dcmread(series.source[0]).SOPInstanceUID

    def edit(dataset: Dataset) -> None:
        dataset.SourceImageSequence[0].ReferencedSOPInstanceUID = other

    _rewrite(series.derived[1], edit)


def swap_pixels(series: Series) -> None:
    first, second = (pydicom.dcmread(path).PixelData for path in series.derived[:2])
    _rewrite(series.derived[0], with_values(PixelData=second))
    _rewrite(series.derived[1], with_values(PixelData=first))


def restore_pixels(series: Series) -> None:
    from_source("PixelData")(series)


def in_pixels(change: Callable[[np.ndarray, Dataset], None]) -> Edit:
    def edit(dataset: Dataset) -> None:
        dtype = "<i2" if dataset.PixelRepresentation else "<u2"
        words = np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)
        words = words.copy()
        change(words, dataset)
        dataset.PixelData = words.tobytes()

    return edit


def _padding(dataset: Dataset) -> int:
    value = int(dataset.PixelPaddingValue)
    return value - 65536 if dataset.PixelRepresentation and value > 32767 else value


def touch_padding(words: np.ndarray, dataset: Dataset) -> None:
    words[words == _padding(dataset)] = 1000


def land_on_padding(words: np.ndarray, dataset: Dataset) -> None:
    row, column = np.argwhere(words != _padding(dataset))[0]
    words[row, column] = _padding(dataset)


def shift(stored: int) -> Callable[[np.ndarray, Dataset], None]:
    def change(words: np.ndarray, dataset: Dataset) -> None:
        words[words != _padding(dataset)] += stored

    return change


def exceed_bits(words: np.ndarray, dataset: Dataset) -> None:
    words[16, 20] = 1 << 14 | 500


def add_private(dataset: Dataset) -> None:
    dataset.add_new((0x0009, 0x0010), "LO", "MAKER")


def add_nested_private(dataset: Dataset) -> None:
    dataset.SourceImageSequence[0].add_new((0x0009, 0x0010), "LO", "MAKER")


def add_nested_name(dataset: Dataset) -> None:
    dataset.ContributingEquipmentSequence[-1].PatientName = dataset.PatientName


def name_the_patient(dataset: Dataset) -> None:
    name = str(dataset.PatientName).split("^")[0]
    dataset.DerivationDescription = f"{dataset.DerivationDescription} for {name}"


def drop_scanner(dataset: Dataset) -> None:
    dataset.ContributingEquipmentSequence.pop()


def drop_equipment_code(dataset: Dataset) -> None:
    for item in dataset.ContributingEquipmentSequence:
        item.pop("PurposeOfReferenceCodeSequence", None)


def add_nameless_equipment(dataset: Dataset) -> None:
    first = Dataset()
    first.StationName = "A"
    dataset.ContributingEquipmentSequence.insert(0, first)


def add_code(dataset: Dataset) -> None:
    dataset.DerivationCodeSequence.append(dataset.DerivationCodeSequence[0])


def change_code(dataset: Dataset) -> None:
    dataset.DerivationCodeSequence[0].CodeValue = "113091"


def add_sequence(keyword: str) -> Edit:
    item = Dataset()
    item.Rows = 2
    return with_values(**{keyword: Sequence([item])})


def add_signature(dataset: Dataset) -> None:
    item = Dataset()
    item.MACIDNumber = 1
    dataset.add_new(0xFFFAFFFA, "SQ", Sequence([item]))


def fill_preamble(series: Series) -> None:
    data = series.derived[1].read_bytes()
    series.derived[1].write_bytes(b"MZ" + data[2:])


def cut_off(series: Series) -> None:
    data = series.derived[1].read_bytes()
    series.derived[1].write_bytes(data[:-100])


def fill_with_zeros(series: Series) -> None:
    series.derived[1].write_bytes(bytes(300))


def drop_slice(series: Series) -> None:
    series.derived.pop(1).unlink()


def add_slice(series: Series) -> None:
    path = series.derived[1].with_name("more.dcm")
    path.write_bytes(series.derived[1].read_bytes())
    new = uid("one more")

    def edit(dataset: Dataset) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = new

    _rewrite(path, edit)
    series.derived.append(path)


def name_other_series(dataset: Dataset) -> None:
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = uid("another")


def move(dataset: Dataset) -> None:
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x, y, f"{float(z) + 0.1:g}"]
