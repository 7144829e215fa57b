"""Random words of slices: what makes the noise of one differ from that of all others."""

from __future__ import annotations

import hashlib

import numpy as np

from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation.noise import Keys, slice_keys

_SAMPLE_STEP = 8
"""Every eighth pixel tells the content of a slice."""


def keys_of_slices(
    block: CTVolume, seed: int, dose: float, *, ahead: CTVolume | None = None, reach: int = 0
) -> Keys:
    """Two random words of each slice of a block and of the slices after it, [2, slice + reach].

    Args:
        block: Consecutive slices of a scan.
        seed: Seed of the noise.
        dose: Dose of the twin over that of the scan.
        ahead: The slices after the block. Where they are too few, words are made up, each slice
            after the last with its own.
        reach: How many slices after the block are wanted.
    """
    names = _names(block, seed, dose)
    if reach and ahead is not None:
        names += _names(ahead, seed, dose)[:reach]
    missing = block.shape[0] + reach - len(names)
    names += [names[-1] + f" and {index}".encode() for index in range(missing)]
    return slice_keys(names)


def _names(part: CTVolume, seed: int, dose: float) -> list[bytes]:
    """What tells each slice from all others: seed, dose, where the slice is and what it shows.

    The position makes equal slices of a phantom differ and lets a slice keep its noise when it is
    simulated without its neighbours. The content makes a second simulation, on top of a first
    one with the same seed, independent of it.
    """
    micrometres = np.rint(part.geometry.along_normal_mm() * 1000).astype(np.int64)
    samples = part.hu[:, ::_SAMPLE_STEP, ::_SAMPLE_STEP]
    return [
        f"{seed} {dose!r} {position} ".encode() + hashlib.blake2b(sample.tobytes()).digest()
        for position, sample in zip(micrometres, samples, strict=True)
    ]
