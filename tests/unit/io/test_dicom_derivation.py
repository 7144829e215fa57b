from __future__ import annotations

from datetime import timedelta

import pytest

from ctdenoise.core.provenance import Step
from ctdenoise.io.dicom_derivation import derivation_of, run_moment

DENOISE = Step("denoise", {"model": "/home/Doe^John/redcnn.safetensors", "strength": 0.8})


def simulate(dose: float) -> Step:
    return Step("simulate_low_dose", {"dose_fraction": dose, "seed": 7})


def test_denoising_is_called_smoothing() -> None:
    derivation = derivation_of([DENOISE])
    assert derivation.code is not None
    assert (derivation.code.value, derivation.code.scheme_designator) == ("113087", "DCM")
    assert not derivation.is_synthetic
    assert derivation.warning == ""


def test_inserting_noise_is_not_called_smoothing() -> None:
    derivation = derivation_of([simulate(0.25)])
    assert derivation.code is not None
    assert derivation.code.value == "113042"


def test_an_unknown_step_gets_no_code_rather_than_a_wrong_one() -> None:
    assert derivation_of([Step("my_filter")]).code is None


def test_doses_that_were_simulated_one_after_the_other_multiply() -> None:
    derivation = derivation_of([simulate(0.5), simulate(0.25), DENOISE])
    assert derivation.dose_fraction == 0.125
    assert derivation.warning == "SIMULATED 12.5 % RESEARCH USE ONLY"
    assert derivation.is_synthetic


def test_the_description_names_the_model_but_not_its_folder() -> None:
    description = derivation_of([DENOISE]).description
    assert "model redcnn.safetensors" in description
    assert "strength 0.8" in description
    assert "not a new acquisition" in description
    assert "Doe" not in description


def test_the_description_is_ascii_of_at_most_1024_characters() -> None:
    steps = [Step("denoise", {"model": "Größe\\" + "x" * 90}) for _ in range(30)]
    derivation = derivation_of(steps)
    assert derivation.description.isascii()
    assert "\\" not in derivation.description
    assert len(derivation.description) == 1024
    assert all(len(text) <= 64 for text in derivation.software)


@pytest.mark.parametrize("length", [0, 10, 64, 200])
def test_a_series_description_has_at_most_64_characters_and_keeps_its_labels(length: int) -> None:
    source = "d" * length
    denoised = derivation_of([DENOISE]).series_description(source)
    assert len(denoised) <= 64
    assert denoised.endswith("[ctdenoise]")
    both = derivation_of([simulate(0.1), DENOISE]).series_description(source)
    assert len(both) <= 64
    assert both.startswith("SIMULATED 10 % RESEARCH USE ONLY")
    assert both.endswith("[ctdenoise]")


def test_denoising_a_simulated_series_later_keeps_its_warning() -> None:
    simulated = derivation_of([simulate(0.25)]).series_description("Thorax with a very long name")
    denoised = derivation_of([DENOISE]).series_description(simulated)
    assert denoised.startswith("SIMULATED 25 % RESEARCH USE ONLY")
    assert denoised.endswith("[ctdenoise]")


def test_the_key_changes_with_every_parameter_and_with_the_order() -> None:
    histories = [
        [DENOISE],
        [Step("denoise", {**DENOISE.params, "strength": 0.9})],
        [simulate(0.5), DENOISE],
        [DENOISE, simulate(0.5)],
        [],
    ]
    assert len({derivation_of(history).key for history in histories}) == len(histories)
    assert derivation_of([DENOISE]).key == derivation_of([DENOISE]).key


def test_source_date_epoch_decides_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert run_moment().strftime("%Y%m%d%H%M%S") == "20010909014640"
    assert run_moment("+0130").strftime("%Y%m%d%H%M%S") == "20010909031640"
    assert run_moment("-0200").utcoffset() == -timedelta(hours=2)


@pytest.mark.parametrize("offset", ["", "0100", "+1", "+ab00", "Z"])
def test_an_unusable_timezone_is_ignored(offset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert run_moment(offset).utcoffset() == timedelta(0)


def test_another_version_of_the_program_makes_another_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = derivation_of([DENOISE]).key
    monkeypatch.setattr("ctdenoise.io.dicom_derivation.__version__", "999.0")
    assert derivation_of([DENOISE]).key != before
