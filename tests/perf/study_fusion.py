"""How far a fused image is from the truth, by power and by how many scans moved.

    python tests/perf/study_fusion.py --size 256 --scans 4

One slice of the torso phantom, whose truth is known; scans with noise of its own each, correlated
like that of a smooth kernel; motion during a scan blurs along x. Prints RMSE in HU in the body.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy import ndimage

from ctdenoise.config.fusion import FuseSettings
from ctdenoise.config.phantom import PhantomSettings
from ctdenoise.core.body import body_mask
from ctdenoise.inference.fusion import fuse_slices
from ctdenoise.phantoms.build import build_phantom

POWERS = (0.0, 2.0, 5.0, 8.0, 11.0, 20.0)


def scans(truth, moved, options, rng):
    """Scans of the truth, the first `moved` of them blurred."""
    found = []
    for number in range(options.scans):
        image = truth
        if number < moved:
            image = ndimage.uniform_filter1d(truth, options.blur, axis=1, mode="nearest")
        noise = ndimage.gaussian_filter(rng.normal(size=truth.shape), 0.8)
        found.append((image + noise * (options.noise_hu / noise.std())).astype(np.float32))
    return found


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--scans", type=int, default=4)
    parser.add_argument("--noise-hu", type=float, default=20.0)
    parser.add_argument("--blur", type=int, default=7, help="pixels")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    truth = torso(options.size)
    body = body_mask(truth[None].astype(np.float32))[0]
    print(f"{options.scans} scans of {options.size} x {options.size}, {options.noise_hu:g} HU")
    print("power   " + "".join(f"{moved:>4} moved" for moved in range(options.scans)))
    for power in POWERS:
        settings = FuseSettings(power=power)
        row = []
        for moved in range(options.scans):
            rng = np.random.default_rng(moved)
            squares = [
                np.mean(
                    (fuse_slices(scans(truth, moved, options, rng), settings) - truth)[body] ** 2
                )
                for _ in range(options.repeats)
            ]
            row.append(float(np.sqrt(np.mean(squares))))
        print(f"{power:5g}   " + "".join(f"{value:10.2f}" for value in row))


def torso(size):
    """The middle slice of the torso phantom, HU [y, x]."""
    settings = PhantomSettings.model_validate(
        {"phantom": {"name": "torso"}, "grid": {"size": size, "slices": 1}}
    )
    return build_phantom(settings).volume.hu[0].astype(np.float64)


if __name__ == "__main__":
    main()
