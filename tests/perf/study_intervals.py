"""How often the intervals of a cohort hold the mean of all patients, by how they are found.

Run it as ``python -m tests.perf.study_intervals``; it takes some tens of seconds. Cohorts of a few
patients are drawn from a normal and from a skewed distribution (lognormal, sigma 0.6), and each of
four intervals of 95 % is put around their mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from ctdenoise.metrics.statistics import mean_interval

COHORTS, RESAMPLES = 2000, 2000
PATIENTS = (3, 4, 5, 6, 8, 10, 15, 30)
Ends = tuple[float, float]


def percentile(values: np.ndarray, means: np.ndarray) -> Ends:
    """Quantiles of the means of resamples."""
    del values
    low, high = np.quantile(means, (0.025, 0.975))
    return low, high


def accelerated(values: np.ndarray, means: np.ndarray) -> Ends:
    """Bias-corrected and accelerated (Efron 1987)."""
    below = np.mean(means < values.mean()) + np.mean(means == values.mean()) / 2
    bias = stats.norm.ppf(np.clip(below, 1e-4, 1 - 1e-4))
    without = (values.sum() - values) / (len(values) - 1)
    apart = without.mean() - without
    skew = np.sum(apart**3) / (6 * np.sum(apart**2) ** 1.5)
    normal = bias + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(means, stats.norm.cdf(bias + normal / (1 - skew * normal)))
    return low, high


def student(values: np.ndarray, means: np.ndarray) -> Ends:
    """Student's t."""
    del means
    reach = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return values.mean() - reach, values.mean() + reach


def ours(values: np.ndarray, means: np.ndarray) -> Ends:
    """As the product has it."""
    del means
    found = mean_interval(values, seed=0, samples=RESAMPLES)
    return found.low, found.high


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], Ends]] = {
    "percentile": percentile,
    "BCa": accelerated,
    "Student": student,
    "ctdenoise": ours,
}


def main() -> None:
    """Print the share of intervals that hold the truth, and their mean width."""
    print("patients", "shape", *(f"{name} (width)" for name in WAYS), sep=" | ")
    for shape, sigma, true in (("normal", 0.0, 0.0), ("skewed", 0.6, math.exp(0.18))):
        for count in PATIENTS:
            rng = np.random.default_rng(count)
            places = rng.integers(0, count, (RESAMPLES, count))
            held, width = dict.fromkeys(WAYS, 0), dict.fromkeys(WAYS, 0.0)
            for _ in range(COHORTS):
                normal = rng.normal(size=count)
                values = np.exp(sigma * normal) if sigma else normal
                means = values[places].mean(axis=1)
                for name, way in WAYS.items():
                    low, high = way(values, means)
                    held[name] += low <= true <= high
                    width[name] += (high - low) / COHORTS
            cells = (f"{100 * held[name] / COHORTS:.1f} % ({width[name]:.2f})" for name in WAYS)
            print(count, shape, *cells, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
