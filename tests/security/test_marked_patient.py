"""No command says or writes whose study it works on, even where everything is logged at DEBUG.

What a command is asked to show is listed here with its reason; see docs/SECURITY.md.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Outcome, ctdenoise
from tests.security.listening import Heard, listening
from tests.security.marked import (
    DAY,
    DESCRIBING,
    ROOT_UID,
    TEXT,
    leaks,
    leaks_below,
    marked_study,
    marker_of,
)

SMALL = (
    *("--n0", "1e5", "--set", "scanner.distances=setting", "--set", "scanner.channels=97"),
    *("--set", "scanner.channel_pitch_mm=4.8", "--set", "scanner.views_per_turn=96"),
)
Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marked_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    with listening(tmp_path / "log") as everything:
        yield everything


@pytest.fixture
def run(heard: Heard, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command and keep what it says, also what C code says behind Python's back."""

    def command(*words: str | Path) -> Outcome:
        done = ctdenoise(*words)
        heard.add("stdout", done.stdout)
        heard.add("stderr", done.stderr)
        behind = capfd.readouterr()
        heard.add("file descriptors", behind.out + behind.err)
        return done

    return command


def test_the_markers_are_found_however_they_are_written(study: Path) -> None:
    found = leaks(f"x {ROOT_UID}.1 {TEXT} {DAY}".encode("utf-16-le"), "a file")
    assert {leak.marker for leak in found} == {ROOT_UID, TEXT, DAY}
    assert leaks_below(study, images=False)
    assert leaks(b"nothing", "a file") == []


def test_what_anybody_logs_or_warns_of_is_heard(heard: Heard) -> None:
    logging.getLogger("another.library").debug("reading %s", f"{TEXT}001")
    warnings.warn(f"Invalid value for VR UI: {ROOT_UID}.1", stacklevel=1)
    assert {leak.marker for leak in heard.leaks()} == {TEXT, ROOT_UID}


def test_inspect_shows_descriptions_and_nothing_else_of_the_patient(
    run: Run, heard: Heard, study: Path
) -> None:
    # The user asks what the series are called, to choose one by its name.
    shown = marker_of("SeriesDescription")
    for words in ((), ("--json",), ("--series", "1"), ("--noise",)):
        done = run("inspect", study, *words)
        assert done.code == 0, done.stderr
    assert heard.leaks(shown) == []


@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO_IR 100"])
def test_other_character_sets_are_kept_as_well(
    run: Run, heard: Heard, tmp_path: Path, charset: str
) -> None:
    folder = marked_study(tmp_path / "study", charset=charset, slices=2)
    assert run("infer", folder, "--model", "identity", "--out", tmp_path / "out").code == 0
    assert heard.leaks() == []


def test_infer_check_evaluate_and_convert(
    run: Run, heard: Heard, study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for words in (
        ("infer", study, "--model", "gaussian", "--noise-level", "12", "--residual", "--out", out),
        ("check", out / "dicom", "--source", study),
        ("check", out / "dicom", "--json"),
        ("evaluate", study, out / "dicom", "--out", tmp_path / "page"),
        ("convert", study, "--out", tmp_path / "ct.nii.gz"),
        ("convert", tmp_path / "ct.nii.gz", "--out", tmp_path / "dicom"),
    ):
        done = run(*words)
        assert done.code in (0, 1), done.stderr
    # What check judged is named as inspect names it.
    assert heard.leaks(marker_of("SeriesDescription")) == []
    manifest = out / "manifest.json"  # says which instance came from which: UIDs are its purpose
    text = manifest.read_bytes()
    assert leaks(text.replace(ROOT_UID.encode(), b""), "manifest") == []
    manifest.unlink()
    found = leaks_below(out) + leaks_below(tmp_path / "page")
    assert found == []
    assert leaks((tmp_path / "ct.nii.gz").read_bytes(), "the image") == []


def test_infer_all_and_simulate_all(run: Run, heard: Heard, study: Path, tmp_path: Path) -> None:
    done = run("infer", study, "--all", "--model", "identity", "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    done = run("simulate", study, "--all", "--out", tmp_path / "pairs", *SMALL, "--workers", "1")
    assert done.code == 0, done.stderr
    assert heard.leaks() == []
    for path in tmp_path.rglob("manifest.json"):
        path.unlink()
    assert leaks_below(tmp_path / "out") + leaks_below(tmp_path / "pairs") == []


def test_simulate_as_a_pair_and_as_dicom(
    run: Run, heard: Heard, study: Path, tmp_path: Path
) -> None:
    for number, words in enumerate(((), ("--format", "dicom"), ("--preview",))):
        done = run("simulate", study, "--out", tmp_path / str(number), *SMALL, *words)
        assert done.code == 0, done.stderr
    assert heard.leaks() == []


def test_deidentify(run: Run, heard: Heard, study: Path, tmp_path: Path) -> None:
    pytest.importorskip("dicomanonymizer")
    done = run("deidentify", study, "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    assert heard.leaks() == []
    assert leaks_below(tmp_path / "out", images=False) == []


def test_descriptions_are_typed_by_people(study: Path) -> None:
    assert set(DESCRIBING) == {
        "SeriesDescription",
        "StudyDescription",
        "ProtocolName",
        "ImageComments",
    }
