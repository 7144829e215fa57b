"""Options of `simulate` that are short names of settings."""

from __future__ import annotations

import pytest

from ctdenoise.cli.simulate_options import settings_changes
from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.load import find_settings_file, load_settings
from ctdenoise.errors import SettingsError, UsageError

NOTHING = {"dose": (), "n0": None, "kernel": None, "mas": None, "overrides": ()}


def loaded(config: str = "default", **options: object) -> SimulateSettings:
    changes = settings_changes(**{**NOTHING, **options})  # type: ignore[arg-type]  # test
    return load_settings(SimulateSettings, find_settings_file("simulate", config), changes)


def test_doses_may_be_given_in_every_unit():
    aims = loaded(dose=("0.5", "25%", "50mAs", "30 HU")).aims
    assert [(aim.value, aim.unit) for aim in aims] == [
        (0.5, "fraction"),
        (0.25, "fraction"),
        (50.0, "mas"),
        (30.0, "hu"),
    ]


@pytest.mark.parametrize("dose", ["25", "0", "-1", "200%", "nan", "[1]", "50 mA", "x", "1e999"])
def test_what_is_no_dose_is_refused(dose):
    with pytest.raises(SettingsError, match="dose"):
        loaded(dose=(dose,))


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("auto", {"name": "auto"}),
        ("Measured", {"name": "measured"}),
        ("hann", {"name": "hann", "width": 1.0}),
        ("0.5", {"name": "gaussian", "f50_per_mm": 0.5}),
        ("B30f", {"name": "gaussian", "f50_per_mm": 0.335}),
    ],
)
def test_a_kernel_is_a_kind_a_number_or_a_name(kernel, expected):
    assert loaded(kernel=kernel).kernel.as_json() == expected


@pytest.mark.parametrize("names", [("B30f", "B70f"), ("STANDARD", "BONE"), ("FC13", "FC52")])
def test_makers_kernels_are_ordered_by_their_sharpness(names):
    kernels = [loaded(kernel=name).kernel for name in names]
    soft, sharp = (k.f50_per_mm for k in kernels if isinstance(k, GaussianKernelSettings))
    assert soft < sharp


def test_a_kernel_replaces_that_of_the_settings_file():
    assert loaded("siemens_like", kernel="ramp").kernel.as_json() == {"name": "ramp"}


def test_an_unknown_kernel_is_refused_with_what_is_known():
    with pytest.raises(UsageError, match="FC13"):
        loaded(kernel="wonderful")


def test_photons_and_exposure_are_taken_over():
    assert loaded(n0=3e5).photons == 3e5
    with_mas = loaded("fda_lcd", mas=120.0)
    assert (with_mas.mas, with_mas.photons) == (120.0, "auto")


@pytest.mark.parametrize(
    "options",
    [
        {"n0": 1e5, "mas": 100.0},
        {"dose": ("0.5",), "overrides": ("dose=0.25",)},
        {"n0": 1e5, "overrides": ("photons=2e5",)},
        {"mas": 100.0, "overrides": ("photons=2e5",)},
        {"mas": 100.0, "overrides": ("mas=50",)},
        {"kernel": "ramp", "overrides": ("kernel.name=hann",)},
    ],
)
def test_two_words_for_one_thing_are_refused(options):
    with pytest.raises(UsageError, match="contradict"):
        loaded(**options)
