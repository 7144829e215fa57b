"""Every transfer syntax holds the same image, in the eyes of decoders that are not ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets
from pydicom.pixels import get_decoder
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSNearLossless

from ctdenoise.config.dicom import DicomSettings, TransferSyntax
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.io.dicom_encoding import TRANSFER_SYNTAXES
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, raw_bytes, rich
from tests.dicom.validators import errors_of

ALL: tuple[TransferSyntax, ...] = (
    "explicit",
    "implicit",
    "deflated",
    "rle",
    "jpeg-ls",
    "jpeg2000",
)
COMPRESSED: tuple[TransferSyntax, ...] = ("rle", "jpeg-ls", "jpeg2000")
SLOPE = 0.25  # 16 bits of Hounsfield units would not be believed
SLOPE_OF_FEW_BITS = 8.0  # 256 values must reach over the HU of a body
TOOLS = {"rle": "dcmdrle", "jpeg-ls": "dcmdjpls"}


def source_words(*, stored: int, signed: bool, garbage: bool = False) -> np.ndarray:
    """Words that use every bit of a stored value; with garbage, bits above it as well."""
    low, high = (
        (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    )
    words = np.random.default_rng(stored).integers(low, high + 1, (40, 36), dtype=np.int64)
    words[0, :2] = low, high
    return words.astype("<i2" if signed else "<u2")


def derived(
    tmp_path: Path,
    syntax: TransferSyntax,
    words: np.ndarray,
    *,
    stored: int,
    signed: bool,
    padding_value: int | None = None,
) -> tuple[Dataset, Path]:
    """A slice with these words, and the file of its derived slice with the same pixels."""

    def edit(dataset: Dataset, index: int) -> None:
        rich(dataset, index)
        dataset.BitsStored, dataset.HighBit = stored, stored - 1
        dataset.PixelData = words.tobytes()

    series = ct_series(
        marked_volume(slices=1),
        edit=edit,
        slope=SLOPE if stored > 8 else SLOPE_OF_FEW_BITS,
        signed=signed,
        padding_value=padding_value,
    )
    series_files(tmp_path / "source", series)
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    settings = DicomSettings(transfer_syntax=syntax)
    (path,) = write_series(volume, tmp_path / syntax, settings=settings)
    return series[0], path


def decoded_by_all(path: Path, tmp_path: Path) -> dict[str, np.ndarray]:
    """Stored values by every decoder that is installed."""
    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    found = {"pydicom": dataset.pixel_array}
    if syntax.is_compressed and not syntax.is_deflated:
        for plugin in get_decoder(syntax).available_plugins:
            found[plugin], _ = get_decoder(syntax).as_array(
                dataset, index=0, raw=True, decoding_plugin=plugin
            )
    found["SimpleITK"] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    found["SimpleITK"] = np.rint(
        (found["SimpleITK"] - dataset.RescaleIntercept) / dataset.RescaleSlope
    )
    tool = TOOLS.get(next((name for name in TOOLS if TRANSFER_SYNTAXES[name] == syntax), ""))
    if tool and shutil.which(tool):
        plain = tmp_path / "plain.dcm"
        subprocess.run([tool, str(path), str(plain)], check=True, capture_output=True)
        found[tool] = pydicom.dcmread(plain).pixel_array
    return found


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize(
    ("stored", "signed"), [(12, False), (16, False), (12, True), (16, True), (13, True)]
)
def test_every_decoder_gets_every_stored_value_back(
    tmp_path: Path, syntax: TransferSyntax, stored: int, signed: bool
) -> None:
    words = source_words(stored=stored, signed=signed)
    _, path = derived(tmp_path, syntax, words, stored=stored, signed=signed)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
    for name, values in decoded_by_all(path, tmp_path).items():
        np.testing.assert_array_equal(values.astype(int), words.astype(int), err_msg=name)


@pytest.mark.parametrize("syntax", ALL)
def test_words_of_few_bits_survive(tmp_path: Path, syntax: TransferSyntax) -> None:
    words = source_words(stored=8, signed=False)
    _, path = derived(tmp_path, syntax, words, stored=8, signed=False)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
    for name, values in decoded_by_all(path, tmp_path).items():
        np.testing.assert_array_equal(values.astype(int), words.astype(int), err_msg=name)


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize("signed", [False, True])
def test_padding_keeps_its_words_with_the_bits_above_bits_stored(
    tmp_path: Path, syntax: TransferSyntax, signed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    words = source_words(stored=12, signed=signed)
    words[:5] = 4000 - 4096 * signed
    words[1:3] ^= 1 << 14  # garbage in padding only, where words are copied
    padding = 4000 - 4096 * signed
    caplog.set_level("INFO", "ctdenoise")
    _, path = derived(tmp_path, syntax, words, stored=12, signed=signed, padding_value=padding)
    dataset = pydicom.dcmread(path)
    if syntax == "jpeg2000":  # whose readers would not take such bits away
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert "stored uncompressed" in caplog.text
    else:
        assert dataset.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
    if syntax in TOOLS:
        tool = shutil.which(TOOLS[syntax])
        if tool is None:
            pytest.skip("DCMTK is not installed")
        plain = tmp_path / "plain.dcm"
        subprocess.run([tool, str(path), str(plain)], check=True, capture_output=True)
        dataset = pydicom.dcmread(plain)
    stored = np.frombuffer(dataset.PixelData, words.dtype).reshape(words.shape)
    np.testing.assert_array_equal(stored, words)
    volume = read_volume(path.parent)
    assert volume.padding is not None
    assert volume.padding[0, :5].all()


def test_words_of_32_bits_stay_uncompressed_where_the_codec_ends_at_16(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        dataset.BitsAllocated = dataset.BitsStored = 32
        dataset.HighBit = 31
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype("<u4").tobytes()

    series_files(tmp_path / "source", ct_series(marked_volume(slices=1), edit=edit))
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    for syntax in COMPRESSED:
        settings = DicomSettings(transfer_syntax=syntax)
        (path,) = write_series(volume, tmp_path / syntax, settings=settings)
        dataset = pydicom.dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        np.testing.assert_array_equal(read_volume(path.parent).hu, volume.hu)


@pytest.mark.parametrize("syntax", ALL)
def test_the_transfer_syntax_changes_neither_header_nor_identity(
    tmp_path: Path, syntax: TransferSyntax
) -> None:
    words = source_words(stored=12, signed=False)
    _, plain = derived(tmp_path, "explicit", words, stored=12, signed=False)
    _, path = derived(tmp_path / "again", syntax, words, stored=12, signed=False)
    one, other = pydicom.dcmread(plain), pydicom.dcmread(path)
    moments = {f"{kind}{what}" for kind in MOMENTS for what in ("Date", "Time")}
    for dataset in (one, other):
        for keyword in ("PixelData", *moments):
            del dataset[keyword]
    assert one == other
    assert one.SOPInstanceUID == other.SOPInstanceUID


MOMENTS = ("Series", "Content", "InstanceCreation")


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_a_compressed_frame_has_its_place_in_the_basic_offset_table(
    tmp_path: Path, syntax: TransferSyntax
) -> None:
    words = source_words(stored=12, signed=False)
    _, path = derived(tmp_path, syntax, words, stored=12, signed=False)
    dataset = pydicom.dcmread(path)
    assert parse_basic_offsets(dataset.PixelData) == [0]
    assert dataset["PixelData"].VR == "OB"
    assert dataset["PixelData"].is_undefined_length
    assert "LossyImageCompression" not in dataset


@pytest.mark.parametrize("syntax", ALL)
def test_loss_in_the_source_is_told_whatever_the_result_is_stored_in(
    tmp_path: Path, syntax: TransferSyntax
) -> None:
    paths = series_files(tmp_path / "source", ct_series(marked_volume(slices=1)))
    dataset = pydicom.dcmread(paths[0])
    dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)
    dataset.save_as(paths[0])
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    settings = DicomSettings(transfer_syntax=syntax)
    (path,) = write_series(volume, tmp_path / "out", settings=settings)
    one = pydicom.dcmread(path)
    assert (one.LossyImageCompression, one.LossyImageCompressionMethod) == ("01", "ISO_14495_1")
    assert one.LossyImageCompressionRatio > 1


@pytest.mark.parametrize("syntax", ALL)
def test_text_keeps_its_bytes_in_every_syntax(tmp_path: Path, syntax: TransferSyntax) -> None:
    """Also inside sequences: decoding a wrong character set would change it."""

    def edit(dataset: Dataset, index: int) -> None:
        item = Dataset()
        item.RequestedProcedureDescription = "MARK-NESTED"
        dataset.RequestAttributesSequence = [item]

    (path,) = series_files(tmp_path / "source", ct_series(marked_volume(slices=1), edit=edit))
    data = path.read_bytes()
    assert data.count(b"Marker^Someone") == data.count(b"MARK-NESTED") == 1
    data = data.replace(b"Marker^Someone", b"M\xfcllers^S\xf6meon")  # no character set says so
    path.write_bytes(data.replace(b"MARK-NESTED", b"M\xc4RK-NESTED"))
    volume = read_volume(path.parent).with_step(DENOISE)
    (out,) = write_series(volume, tmp_path / "out", settings=DicomSettings(transfer_syntax=syntax))
    one = pydicom.dcmread(out)
    assert raw_bytes(one, "PatientName") == b"M\xfcllers^S\xf6meon"
    nested = one.RequestAttributesSequence[0].get_item(Tag("RequestedProcedureDescription"))
    assert bytes(nested.value).strip() == b"M\xc4RK-NESTED"


@pytest.mark.parametrize("syntax", ALL)
def test_a_new_series_is_written_in_every_syntax(tmp_path: Path, syntax: TransferSyntax) -> None:
    volume = marked_volume(slices=2)
    mask = np.zeros(volume.shape, dtype=np.bool_)
    mask[:, :3] = True
    padded = CTVolume(volume.hu, volume.geometry, volume.acquisition, padding=mask)
    step = Step("denoise", {"model": "redcnn"})
    settings = DicomSettings(transfer_syntax=syntax)
    paths = write_series(padded.with_step(step), tmp_path / "out", settings=settings)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]
    again = read_volume(tmp_path / "out")
    np.testing.assert_array_equal(again.padding, mask)
    np.testing.assert_array_equal(again.hu[~mask], volume.hu[~mask])


@pytest.mark.validators
@pytest.mark.parametrize("syntax", ALL)
def test_the_validator_finds_no_error_in_any_syntax(
    tmp_path: Path, dicom_validators: tuple[str, str], syntax: TransferSyntax
) -> None:
    series_files(tmp_path / "source", ct_series(marked_volume(slices=1)))
    volume = read_volume(tmp_path / "source").with_step(DENOISE)
    settings = DicomSettings(transfer_syntax=syntax)
    (path,) = write_series(volume, tmp_path / "out", settings=settings)
    if syntax == "deflated":  # which this validator cannot read
        inflated = tmp_path / "inflated.dcm"
        subprocess.run(["dcmconv", "+te", str(path), str(inflated)], check=True)
        path = inflated
    assert not errors_of(dicom_validators[0], path)
