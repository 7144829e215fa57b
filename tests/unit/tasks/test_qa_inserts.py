"""Scans of the ACR phantom and the Catphan whose truth is known: what is found, and what fails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from ctdenoise.config.phantom import GridSettings, PhantomSettings
from ctdenoise.config.qa import ACR_LIMITS, CATPHAN_LIMITS, QaSettings
from ctdenoise.config.qa_phantoms import Acr464Settings, Catphan504Settings
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import InputError, UsageError
from ctdenoise.metrics.limits import judged
from ctdenoise.phantoms import acr464, catphan504
from ctdenoise.phantoms.build import build_phantom
from ctdenoise.tasks.qa_found import QaFound
from ctdenoise.tasks.qa_inserts import inspected_acr464, inspected_catphan504

NOISE_HU, BLUR_PIXELS = 5.0, 0.8


def scanned(phantom, *, slices: int = 36, slope: float = 1.0, flip: bool = False) -> CTVolume:
    """A phantom with blur and noise; its CT numbers times a slope if asked for."""
    grid = GridSettings(size=256, slices=slices, slice_spacing_mm=5.0)
    volume = build_phantom(PhantomSettings(phantom=phantom, grid=grid)).volume
    hu = ndimage.gaussian_filter(volume.hu.astype(np.float64), (0, BLUR_PIXELS, BLUR_PIXELS))
    noise = np.random.default_rng(1).normal(0, 1, hu.shape)
    noise = ndimage.gaussian_filter(noise, (0, 0.5, 0.5))
    hu = np.where(hu > -900, slope * hu, hu) + NOISE_HU * noise / noise.std()
    if flip:
        hu = hu[:, :, ::-1]
    return volume.with_hu(hu.astype(np.float32), Step("scanned", {}))


@pytest.fixture(scope="module")
def acr() -> QaFound:
    volume = scanned(Acr464Settings(roll_degrees=3.0))
    return inspected_acr464(volume, QaSettings(phantom="acr464"))


def value(found: QaFound, key: str) -> float:
    number = found.measured[key].value
    assert number is not None
    return number


def test_the_inserts_of_a_turned_acr_phantom_have_their_ct_numbers(acr):
    for name, hu, _, _ in acr464.RODS:
        assert value(acr, f"insert_hu[{name}]") == pytest.approx(hu, abs=1.5), name
    assert value(acr, "linearity_slope") == pytest.approx(1, abs=2e-3)
    assert value(acr, "linearity_r2") > 0.9999


def test_contrast_over_noise_and_uniformity_are_those_of_the_phantom(acr):
    # Noise of a disc of about 120 pixels is known to 7 %, its mean to 0.5 HU of 6.
    assert value(acr, "cnr") == pytest.approx(acr464.LOW_CONTRAST_HU / NOISE_HU, rel=0.25)
    assert value(acr, "mean_hu[centre]") == pytest.approx(0, abs=0.5)
    assert value(acr, "noise") == pytest.approx(NOISE_HU, rel=0.03)
    assert value(acr, "nonuniformity") < 1


def test_sharpness_is_that_of_the_blur_at_every_contrast(acr):
    # A Gaussian of 0.8 pixels and the mean over a pixel.
    pixel = 250.0 / 256
    frequency = np.linspace(0, 0.5, 5001)
    kept = np.exp(-2 * (np.pi * BLUR_PIXELS * pixel * frequency) ** 2) * np.sinc(frequency * pixel)
    half = frequency[np.argmax(kept < 0.5)]
    for name in ("bone", "air", "acrylic", "polyethylene"):
        assert value(acr, f"ttf50[{name}]") == pytest.approx(half, rel=0.04), name
    assert len(acr.measured.chart("ttf")) == 4


def test_a_right_scan_passes_the_limits_of_the_acr(acr):
    verdicts = judged(acr.measured.metrics, ACR_LIMITS)
    assert len(verdicts) == len(ACR_LIMITS) - 1  # one is of a figure that only pylinac gives
    assert {one.outcome for one in verdicts} == {"pass"}
    assert acr.remarks == ()
    assert [one.title for one in acr.shown] == [
        "Module 1: CT numbers",
        "Module 3: uniformity",
        "Module 2: low contrast",
    ]


def test_a_scan_with_a_wrong_scale_fails_where_the_scale_matters():
    found = inspected_acr464(
        scanned(Acr464Settings(modules=(1,)), slices=5, slope=0.9), QaSettings(phantom="acr464")
    )
    failed = [one.metric.key for one in judged(found.measured.metrics, ACR_LIMITS)
              if one.outcome == "fail"]  # fmt: skip
    assert "insert_hu[bone]" in failed
    assert "insert_hu[water]" not in failed
    assert any("uniformity: not in the scan" in one for one in found.remarks)


@pytest.mark.parametrize("flip", [False, True], ids=["upright", "mirrored"])
def test_the_catphan_is_found_upright_and_mirrored(flip):
    volume = scanned(
        Catphan504Settings(modules=("ctp404", "ctp486"), roll_degrees=-2.0), slices=30, flip=flip
    )
    found = inspected_catphan504(volume, QaSettings(phantom="catphan504"))
    for name, hu, angle in catphan504.INSERTS:
        key = "air, bottom" if (name, angle) == ("air", 90.0) else name
        assert value(found, f"insert_hu[{key}]") == pytest.approx(hu, abs=3), key
    assert value(found, "mean_hu[centre]") == pytest.approx(
        catphan504.BACKGROUND_HU["ctp486"], abs=0.5
    )
    assert {one.outcome for one in judged(found.measured.metrics, CATPHAN_LIMITS)} == {"pass"}


def test_another_phantom_is_refused_with_what_to_do():
    volume = scanned(Acr464Settings(modules=(3,)), slices=5)
    with pytest.raises(InputError, match=r"no slice shows its inserts") as error:
        inspected_acr464(volume, QaSettings(phantom="acr464"))
    assert "place.roll_degrees" in str(error.value)


def test_a_phantom_that_is_not_found_can_be_placed_by_hand():
    volume = scanned(Acr464Settings(modules=(1,), roll_degrees=30.0), slices=5)
    with pytest.raises(InputError):
        inspected_acr464(volume, QaSettings(phantom="acr464"))
    settings = QaSettings().replaced(
        phantom="acr464",
        place={
            "centre": (127.5, 127.5),
            "radius_mm": 100.0,
            "roll_degrees": 30.0,
            "slices": {"numbers": (2, 3, 4)},
        },
    )
    found = inspected_acr464(volume, settings)
    assert value(found, "insert_hu[acrylic]") == pytest.approx(122.5, abs=1.5)


def test_places_that_cannot_be_are_refused():
    volume = scanned(Acr464Settings(modules=(1,)), slices=5)
    wrong = QaSettings().replaced(phantom="acr464", place={"slices": {"numbers": (9,)}})
    with pytest.raises(UsageError, match="slices 1 to 5"):
        inspected_acr464(volume, wrong)
    half = QaSettings().replaced(phantom="acr464", place={"centre": (1.0, 2.0)})
    with pytest.raises(UsageError, match="together"):
        inspected_acr464(volume, half)
