"""How often the interval of a ratio of d' holds the true ratio, from few images and many.

Run it as ``python tests/perf/study_paired_observers.py [repeats]``. Responses of channels before
and after denoising are drawn from a normal distribution with a known d' each and noise that both
share in part; the bootstrap of `metrics.paired_cho` judges them. Nothing is asserted.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from ctdenoise.metrics.paired_cho import change_of_responses

DRAWS = 500


@dataclass(frozen=True)
class Setting:
    """One kind of study: channels, images of each kind, true d', correlation of the noise."""

    channels: int
    images: int
    before: float
    after: float
    shared: float


SETTINGS = (
    Setting(5, 20, 3.0, 3.0, 0.9),
    Setting(5, 50, 2.0, 1.8, 0.8),
    Setting(5, 50, 1.0, 0.9, 0.8),
    Setting(5, 100, 4.0, 3.6, 0.9),
    Setting(5, 200, 0.6, 0.6, 0.9),
    Setting(10, 50, 2.0, 1.8, 0.9),
    Setting(10, 200, 2.0, 1.8, 0.9),
    Setting(16, 50, 2.0, 1.8, 0.8),
    Setting(40, 200, 3.0, 2.8, 0.8),
)


def main() -> None:
    """Print one line per setting."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print("channels images  d' before after shared | coverage: ratio  difference | median width")
    for one in SETTINGS:
        ratio, difference, width = coverage(one, repeats)
        print(
            f"{one.channels:8d} {one.images:6d} {one.before:10.2f} {one.after:5.2f} "
            f"{one.shared:6.2f} | {ratio:15.3f} {difference:11.3f} | {width:.3f}",
            flush=True,
        )


def coverage(setting: Setting, repeats: int) -> tuple[float, float, float]:
    """Shares of the repeats that hold the true ratio and difference; width for the ratio."""
    rng = np.random.default_rng(1)
    signal = np.eye(setting.channels)[0]
    held, widths = [], []
    for _ in range(repeats):
        noise = rng.normal(size=(2, 2, setting.images, setting.channels))
        later = setting.shared * noise[0] + np.sqrt(1 - setting.shared**2) * noise[1]
        found = change_of_responses(
            (noise[0, 0] + setting.before * signal, noise[0, 1]),
            (later[0] + setting.after * signal, later[1]),
            "",
            rng=rng,
            draws=DRAWS,
        )
        ratio, difference = found.ratio_interval, found.difference_interval
        held.append(
            (
                ratio.low <= setting.after / setting.before <= ratio.high,
                difference.low <= setting.after - setting.before <= difference.high,
            )
        )
        widths.append(ratio.high - ratio.low)
    shares = np.mean(held, axis=0)
    return float(shares[0]), float(shares[1]), float(np.median(widths))


if __name__ == "__main__":
    main()
