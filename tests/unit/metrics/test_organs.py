"""Figures of the organs of a label map."""

from __future__ import annotations

import numpy as np
import pytest

from ctdenoise.metrics.evaluation import Organs, evaluate
from tests.unit.metrics.conftest import SHAPE, tissue_blocks, volume

NAMES = ("background", "liver", "spleen", "kidney")


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros(SHAPE, dtype=np.uint8)
    found[:, 42:54, 10:86] = 1
    found[1, 10:14, 10:14] = 2
    return found


def noisy(sigma: float, seed: int, shift: np.ndarray | float = 0.0):
    noise = np.random.default_rng(seed).normal(0, sigma, SHAPE)
    return volume(tissue_blocks() + noise + shift)


def test_errors_and_means_of_an_organ_are_those_of_its_voxels(labels):
    reference, test = noisy(10, 1), noisy(20, 2, 5.0 * (labels == 1))
    found = evaluate(reference, test, organs=Organs(labels, NAMES))
    for number, name in ((1, "liver"), (2, "spleen")):
        inside = labels == number
        difference = (test.hu.astype(np.float64) - reference.hu)[inside]
        assert found[f"organ_rmse[{name}]"].value == pytest.approx(np.sqrt((difference**2).mean()))
        assert found[f"organ_mae[{name}]"].value == pytest.approx(np.abs(difference).mean())
        assert found[f"organ_bias[{name}]"].value == pytest.approx(difference.mean())
        for image, of in (("reference", reference), ("test", test)):
            mean = of.hu[inside].mean(dtype=np.float64)
            assert found[f"organ_mean_{image}[{name}]"].value == pytest.approx(mean)
    assert found["organ_bias[liver]"].value == pytest.approx(5, abs=3 * 22.4 / np.sqrt(2736))


def test_the_noise_of_an_organ_is_measured_inside_it_alone(labels):
    labels[:, 9:16, 10:86] = 2
    loud = np.where(labels == 1, 1.0, 4.0)
    noise = np.random.default_rng(3).normal(0, 10, SHAPE) * loud
    found = evaluate(noisy(10, 1), volume(tissue_blocks() + noise), organs=Organs(labels, NAMES))
    assert found["organ_noise_reference[liver]"].value == pytest.approx(10, rel=0.12)
    assert found["organ_noise_test[liver]"].value == pytest.approx(10, rel=0.12)
    assert found["organ_noise_test[spleen]"].value == pytest.approx(40, rel=0.2)
    assert "inside liver" in found["organ_noise_test[liver]"].mask


def test_an_organ_without_room_for_patches_says_so_and_one_that_is_not_there_is_left_out(labels):
    found = evaluate(noisy(10, 1), noisy(10, 2), organs=Organs(labels, NAMES))
    assert found["organ_noise_test[spleen]"].value is None
    assert "patches" in found["organ_noise_test[spleen]"].note
    assert not any("kidney" in metric.key for metric in found.metrics)


def test_padding_never_belongs_to_an_organ(labels):
    padding = np.zeros(SHAPE, dtype=bool)
    padding[:, :, 70:] = True
    spoiled = volume(np.where(padding, -3024, tissue_blocks() + 5), padding=padding)
    found = evaluate(volume(tissue_blocks()), spoiled, organs=Organs(labels, NAMES))
    assert found["organ_bias[liver]"].value == pytest.approx(5)
    assert found["organ_rmse[liver]"].value == pytest.approx(5)
