"""Phantoms that are drawn at random, from their settings to voxels."""

from __future__ import annotations

from typing import assert_never

from ctdenoise.config.phantom_random import (
    AnyRandomPhantom,
    BlobsSettings,
    DeadLeavesSettings,
    VesselsSettings,
)
from ctdenoise.core.geometry import Geometry
from ctdenoise.phantoms import blobs, dead_leaves, vessels
from ctdenoise.phantoms.painted import Painted


def random_labels(settings: AnyRandomPhantom) -> tuple[str, ...]:
    """Names of the labels of a phantom, from number 1.

    Args:
        settings: Which phantom.
    """
    match settings:
        case DeadLeavesSettings():
            return dead_leaves.LABELS
        case BlobsSettings():
            return blobs.LABELS
        case VesselsSettings():
            return vessels.LABELS
        case _:
            assert_never(settings)


def paint_at_random(
    settings: AnyRandomPhantom, geometry: Geometry, *, slice_thickness_mm: float, seed: int
) -> Painted:
    """Draw a phantom onto a grid.

    Args:
        settings: Which phantom.
        geometry: An axial grid.
        slice_thickness_mm: What a slice averages over along z.
        seed: Decides everything random.
    """
    match settings:
        case DeadLeavesSettings():
            return dead_leaves.paint_dead_leaves(
                settings, geometry, slice_thickness_mm=slice_thickness_mm, seed=seed
            )
        case BlobsSettings():
            return blobs.paint_blobs(
                settings, geometry, slice_thickness_mm=slice_thickness_mm, seed=seed
            )
        case VesselsSettings():
            return vessels.paint_vessels(
                settings, geometry, slice_thickness_mm=slice_thickness_mm, seed=seed
            )
        case _:
            assert_never(settings)
