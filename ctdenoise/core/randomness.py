"""Independent random streams from one seed, the same for any number of workers."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """A random stream of its own for a named piece of work.

    Args:
        seed: The run's seed.
        names: What the stream is for: a study, a slice number, an epoch. The same names give the
            same stream, whatever the order or the number of workers that ask.
    """
    text = "\x1f".join(str(name) for name in names)
    words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype=np.uint32)
    return np.random.default_rng(np.random.SeedSequence([seed, *words.tolist()]))


def draw_seed(rng: np.random.Generator) -> int:
    """A 63-bit seed drawn from a stream, to be recorded and handed to counter-based generators."""
    return int(rng.integers(0, 2**63 - 1))
