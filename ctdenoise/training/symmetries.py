"""The eight symmetries of a square, by which patches are turned and mirrored."""

from __future__ import annotations

from ctdenoise.core.arrays import FloatArray

SYMMETRIES = 8
"""Symmetries of a square. Of the number 0 to 7, bit 0 mirrors rows, bit 1 mirrors columns and
bit 2 transposes, in that order."""


def turned(patch: FloatArray, symmetry: int) -> FloatArray:
    """A patch, turned.

    Args:
        patch: [y, x], square.
        symmetry: Which of them, 0 to 7.
    """
    patch = patch[::-1] if symmetry & 1 else patch
    patch = patch[:, ::-1] if symmetry & 2 else patch
    return patch.T if symmetry & 4 else patch
