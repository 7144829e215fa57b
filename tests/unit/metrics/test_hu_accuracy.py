"""Which voxels belong to which tissue."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from ctdenoise.metrics.hu_accuracy import TISSUES, tissue_masks
from tests.unit.metrics.conftest import tissue_blocks

INTERIORS = {
    "fat": np.s_[18:38, 18:38],
    "lung": np.s_[18:38, 58:78],
    "bone": np.s_[58:78, 18:38],
    "air": np.s_[58:78, 58:78],
    "soft": np.s_[42:54, 42:54],
}


@pytest.mark.parametrize("tissue", list(INTERIORS))
def test_the_interior_of_a_tissue_belongs_to_it_alone(tissue):
    masks = tissue_masks(tissue_blocks()[0], np.ones((96, 96), bool), pixel_spacing_mm=(1.0, 1.0))
    for name, mask in masks.items():
        assert mask[INTERIORS[tissue]].all() == (name == tissue)
        assert mask[INTERIORS[tissue]].any() == (name == tissue)


def test_nothing_outside_the_body_belongs_to_a_tissue():
    body = np.zeros((96, 96), bool)
    body[20:60] = True
    masks = tissue_masks(tissue_blocks()[0], body, pixel_spacing_mm=(1.0, 1.0))
    assert not any(mask[~body].any() for mask in masks.values())


@pytest.mark.parametrize("spacing", [0.4, 0.75, 3.5])
def test_noise_moves_few_voxels_to_another_tissue(spacing):
    noisy = tissue_blocks()[0] + np.random.default_rng(0).normal(0, 20, (96, 96))
    masks = tissue_masks(noisy, np.ones((96, 96), bool), pixel_spacing_mm=(spacing, spacing))
    assert np.mean(masks["soft"][INTERIORS["soft"]]) > 0.95


def test_tissues_do_not_overlap():
    for one, other in pairwise(TISSUES):
        assert one.high_hu <= other.low_hu
