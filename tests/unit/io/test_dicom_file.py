"""Opening DICOM files: what is taken for one, and what is left as it was."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless

from ctdenoise.io.dicom_file import (
    looks_like_dicom,
    quiet_pydicom,
    read_header,
    read_instance,
    transfer_syntax,
)
from tests.dicom.builders import as_bytes, ct_series, marked_volume


@pytest.fixture
def dataset():
    return ct_series(marked_volume(slices=1))[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"DICM", b"# plain text that is longer than the preamble " * 5, bytes(400), b"\x89PNG"],
)
def test_other_files_are_not_taken_for_dicom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(content)
    assert not looks_like_dicom(path)


@pytest.mark.parametrize(
    "syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless]
)
def test_header_and_instance_keep_their_transfer_syntax(
    tmp_path: Path, dataset, syntax: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(as_bytes(dataset, syntax))
    header = read_header(path)
    assert transfer_syntax(header.dataset) == syntax
    assert header.has_pixels
    assert not header.truncated
    assert "PixelData" not in header.dataset
    whole = read_instance(path, most_pixel_bytes=40 * 36 * 2)
    assert transfer_syntax(whole) == syntax
    assert "PixelData" in whole


def test_a_header_without_meta_gets_the_syntax_it_is_written_in(tmp_path: Path, dataset) -> None:
    path = tmp_path / "file"
    path.write_bytes(as_bytes(dataset, file_meta=False))
    assert looks_like_dicom(path)
    assert transfer_syntax(read_header(path).dataset) == "1.2.840.10008.1.2.1"


def test_quiet_leaves_logging_and_warnings_as_they_were() -> None:
    logger = logging.getLogger("pydicom")
    before = (logger.propagate, list(warnings.filters))
    with quiet_pydicom():
        warnings.warn("quoted value", UserWarning, stacklevel=1)  # an error, were it not quiet
        assert not logger.propagate
    assert (logger.propagate, list(warnings.filters)) == before
