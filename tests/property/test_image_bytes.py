"""Spoiled image files are read or refused in words, whatever the bytes say."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctdenoise.errors import CTDenoiseError
from ctdenoise.io.image_writer import write_image
from ctdenoise.io.read import read_volume
from ctdenoise.io.study import find_series
from tests.builders import water_disc

VOLUME = water_disc(slices=2, size=8)
WORDS = [b"-1", b"0", b"nan", b"1e308", b"99999999999", b"=", b":", b"(", b"\n", b"\xff\xff", b""]
META_KEYS = ["DimSize", "ElementSpacing", "TransformMatrix", "Offset", "NDims", "HeaderSize"]
NRRD_KEYS = ["sizes", "space directions", "space origin", "dimension", "byte skip", "line skip"]
SUFFIXES = [".nii", ".nii.gz", ".mha", ".nrrd"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], bytes]:
    """The bytes of one small image in every format, plain and compressed."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        (suffix, packed): write_image(VOLUME, folder / f"a{suffix}", packed=packed).read_bytes()
        for suffix in SUFFIXES
        for packed in (False, True)
    }


def read_or_refused(data: bytes, suffix: str) -> None:
    """Read a file of these bytes; anything but our own errors fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(data)
        with suppress(CTDenoiseError):
            (found,) = find_series(path)
            if found.geometry is not None and found.readable:
                assert read_volume(path).shape == found.geometry.shape


@given(
    suffix=st.sampled_from(SUFFIXES),
    packed=st.booleans(),
    start=st.integers(0, 600),
    length=st.integers(0, 20),
    put=st.one_of(st.sampled_from(WORDS), st.binary(max_size=8)),
)
@settings(max_examples=400, deadline=None)
def test_bytes_replaced_in_the_header(
    whole: dict[tuple[str, bool], bytes],
    suffix: str,
    packed: bool,
    start: int,
    length: int,
    put: bytes,
) -> None:
    data = whole[suffix, packed]
    read_or_refused(data[:start] + put + data[start + length :], suffix)


@given(suffix=st.sampled_from(SUFFIXES), packed=st.booleans(), share=st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_files_cut_anywhere(
    whole: dict[tuple[str, bool], bytes], suffix: str, packed: bool, share: float
) -> None:
    data = whole[suffix, packed]
    read_or_refused(data[: int(share * len(data))], suffix)


@given(
    suffix=st.sampled_from([".mha", ".nrrd"]),
    key=st.sampled_from(META_KEYS + NRRD_KEYS),
    value=st.text("0123456789.-+eE()nan, ", max_size=40),
)
@settings(max_examples=300, deadline=None)
def test_any_numbers_in_a_text_header(
    whole: dict[tuple[str, bool], bytes], suffix: str, key: str, value: str
) -> None:
    sign = " = " if suffix == ".mha" else ": "
    lines = whole[suffix, False].split(b"\n")
    names = [line.split(sign.encode())[0] for line in lines]
    line = f"{key}{sign}{value}".encode()
    at = names.index(key.encode()) if key.encode() in names else 2
    read_or_refused(b"\n".join([*lines[:at], line, *lines[at + 1 :]]), suffix)
