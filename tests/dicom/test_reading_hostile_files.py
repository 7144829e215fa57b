"""Forged and hostile files are refused before they cost memory; patients are never quoted."""

from __future__ import annotations

import logging
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from ctdenoise.errors import StudyError
from ctdenoise.io.decoder_process import DecoderProcess
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.dicom.builders import PATIENT_ID, as_bytes, ct_series, marked_volume, series_files

MEBIBYTE = 2**20


def one_file(path: Path, syntax: str = ExplicitVRLittleEndian) -> bytes:
    path.write_bytes(as_bytes(ct_series(marked_volume(slices=1))[0], syntax))
    return path.read_bytes()


def deflated(path: Path, dataset_bytes: bytes) -> None:
    """A deflated file with these bytes as its dataset."""
    whole = one_file(path, DeflatedExplicitVRLittleEndian)
    meta_length = int.from_bytes(whole[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(whole[: 144 + meta_length] + packer.compress(dataset_bytes) + packer.flush())


def test_a_deflate_bomb_is_never_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    element = b"\x09\x00\x01\x10OB\0\0" + (150 * MEBIBYTE).to_bytes(4, "little")
    deflated(path, element + bytes(150 * MEBIBYTE))
    assert path.stat().st_size < MEBIBYTE
    tracemalloc.start()
    try:
        with pytest.raises(StudyError):
            read_volume(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * MEBIBYTE


def test_deflated_pixels_beyond_the_header_are_not_inflated(tmp_path: Path) -> None:
    plain = one_file(tmp_path / "plain")
    start = 144 + int.from_bytes(plain[140:144], "little")
    trailing = b"\xfc\xff\xfc\xffOB\0\0" + (60 * MEBIBYTE).to_bytes(4, "little")
    deflated(tmp_path / "bomb", plain[start:] + trailing + bytes(60 * MEBIBYTE))
    with pytest.raises(StudyError, match="larger than its header allows"):
        read_volume(tmp_path / "bomb")


def test_a_forged_matrix_is_refused_before_decoding(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.Rows = dataset.Columns = 40_000

    series_files(tmp_path, ct_series(marked_volume(slices=1), edit=edit))
    with pytest.raises(StudyError, match="more than CT has"):
        read_volume(tmp_path)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_a_codestream_of_another_size_is_refused_before_decoding(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = one_file(tmp_path / "a", syntax)
    if syntax == JPEG2000Lossless:
        start = data.index(b"\xff\x4f\xff\x51") + 8
        forged = data[:start] + (40_000).to_bytes(4, "big") * 2 + data[start + 8 :]
    else:
        start = data.index(b"\xff\xf7") + 5
        forged = data[:start] + (40_000).to_bytes(2, "big") * 2 + data[start + 4 :]
    (tmp_path / "a").write_bytes(forged)

    def never(*args: object) -> None:
        pytest.fail("a forged codestream reached the decoder")

    monkeypatch.setattr(DecoderProcess, "send", never)
    with pytest.raises(StudyError, match="another size than its header says"):
        read_volume(tmp_path / "a")


def test_a_jpeg_header_over_other_bytes_is_refused(tmp_path: Path) -> None:
    data = one_file(tmp_path / "a", RLELossless)
    (tmp_path / "a").write_bytes(data.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.4.70"))
    with pytest.raises(StudyError):
        read_volume(tmp_path / "a")


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_no_bytes_get_past_the_reader_as_another_exception(tmp_path: Path, syntax: str) -> None:
    data = bytearray(one_file(tmp_path / "a", syntax))
    rng = np.random.default_rng(5)
    start = bytes(data).index(b"\xe0\x7f\x10\x00") + 12
    for trial in range(40):
        spoiled = bytearray(data)
        for position in rng.integers(start, len(data), 12):
            spoiled[position] = rng.integers(256)
        path = tmp_path / f"spoiled{trial}"
        path.write_bytes(spoiled)
        try:
            read_volume(path)
        except StudyError:
            continue


def test_no_header_bytes_get_past_the_reader_as_another_exception(tmp_path: Path) -> None:
    data = one_file(tmp_path / "a")
    rng = np.random.default_rng(6)
    for trial in range(150):
        spoiled = bytearray(data)
        for position in rng.integers(132, 1200, 3):
            spoiled[position] = rng.integers(256)
        path = tmp_path / f"spoiled{trial}"
        path.write_bytes(spoiled)
        try:
            read_volume(path)
        except StudyError:
            continue


def test_deeply_nested_sequences_are_refused_or_read(tmp_path: Path) -> None:
    data = one_file(tmp_path / "a")
    start = data.index(b"\xe0\x7f\x10\x00")
    nested = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 3000
    (tmp_path / "a").write_bytes(data[:start] + nested + data[start:])
    with pytest.raises(StudyError):
        read_volume(tmp_path / "a")


def test_nothing_about_the_patient_is_logged_warned_or_raised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        del dataset.RescaleSlope

    for path in series_files(tmp_path, ct_series(marked_volume(), edit=edit)):
        data = path.read_bytes().replace(b"20240102", b"2024.1.2").replace(b"ISO_IR", b"ISO-IR")
        path.write_bytes(data)
    logger = logging.getLogger("pydicom")
    before = (logger.propagate, list(warnings.filters))
    with caplog.at_level(logging.DEBUG), pytest.raises(StudyError) as caught:
        read_volume(tmp_path)
    said = caplog.text + str(caught.value)
    for secret in (PATIENT_ID, "Marker", "19500101", "2024.1.2", "ACC42"):
        assert secret not in said
    assert (logger.propagate, list(warnings.filters)) == before


def test_the_patient_key_names_nobody_and_is_the_same_for_all_series(tmp_path: Path) -> None:
    series_files(tmp_path / "a", ct_series(marked_volume(), series="1"))
    series_files(tmp_path / "b", ct_series(marked_volume(seed=1), series="2"))
    keys = {series.source.patient_key for series in find_series(tmp_path)}
    assert len(keys) == 1
    (key,) = keys
    assert len(key) == 8
    assert set(key) <= set("0123456789abcdef")


def test_descriptions_lose_their_control_characters(tmp_path: Path) -> None:
    for path in series_files(tmp_path, ct_series(marked_volume(slices=2))):
        path.write_bytes(path.read_bytes().replace(b"Series 1", b"S\x1b[31m 1"))
    assert find_series(tmp_path)[0].description == "S[31m 1"
