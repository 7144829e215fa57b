"""Every real odd file has a stated outcome; nothing done to what can be derived is nothing done.

A file that is added to the data without a line here fails `test_every_file_has_an_outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ctdenoise.errors import StudyError
from ctdenoise.io.read import open_series, read_volume
from ctdenoise.io.study import FoundSeries, find_series
from ctdenoise.io.write import check_writable
from tests.dicom.test_derived_identity import assert_identical

pytestmark = [pytest.mark.ctdata, pytest.mark.filterwarnings("ignore:Invalid value for VR UI")]


@dataclass(frozen=True)
class Derived:
    """Read, and derived with every stored pixel as it was."""

    slices: int
    findings: tuple[str, ...] = ()
    what: str = "CT"


@dataclass(frozen=True)
class ReadOnly:
    """Read, but no legal DICOM can be derived from it, because of this."""

    slices: int
    missing: tuple[str, ...]
    findings: tuple[str, ...] = ()
    what: str = "CT"


@dataclass(frozen=True)
class Refused:
    """Listed as this, and refused with these words."""

    slices: int
    words: str
    what: str = "CT"
    findings: tuple[str, ...] = ()


Outcome = Derived | ReadOnly | Refused

PADDED, LOSSY = ("padding",), ("derived", "lossy-compression", "padding")
NO_FRAME = ("FrameOfReferenceUID is missing",)
NO_UIDS = tuple(f"{level}InstanceUID is missing" for level in ("SOP", "Study", "Series"))
NEMA = "zoo/nema_transfer_syntaxes/"
SYNTAX = "zoo/one_slice_many_syntaxes/CTImage.dcm_"
IRREGULAR = "zoo/irregular_geometry/"
NO_DECODER = Refused(1, "no decoder for its transfer syntax")
MAP = Refused(2, "a computed map, not Hounsfield units")

OUTCOMES: dict[str, tuple[Outcome, ...]] = {
    "water/imgA.dcm": (Derived(1, PADDED),),
    "water/imgB.dcm": (Derived(1, PADDED),),
    "water/imgC.dcm": (Derived(1, PADDED),),
    "water/qurit_1.dcm": (Derived(1, PADDED),),
    "water/qurit_2.dcm": (Derived(1, PADDED),),
    "zoo/J2K_pixelrep_mismatch.dcm": (Derived(1),),
    "zoo/ct_with_seg": (
        Derived(3, PADDED),
        Refused(1, "a segmentation is not a CT volume", "segmentation"),
    ),
    "zoo/enhanced_ct/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm": (MAP,),
    "zoo/enhanced_ct/eCT_Supplemental.dcm": (MAP,),
    "zoo/ge_head_tilt_uneven_gaps": (Derived(28, ("gantry-tilt", "padding", "uneven-spacing")),),
    IRREGULAR + "gantrytilting_001": (ReadOnly(4, NO_FRAME, ("gantry-tilt",)),),
    IRREGULAR + "notavolume_001": (ReadOnly(1, NO_FRAME),) * 4,
    IRREGULAR + "sliceincrement_001": (
        ReadOnly(4, NO_FRAME, ("missing-slices", "uneven-spacing")),
    ),
    IRREGULAR + "sliceincrement_002": (
        ReadOnly(4, NO_FRAME, ("gantry-tilt", "missing-slices", "uneven-spacing")),
    ),
    NEMA + "CT1_UNC": (Derived(1, PADDED),),
    **{f"{NEMA}CT1_{s}": (Derived(1, ("derived", *PADDED)),) for s in ("RLE", "JPLL", "JLSL")},
    NEMA + "CT1_J2KR": (Derived(1, ("derived", *PADDED)),),
    **{f"{NEMA}CT1_{s}": (Derived(1, LOSSY),) for s in ("JLSN", "J2KI")},
    NEMA + "CT2_UNC": (Derived(1),),
    **{f"{NEMA}CT2_{s}": (Derived(1, ("derived",)),) for s in ("RLE", "JPLL", "JLSL", "J2KR")},
    **{f"{NEMA}CT2_{s}": (Derived(1, LOSSY[:2]),) for s in ("JLSN", "J2KI")},
    "zoo/no_modality": (Refused(2, "Modality is missing"),),
    "zoo/one_slice_many_syntaxes/CTImage.dcm": (Derived(1, PADDED),),
    **{
        f"{SYNTAX}{name}TransferSyntax_1.2.840.10008.1.2{number}.dcm": (outcome,)
        for name, number, outcome in (
            ("BigEndianExplicit", ".2", Derived(1, PADDED)),
            ("DeflatedExplicitVRLittleEndian", ".1.99", Derived(1, PADDED)),
            ("JPEG2000LosslessOnly", ".4.90", Derived(1, PADDED)),
            ("JPEG2000", ".4.91", Derived(1, LOSSY)),
            ("JPEGLSLossless", ".4.80", Derived(1, PADDED)),
            ("JPEGLSLossy", ".4.81", Derived(1, LOSSY)),
            ("JPEGProcess10_12", ".4.55", NO_DECODER),
            ("JPEGProcess14SV1", ".4.70", Derived(1, PADDED)),
            ("JPEGProcess14", ".4.57", Derived(1, PADDED)),
            ("JPEGProcess1", ".4.50", Derived(1, LOSSY[:2])),
            ("JPEGProcess2_4", ".4.51", NO_DECODER),
            ("JPEGProcess6_8", ".4.53", NO_DECODER),
            ("LittleEndianExplicit", ".1", Derived(1, PADDED)),
            ("LittleEndianImplicit", "", Derived(1, PADDED)),
            ("RLELossless", ".5", Derived(1, PADDED)),
        )
    },
    "zoo/philips_tilted_with_scout": (
        Derived(16, ("gantry-tilt",)),
        Refused(1, "a scout is not a CT volume", "scout"),
        Refused(4, "a secondary capture is not a CT volume", "secondary capture"),
        Refused(1, "a dose report is not a CT volume", "dose report"),
    ),
    "zoo/siemens_j2k_series": (ReadOnly(20, NO_UIDS, ("no-series-uid",)),),
}
"""Every file or folder of `zoo` and `water`, and what each of its series comes to."""


def expected_as(series: FoundSeries) -> tuple[str, int, bool, tuple[str, ...]]:
    codes = tuple(sorted(finding.code for finding in series.notes))
    return (series.what, series.slices, series.readable, codes)


def files_of(ctdata: Path, *folders: str) -> list[str]:
    found = [path for name in folders for path in (ctdata / name).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(ctdata)) for path in found)


def test_every_file_has_an_outcome(ctdata: Path) -> None:
    places = tuple(OUTCOMES)
    without = [
        file
        for file in files_of(ctdata, "zoo", "water")
        if not any(file == place or file.startswith(place + "/") for place in places)
    ]
    assert without == []
    assert [place for place in places if not (ctdata / place).exists()] == []


@pytest.mark.parametrize("place", OUTCOMES)
def test_a_real_study_comes_to_what_is_stated(ctdata: Path, tmp_path: Path, place: str) -> None:
    outcomes = OUTCOMES[place]
    found = find_series(ctdata / place)
    assert sorted(map(expected_as, found)) == sorted(
        (one.what, one.slices, not isinstance(one, Refused), tuple(sorted(one.findings)))
        for one in outcomes
    )
    for number, series in enumerate(found):
        outcome = next(one for one in outcomes if one.what == series.what)
        if isinstance(outcome, Refused):
            assert outcome.words in " ".join(series.problems)
        elif isinstance(outcome, Derived):
            assert_identical(read_volume(series), tmp_path / f"derived {number}")
        else:
            assert read_volume(series).shape[0] == outcome.slices
            with open_series(series) as reader, pytest.raises(StudyError) as caught:
                check_writable(reader)
            for words in outcome.missing:
                assert words in str(caught.value)


def test_images_and_label_maps_are_told_apart(ctdata: Path) -> None:
    for file in files_of(ctdata, "masks"):
        (series,) = find_series(ctdata / file)
        is_image = Path(file).name in ("example_ct.nii.gz", "CT_image.nii.gz")
        assert series.readable is is_image, file
        assert series.what == ("CT" if is_image else "labels"), file
        if not is_image:
            assert "label map" in " ".join(series.problems)


def test_one_slice_in_many_encodings_is_not_a_series(ctdata: Path) -> None:
    """The two folders hold one image many times over: the same place with other pixels."""
    nema = find_series(ctdata / "zoo" / "nema_transfer_syntaxes")
    assert [series.readable for series in nema] == [True, False, True, False]
    (many,) = find_series(ctdata / "zoo" / "one_slice_many_syntaxes")
    assert "lie at the position of another one" in " ".join(many.problems)
