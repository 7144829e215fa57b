"""Spoilt files are read or refused in words, quickly and in little memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dicom.builders import as_bytes, ct_series, marked_volume
from tests.dicom.fuzz import Fuzzer, Outcome, peak_mebibytes
from tests.dicom.fuzz_seeds import dicom_seeds

SECONDS = 18.0
KNOWN = {1: (1595, 2306, 4105), 7: (2784, 4395, 6669, 16529, 22241), 20261121: (2598,)}
"""Inputs, by seed, that were answered wrongly once."""


def test_every_seed_is_read_as_it_is(tmp_path: Path) -> None:
    for name, files in dicom_seeds().items():
        folder = tmp_path / name
        folder.mkdir()
        for index, data in enumerate(files):
            (folder / f"{index}.dcm").write_bytes(data)
        outcome = Fuzzer(0, folder).read_folder()
        assert (outcome.read, outcome.refused) == (1, 0), (name, outcome.reasons)


def test_spoilt_files_are_read_or_refused_in_words(tmp_path: Path) -> None:
    before = peak_mebibytes()[0]
    outcome = Fuzzer(20261121, tmp_path).run(seconds=SECONDS)
    assert outcome.bad == [], list(outcome.crashes.values())[:3]
    assert outcome.inputs > 100
    assert outcome.read > 0
    assert len(outcome.reasons) > 20
    assert peak_mebibytes()[0] - before < 256


@pytest.mark.parametrize(("seed", "number"), [(s, n) for s, ns in KNOWN.items() for n in ns])
def test_what_was_wrong_once_is_right(tmp_path: Path, seed: int, number: int) -> None:
    outcome = Fuzzer(seed, tmp_path).run(seconds=60, inputs=1, first=number)
    assert outcome.inputs == 1
    assert outcome.bad == [], outcome.crashes


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    def reasons(folder: Path) -> Outcome:
        folder.mkdir()
        return Fuzzer(3, folder).run(seconds=60, inputs=40)

    first, second = reasons(tmp_path / "a"), reasons(tmp_path / "b")
    assert (first.read, first.reasons) == (second.read, second.reasons)


def test_an_error_of_another_kind_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(folder: Path) -> None:
        raise KeyError(folder)

    monkeypatch.setattr("tests.dicom.fuzz.find_series", fails)
    outcome = Fuzzer(0, tmp_path).run(seconds=60, inputs=1)
    assert len(outcome.crashes) == 1


def test_a_message_that_names_the_patient_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = as_bytes(ct_series(marked_volume(slices=1))[0])
    (tmp_path / "SOMEONE.dcm").write_bytes(data[:-100])
    monkeypatch.setattr("tests.dicom.fuzz.SECRETS", ("SOMEONE",))
    assert Fuzzer(0, tmp_path).read_folder().quoted == [0]
