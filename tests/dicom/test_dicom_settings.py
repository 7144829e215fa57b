"""Every setting of DICOM output does what its sentence says, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctdenoise.config.dicom import DicomSettings
from ctdenoise.core.provenance import Step
from ctdenoise.io.read import read_volume
from ctdenoise.io.write import write_series
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.dicom.deriving import DENOISE, SIMULATE, read_source, rich
from tests.dicom.validators import disagreements, errors_of

NEW_SERIES = "a volume without DICOM source"


def written(
    tmp_path: Path,
    settings: DicomSettings,
    *,
    step: Step = DENOISE,
    source: str = "DICOM",
    name: str = "out",
    **options: object,
) -> Dataset:
    """One instance written with some settings."""
    if source == NEW_SERIES:
        volume = marked_volume(slices=1)
    elif (tmp_path / "source").is_dir():
        volume = read_volume(tmp_path / "source")
    else:
        volume = read_source(tmp_path / "source", **options)
    return pydicom.dcmread(
        write_series(volume.with_step(step), tmp_path / name, settings=settings)[0]
    )


@pytest.mark.parametrize("source", ["DICOM", NEW_SERIES])
class TestOfBothWriters:
    def test_value_2_of_image_type(self, tmp_path: Path, source: str) -> None:
        one = written(tmp_path, DicomSettings(image_type="PRIMARY"), source=source)
        assert list(one.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
        other = written(tmp_path, DicomSettings(), source=source, name="other")
        assert list(other.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]

    def test_a_local_code_comes_with_its_coding_scheme(self, tmp_path: Path, source: str) -> None:
        one = written(tmp_path, DicomSettings(derivation_code="local"), source=source)
        (code,) = one.DerivationCodeSequence
        assert code.CodingSchemeDesignator == "99CTDENOISE"
        assert code.CodeMeaning == "Noise reduction by deep learning"
        (scheme,) = one.CodingSchemeIdentificationSequence
        assert scheme.CodingSchemeDesignator == "99CTDENOISE"

    def test_the_standard_code_needs_no_scheme(self, tmp_path: Path, source: str) -> None:
        one = written(tmp_path, DicomSettings(), source=source)
        assert one.DerivationCodeSequence[0].CodingSchemeDesignator == "DCM"
        assert "CodingSchemeIdentificationSequence" not in one

    def test_adding_noise_is_no_denoising_in_any_scheme(self, tmp_path: Path, source: str) -> None:
        settings = DicomSettings(derivation_code="local")
        one = written(tmp_path, settings, step=SIMULATE, source=source)
        assert one.DerivationCodeSequence[0].CodeValue == "113042"
        assert "CodingSchemeIdentificationSequence" not in one

    def test_the_series_number(self, tmp_path: Path, source: str) -> None:
        one = written(tmp_path, DicomSettings(series_number=42), source=source)
        assert one.SeriesNumber == 42

    @pytest.mark.parametrize(
        "changes",
        [
            {"image_type": "PRIMARY"},
            {"derivation_code": "local"},
            {"private": "keep"},
            {"series_number": 42},
        ],
    )
    def test_what_changes_attributes_makes_another_series(
        self, tmp_path: Path, source: str, changes: dict[str, object]
    ) -> None:
        plain = written(tmp_path, DicomSettings(), source=source)
        one = written(tmp_path, DicomSettings.model_validate(changes), source=source, name="b")
        assert one.SeriesInstanceUID != plain.SeriesInstanceUID
        assert one.SOPInstanceUID != plain.SOPInstanceUID

    def test_the_transfer_syntax_makes_no_other_image(self, tmp_path: Path, source: str) -> None:
        plain = written(tmp_path, DicomSettings(), source=source)
        settings = DicomSettings(transfer_syntax="jpeg-ls")
        one = written(tmp_path, settings, source=source, name="b")
        assert one.SOPInstanceUID == plain.SOPInstanceUID


def test_the_schemes_of_the_source_stay_beside_ours(tmp_path: Path) -> None:
    def edit(dataset: Dataset, index: int) -> None:
        item = Dataset()
        item.CodingSchemeDesignator = "99SITE"
        dataset.CodingSchemeIdentificationSequence = Sequence([item])

    settings = DicomSettings(derivation_code="local")
    one = written(tmp_path, settings, edit=edit)
    names = [s.CodingSchemeDesignator for s in one.CodingSchemeIdentificationSequence]
    assert names == ["99SITE", "99CTDENOISE"]
    volume = read_volume(tmp_path / "out").with_step(DENOISE)
    again = pydicom.dcmread(write_series(volume, tmp_path / "again", settings=settings)[0])
    names = [s.CodingSchemeDesignator for s in again.CodingSchemeIdentificationSequence]
    assert names == ["99SITE", "99CTDENOISE"]


def private_rich(dataset: Dataset, index: int) -> None:
    """Private elements of every kind."""
    rich(dataset, index)
    dataset.add_new((0x0029, 0x0010), "LO", "MAKER 2")
    dataset.add_new((0x0029, 0x1001), "FD", [1.5, -2.25])
    dataset.add_new((0x0029, 0x1002), "US", [1, 2, 3])
    dataset.add_new((0x0029, 0x1003), "OW", b"\x01\x02\x03\x04")
    inner = Dataset()
    inner.add_new((0x0029, 0x0010), "LO", "MAKER 2")
    inner.add_new((0x0029, 0x1004), "LO", "deep")
    inner.add_new((0x0029, 0x1005), "OB", bytes(dataset.Rows * dataset.Columns))
    inner.CodeMeaning = "standard inside private"
    dataset.add_new((0x0029, 0x1010), "SQ", Sequence([inner]))
    dataset.add_new((0x0029, 0x1011), "OB", bytes(2 * dataset.Rows * dataset.Columns))
    dataset.add_new((0x0029, 0x1012), "OB", bytes(dataset.Rows * dataset.Columns // 8))
    dataset.add_new((0x0031, 0x1001), "LO", "nobody's")  # whose block nobody reserved
    dataset.add_new((0x6001, 0x0010), "LO", "MAKER 3")
    dataset.add_new((0x6001, 0x1001), "LO", "overlay")
    dataset.add_new((0x7FE1, 0x0010), "LO", "MAKER 4")
    dataset.add_new((0x7FE1, 0x1001), "LO", "pixels")


class TestKeptPrivateElements:
    @pytest.mark.parametrize(
        "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
    )
    @pytest.mark.parametrize("target", ["explicit", "implicit", "deflated"])
    def test_values_are_those_of_the_source(self, tmp_path: Path, syntax: str, target: str) -> None:
        settings = DicomSettings(private="keep", transfer_syntax=target)
        one = written(tmp_path, settings, edit=private_rich, syntax=syntax)
        assert one[0x0029, 0x0010].value == "MAKER 2"
        explicit = syntax != ImplicitVRLittleEndian and target != "implicit"
        if explicit:
            assert one[0x0029, 0x1001].value == [1.5, -2.25]
            assert one[0x0029, 0x1002].value == [1, 2, 3]
            assert one[0x0009, 0x1001].value == "secret"
        else:  # the bytes of little endian, of a VR that only the maker knows
            assert one[0x0029, 0x1002].value == b"\x01\0\x02\0\x03\0"
            assert one[0x0009, 0x1001].value == b"secret"

    def test_private_sequences_are_copied_with_what_may_be_kept_in_them(
        self, tmp_path: Path
    ) -> None:
        one = written(tmp_path, DicomSettings(private="keep"), edit=private_rich)
        (item,) = one[0x0029, 0x1010].value
        assert item[0x0029, 0x1004].value == "deep"
        assert item.CodeMeaning == "standard inside private"
        assert (0x0029, 0x1005) not in item
        assert one.RequestAttributesSequence[0][0x0009, 0x0010].value == "NESTED PRIVATE"

    @pytest.mark.parametrize("implicit", [False, True])
    def test_a_sequence_of_unknown_vr_and_length_is_copied(
        self, tmp_path: Path, implicit: bool
    ) -> None:
        """VR UN of undefined length holds items in implicit VR (PS3.5 6.2.2)."""
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        (path,) = series_files(
            tmp_path / "source", ct_series(marked_volume(slices=1), edit=rich), syntax=syntax
        )
        element = (
            b"\x29\0\x10\0LO\x06\0MAKER2" if not implicit else b"\x29\0\x10\0\x06\0\0\0MAKER2"
        ) + (
            (b"\x29\0\x01\x10" + (b"" if implicit else b"UN\0\0") + b"\xff\xff\xff\xff")
            + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
            + b"\x08\0\x04\x01\x04\0\0\0deep"
            + b"\x29\0\x10\0\x06\0\0\0MAKER2\x29\0\x02\x10\x04\0\0\0more"
            + b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        )
        data = path.read_bytes()
        place = data.index(b"\x28\0\x02\0")  # before group 0028
        path.write_bytes(data[:place] + element + data[place:])
        volume = read_volume(path.parent).with_step(DENOISE)
        settings = DicomSettings(private="keep")
        one = pydicom.dcmread(write_series(volume, tmp_path / "out", settings=settings)[0])
        (item,) = one[0x0029, 0x1001].value
        assert item.CodeMeaning == "deep"
        assert item[0x0029, 0x1002].value == b"more"
        plain = pydicom.dcmread(write_series(volume, tmp_path / "plain")[0])
        assert (0x0029, 0x1001) not in plain

    def test_what_may_hold_the_old_image_goes(self, tmp_path: Path) -> None:
        one = written(tmp_path, DicomSettings(private="keep"), edit=private_rich)
        for tag in ((0x0029, 0x1011), (0x0029, 0x1012)):
            assert tag not in one
        assert not any(tag.group in (0x6001, 0x7FE1) for tag in list(one.keys()))

    def test_what_nobody_owns_goes(self, tmp_path: Path) -> None:
        one = written(tmp_path, DicomSettings(private="keep"), edit=private_rich)
        assert (0x0031, 0x1001) not in one

    def test_icons_and_signatures_still_go_at_every_depth(self, tmp_path: Path) -> None:
        def edit(dataset: Dataset, index: int) -> None:
            private_rich(dataset, index)
            signature = Dataset()
            signature.MACIDNumber = 1
            dataset.DigitalSignaturesSequence = Sequence([signature])
            nested = dataset.RequestAttributesSequence[0]
            nested.DigitalSignaturesSequence = Sequence([signature])
            nested.MACParametersSequence = Sequence([Dataset()])

        one = written(tmp_path, DicomSettings(private="keep"), edit=edit)

        def tags(dataset: Dataset) -> Iterator[int]:
            for element in dataset:
                yield element.tag
                for item in element.value if element.VR == "SQ" else ():
                    yield from tags(item)

        keywords = {pydicom.datadict.keyword_for_tag(tag) for tag in tags(one)}
        forbidden = {"IconImageSequence", "DigitalSignaturesSequence", "MACParametersSequence"}
        assert not keywords & forbidden

    @pytest.mark.validators
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_the_validator_finds_no_error(
        self, tmp_path: Path, dicom_validators: tuple[str, str], syntax: str
    ) -> None:
        def edit(dataset: Dataset, index: int) -> None:
            dataset.add_new((0x0029, 0x0010), "LO", "MAKER 2")
            dataset.add_new((0x0029, 0x1001), "FD", [1.5, -2.25])
            inner = Dataset()
            inner.add_new((0x0029, 0x0010), "LO", "MAKER 2")
            inner.add_new((0x0029, 0x1004), "LO", "deep")
            dataset.add_new((0x0029, 0x1010), "SQ", Sequence([inner]))

        settings = DicomSettings(private="keep", derivation_code="local", image_type="PRIMARY")
        written(tmp_path, settings, edit=edit, syntax=syntax)
        assert not errors_of(dicom_validators[0], tmp_path / "out" / "00001.dcm")


@pytest.mark.ctdata
@pytest.mark.validators
@pytest.mark.parametrize("syntax", ["implicit", "jpeg-ls"])
@pytest.mark.parametrize(
    "name",
    ["series/siemens_chest", "series/ge_abdomen", "series/philips_head_phantom_5mm_UB"],
)
def test_a_real_series_gains_no_error_by_any_setting(
    ctdata: Path, tmp_path: Path, dicom_validators: tuple[str, str], name: str, syntax: str
) -> None:
    settings = DicomSettings.model_validate(
        {
            "transfer_syntax": syntax,
            "private": "keep",
            "derivation_code": "local",
            "image_type": "PRIMARY",
            "series_number": 9000,
        }
    )
    volume = read_volume(ctdata / name)
    assert volume.source is not None
    part = volume.select(slice(0, 2)).with_step(DENOISE)
    originals = [instance.path for instance in volume.source.instances[:2]]
    paths = write_series(part, tmp_path / "out", settings=settings)
    for path, original in zip(paths, originals, strict=True):
        assert not errors_of(dicom_validators[0], path) - errors_of(dicom_validators[0], original)
        kept = [tag for tag in list(pydicom.dcmread(path).keys()) if tag.is_private]
        assert len(kept) > 2
    assert not disagreements(dicom_validators[1], [*paths, *originals])
    np.testing.assert_array_equal(read_volume(tmp_path / "out").hu, part.hu)
