"""Every kind of object, from every kind of source, before every judge that we did not write.

Each source, kind and transfer syntax several times, not every combination of them: that is
`python -m tests.dicom.judges`, whose table is in docs/validation/dicom_judges.md.
"""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from tests.dicom import archive
from tests.dicom.judge_archive import raw_differences, stored
from tests.dicom.judge_files import JUDGES, dcmtk, missing_programs, verdicts
from tests.dicom.judge_readers import READERS, cannot, missing_reader, reads
from tests.dicom.judged import KINDS, SOURCES, SYNTAXES, Made, make, study_of
from tests.dicom.objects import labelling_model
from tests.dicom.verdicts import Verdict

pytestmark = pytest.mark.ctdata

CASES = {
    "siemens_chest": {
        "denoised": "jpeg-ls",
        "segmentation": "explicit",
        "noise_map_ct": "rle",
        "deidentified": "explicit",
    },
    "ge_abdomen": {
        "simulated": "deflated",
        "parametric_map": "explicit",
        "removed_noise": "jpeg2000",
        "new_series": "implicit",
    },
    "philips_chest": {"denoised": "implicit", "noise_map_ct": "deflated"},
    "philips_head_5mm_UB": {"simulated": "jpeg2000", "segmentation": "explicit"},
    "philips_head_1mm_UB": {"denoised": "rle", "parametric_map": "explicit"},
    "philips_head_1mm_YA": {"simulated": "jpeg-ls", "new_series": "jpeg-ls"},
    "ge_head_tilt_uneven_gaps": {
        "denoised": "jpeg2000",
        "segmentation": "explicit",
        "new_series": "explicit",
        "deidentified": "explicit",
    },
    "philips_tilted": {
        "simulated": "rle",
        "parametric_map": "explicit",
        "removed_noise": "explicit",
    },
    "enhanced_eCT_as_HU": {"denoised": "rle", "simulated": "deflated", "deidentified": "explicit"},
    "enhanced_generated": {
        "denoised": "jpeg-ls",
        "simulated": "jpeg2000",
        "segmentation": "explicit",
        "noise_map_ct": "rle",
        "new_series": "rle",
        "deidentified": "explicit",
    },
    "legacy_generated": {
        "parametric_map": "explicit",
        "removed_noise": "explicit",
        "simulated": "implicit",
        "deidentified": "explicit",
    },
    "": {"phantom": "jpeg2000"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelling_model(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="module")
def objects(ctdata: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    made = []
    for source, kinds in CASES.items():
        folder = tmp_path_factory.mktemp(source or "phantom")
        study = study_of(source, ctdata, folder / "study") if source else folder / "study"
        study.mkdir(exist_ok=True)
        for kind, syntax in kinds.items():
            made.append(make(kind, source, study, folder / kind, model=model, syntax=syntax))
    return made


def held_against(found: list[tuple[Made, Verdict]]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    return {(m.source, m.kind, m.syntax): verdict.new for m, verdict in found if verdict.new}


def test_the_cases_leave_no_source_kind_or_syntax_out(objects: list[Made]) -> None:
    unread = {"enhanced_fragmented_jpeg"}
    assert {one.source for one in objects} == {*SOURCES, ""} - unread
    assert {one.kind for one in objects} == {*KINDS, "phantom"}
    assert {one.syntax for one in objects} == set(SYNTAXES)
    assert not [(one.source, one.kind, one.refused) for one in objects if one.refused]


@pytest.mark.parametrize("judge", JUDGES)
def test_a_judge_holds_nothing_against_an_object_that_it_does_not_hold_against_its_source(
    objects: list[Made], judge: str
) -> None:
    missing = missing_programs(judge)
    if missing:
        pytest.skip(missing)
    found = verdicts(judge, objects)
    assert len(found) >= 10
    assert held_against(found) == {}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_sees_what_we_wrote_where_we_wrote_it(objects: list[Made], reader: str) -> None:
    missing = missing_reader(reader)
    if missing:
        pytest.skip(missing)
    found = [(one, reads(reader, one)) for one in objects if not cannot(reader, one)]
    assert len(found) >= 10
    assert held_against(found) == {}


@pytest.mark.skipif(bool(archive.missing()), reason=archive.missing() or "there is an archive")
def test_an_archive_returns_every_object_and_tells_viewers_the_truth(
    objects: list[Made], tmp_path: Path
) -> None:
    some = [one for one in objects if one.source not in ("philips_head_1mm_UB", "philips_tilted")]
    found = stored(some, tmp_path)
    assert {key: verdict.new for key, verdict in found.items() if verdict.new} == {}


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        ("philips_chest", "segmentation", "frames of reference"),
        ("philips_chest", "parametric_map", "frames of reference"),
        ("enhanced_fragmented_jpeg", "denoised", "no decoder"),
    ],
)
def test_what_is_not_made_is_refused_in_words(
    ctdata: Path, tmp_path: Path, model: Path, source: str, kind: str, reason: str
) -> None:
    study = study_of(source, ctdata, tmp_path / "study")
    made = make(kind, source, study, tmp_path / "out", model=model, syntax="explicit")
    assert reason in made.refused
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study"]


@pytest.mark.skipif(
    bool(missing_programs("dcmtk")), reason=missing_programs("dcmtk") or "all there"
)
def test_dcmtk_would_notice_pixels_that_cannot_be_decoded(
    objects: list[Made], tmp_path: Path
) -> None:
    (first,) = (one for one in objects if (one.source, one.kind) == ("siemens_chest", "denoised"))
    (tmp_path / "spoiled").mkdir()
    data = bytearray(first.files[0].read_bytes())
    data[-40000:-30000] = bytes(10000)
    (tmp_path / "spoiled" / "00001.dcm").write_bytes(data)
    spoiled = Made(first.source, first.kind, first.syntax, tmp_path / "spoiled", first.study)
    assert dcmtk(spoiled).new


@pytest.mark.parametrize("spoil", ["pixel", "nested", "missing"])
def test_a_changed_byte_that_comes_back_would_be_noticed(objects: list[Made], spoil: str) -> None:
    (first,) = (one for one in objects if (one.source, one.kind) == ("ge_abdomen", "simulated"))
    ours, theirs = pydicom.dcmread(first.files[0]), pydicom.dcmread(first.files[0])
    assert list(raw_differences(ours, theirs)) == []
    ours, theirs = pydicom.dcmread(first.files[0]), pydicom.dcmread(first.files[0])
    if spoil == "pixel":
        theirs.PixelData = theirs.PixelData[:-1] + b"\x01"
    elif spoil == "missing":
        del theirs.SeriesDescription
    else:
        theirs.DerivationCodeSequence[0].CodeMeaning = "Sharpening"
    assert len(list(raw_differences(ours, theirs))) == 1
