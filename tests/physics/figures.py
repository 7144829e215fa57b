"""Print what the checks of this folder measure: ``python -m tests.physics.figures``.

The tests assert these figures; the page docs/validation/simulator.md shows them.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np

from tests.physics import (
    test_added_noise,
    test_counts,
    test_directions,
    test_measured_counts,
    test_native_scans,
    test_noise_power,
    test_scanners,
)
from tests.physics.fan_scan import variance_and_error
from tests.physics.rays import Patch, isocentre_variance, log_change_moments, ray_noise


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def counts() -> None:
    for dose in (0.5, 0.1):
        noise = ray_noise(test_counts.added(dose, 0.0), 1e6)
        line(
            f"added variance at dose {dose}, over (1/a - 1)/N",
            f"{noise.var() * 1e6 * dose / (1 - dose):.4f}",
        )
    dose, electronic, photons = 0.1, 2000.0, 1e6
    noise = ray_noise(test_counts.added(dose, electronic), photons)
    expected = (1 - dose) / (dose * photons) + (1 - dose**2) * (electronic / dose / photons) ** 2
    line("the same where electronic noise dominates", f"{noise.var() / expected:.4f}")
    full = 100.0 / 0.25
    change = 100.0 * np.expm1(-ray_noise(test_counts.added(0.25, 0.0, dual_below=0.0), full))
    third = ((change - change.mean()) ** 3).mean()
    line(
        "third cumulant at 100 counts, over a (1 - a^2) N",
        f"{third / (0.25 * (1 - 0.25**2) * full):.3f}",
    )


def few_counts() -> None:
    """Worst deviations of own and added noise together, over all doses and electronic noises."""
    for name, starved in (("table", True), ("above the threshold", False)):
        shift, spread = [0.0], [0.0]
        for dose, electronic, expected in itertools.product(
            test_counts.DOSES, test_counts.ELECTRONICS, test_counts.FEW_COUNTS
        ):
            statistics = test_counts.added(dose, electronic)
            if (expected < statistics.starved_below) is not starved:
                continue
            noise = ray_noise(statistics, expected / dose)
            low = log_change_moments(expected, electronic)
            own = log_change_moments(expected / dose, electronic)
            shift.append(abs(float(noise.mean()) - low[0] + own[0]))
            spread.append(abs((float(noise.var()) + own[1]) / max(low[1], own[1]) - 1))
        line(f"few counts, {name}: worst mean, variance", f"{max(shift):.5f}", f"{max(spread):.4f}")
    for dose in (0.5, 0.25, 0.1):
        ratios = []
        for expected in (0.3, 1.0, 2.0, 3.0, 4.0):
            low = log_change_moments(expected, 5.5)[1]
            ratios.append(f"{max(low, log_change_moments(expected / dose, 5.5)[1]) / low:.2f}")
        line(f"least variance of a twin over a native scan's, dose {dose}", *ratios)


def shoulder() -> None:
    found = test_added_noise.shoulder_noise()
    low, full, added = (
        test_added_noise.slice_variances(found[name])[0] for name in ("low", "full", "added")
    )
    line("shoulder: SD of twin over counted", f"{np.sqrt((full + added) / low):.4f}")
    for name, shift in (("twin", found["added"]), ("counted", found["low"] - found["full"])):
        slopes = shift @ found["bias"] / (found["bias"] @ found["bias"])
        error = slopes.std() / np.sqrt(len(slopes))
        line(f"shoulder: bias of {name} over theory", f"{slopes.mean():.3f} +- {error:.3f}")


def spectra() -> None:
    for name, kernel in test_noise_power.KERNELS.items():
        spectrum, variance, _ = test_noise_power.power(name)
        measured = test_noise_power.radial(spectrum)
        expected = test_noise_power.radial(test_noise_power.theory(kernel))
        error = np.sqrt(((measured - expected) ** 2).mean()) / expected.max()
        step = 1 / (test_noise_power.PIXELS * test_noise_power.SPACING)
        total = test_noise_power.theory(kernel).sum() * step**2
        line(
            f"noise power, kernel {name}", f"NRMSE {error:.2%}", f"variance {variance / total:.3f}"
        )


def places() -> None:
    statistics = test_scanners.native_noise(1.0, electronic_noise=0.0, floor=1.0)
    for radius in (0.0, 120.0):
        for place in ((0.0, 0.0), (60.0, 0.0), (0.0, -90.0), (78.0, 78.0)):
            patch = Patch(test_scanners.WIDE, test_scanners.SOFT, centre_mm=place, pixels=20)
            lengths = test_scanners.disc_lengths(radius)
            variance, error = variance_and_error(
                patch.noise(lengths, statistics, photons=1e7, slices=96)
            )
            expected = test_scanners.expected_variance(patch, radius, 1e7)
            line(
                f"variance {np.hypot(*place):.0f} mm off the isocentre, disc of {radius:.0f} mm",
                f"{variance / expected:.3f} +- {error / expected:.3f}",
            )


def lcd() -> None:
    for dose, published in test_scanners.PUBLISHED_HU.items():
        log_variance = np.exp(test_scanners.LCD_MU * 200) / (dose * test_scanners.LCD_PHOTONS)
        unit = isocentre_variance(test_scanners.LCD, test_scanners.LCD_KERNEL, test_scanners.LCD_MU)
        sharp = test_scanners.lcd_deviation(dose, is_interpolated=False)[0]
        line(
            f"LCD-CT, dose {dose}",
            f"closed form {np.sqrt(log_variance * unit):.2f}",
            f"simulated {test_scanners.lcd_deviation(dose)[0]:.2f}",
            f"published {published}",
            f"without interpolation {sharp:.2f}",
        )


def chest() -> None:
    for dose in (0.25, 0.1):
        found = test_native_scans.comparison(dose)
        low, high = np.percentile(found["ratio"], [5, 95])
        line(
            f"chest at {dose}: SD of twin over native",
            f"{found['ratio'].mean():.4f}",
            f"5-95 % {low:.3f} to {high:.3f}",
            f"sampling error of a block {found['error'].mean():.3f}",
            f"mean bias {(found['twin_bias'] - found['counted_bias']).mean():.3f} HU",
        )


def ellipse() -> None:
    for dose in (0.5, 0.05):
        line(
            f"ellipse at {dose}: noise power across over along the short axis",
            f"{test_directions.measured_ratio(dose):.2f}",
            f"theory {test_directions.expected_ratio(dose):.2f}",
        )


def tooth() -> None:
    data = os.environ.get("CTDENOISE_TESTDATA", Path(__file__).parents[2] / "../shared/ctdata")
    if not Path(data).is_dir():
        return
    detector = test_measured_counts.read_detector(Path(data))
    means, variances, errors = test_measured_counts.variance_line(detector)
    expected = means + detector.electronic_noise**2
    line("tooth: electronic noise, quanta", f"{detector.electronic_noise:.2f}")
    for mean, ratio, error in zip(means, variances / expected, errors, strict=True):
        line(f"tooth: variance over the line at {mean:.0f} quanta", f"{ratio:.3f} +- {error:.3f}")


if __name__ == "__main__":
    for part in (counts, few_counts, shoulder, spectra, places, lcd, chest, ellipse, tooth):
        part()
