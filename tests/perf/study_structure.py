"""The structure correlation on real scans: noise that was added, and four ways to take it away.

Run it as ``python -m tests.perf.study_structure ../shared/ctdata/series/siemens_chest``. To three
slices of each series band-limited noise of 30 HU is added. All of it, half of it, a Gaussian filter
and non-local means take it away again; the scan itself is the reference.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from ctdenoise.config.evaluation import EvaluateSettings
from ctdenoise.core.provenance import Step
from ctdenoise.io.read import open_series
from ctdenoise.metrics.evaluation import evaluate

NOISE_HU = 30.0


def added_noise(shape: tuple[int, ...]) -> np.ndarray:
    """Noise that is white between two Gaussians of 0.8 and 2.5 pixels."""
    white = np.random.default_rng(0).normal(size=shape)
    band = ndimage.gaussian_filter(white, (0, 0.8, 0.8)) - ndimage.gaussian_filter(
        white, (0, 2.5, 2.5)
    )
    return NOISE_HU * band / band.std()


def means(image: np.ndarray) -> np.ndarray:
    """Non-local means of a slice."""
    return denoise_nl_means(image, patch_size=5, patch_distance=6, h=30, sigma=28)


def study(folder: Path) -> None:
    """Print a row for each way."""
    with open_series(folder) as reader:
        slices = reader.shape[0]
        full = reader.read([slices // 4, slices // 2, 3 * slices // 4])
    noise = added_noise(full.shape)
    low = full.hu + noise
    ways = {
        "all of it": full.hu,
        "half of it": full.hu + noise / 2,
        "Gaussian of 1.2 pixels": ndimage.gaussian_filter(low, (0, 1.2, 1.2)),
        "non-local means": np.stack([means(image) for image in low]),
    }
    volumes = {
        name: full.with_hu(hu.astype(np.float32), Step("study", {}))
        for name, hu in {"input": low, **ways}.items()
    }
    for name in ways:
        found = evaluate(full, volumes[name], EvaluateSettings(vif=False), before=volumes["input"])
        values = (found[key].text for key in ("structure_correlation", "rmse"))
        print(folder.name, name, *values, sep=" | ", flush=True)


if __name__ == "__main__":
    for place in sys.argv[1:]:
        study(Path(place))
