"""`evaluate --study bench`: a denoiser judged on scanned phantoms whose truth is known.

Rods of many contrasts in water, water, a texture like tissue, and a tilted slab, scanned at several
doses: what is left of resolution at each contrast, in the slices and along z; of the noise, in
water and in texture; and of the Hounsfield units.
"""

from __future__ import annotations

import numpy as np

from ctdenoise.config.bench import BenchSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import stream
from ctdenoise.inference.denoiser import Denoiser
from ctdenoise.metrics.measured import Measured
from ctdenoise.tasks.bench_accuracy import accuracy_figures
from ctdenoise.tasks.bench_noise import noise_figures, texture_noise, water_noise
from ctdenoise.tasks.bench_resolution import rod_figures, rod_transfers, slab_figures
from ctdenoise.tasks.bench_scans import BenchScans


def measure_bench(
    denoiser: Denoiser,
    settings: BenchSettings,
    *,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Measured:
    """What a denoiser does to scanned phantoms.

    Args:
        denoiser: Any.
        settings: The phantoms, the scanner, its kernels and doses.
        seed: Same seed, same noise and same intervals.
        progress: Told about planes that are projected and scans that are denoised.

    Raises:
        UsageError: If the rods are too near to each other.
        SettingsError: If the scanner cannot be.
    """
    found = Measured()
    for kernel in settings.kernels:
        bench = BenchScans(settings, kernel, seed=seed, progress=progress)
        suffix = f", {kernel.name}" if len(settings.kernels) > 1 else ""
        rng = stream(seed, "bench intervals", kernel.name)
        found += _measured(denoiser, bench, suffix=suffix, rng=rng, progress=progress)
    conditions: dict[str, JsonValue] = {
        "kernels": [kernel.name for kernel in settings.kernels],
        "doses": list(settings.dose_fractions),
        "main_dose": settings.main_dose_fraction,
        "water_mm": settings.diameter_mm,
        "slices": settings.slices,
        "slice_mm": settings.scan.slice_thickness_mm,
        "pixel_mm": round(settings.scan.field_of_view_mm / settings.scan.size, 4),
        "texture_hu": settings.texture.deviation_hu,
        "seed": seed,
    }
    return found + Measured(conditions=(("bench", conditions),))


def bench_slices(settings: BenchSettings) -> int:
    """How many slices of `settings.scan.size` pixels squared are denoised.

    Args:
        settings: The phantoms, kernels and doses.
    """
    with_rods_and_without = 2 * len(settings.dose_fractions)
    slabs = len(settings.slice_edge.contrasts_hu)
    texture = settings.texture
    textured = texture.slices * texture.repeats if texture.deviation_hu else 0
    each = (with_rods_and_without + slabs) * settings.slices + textured
    return each * len(settings.kernels)


def _measured(
    denoiser: Denoiser,
    bench: BenchScans,
    *,
    suffix: str,
    rng: np.random.Generator,
    progress: Progress,
) -> Measured:
    doses = bench.settings.dose_fractions
    total = sum(bench.scans(dose) for dose in doses)
    with progress.stage(f"Denoising phantoms, kernel {bench.kernel.name}", total) as advance:
        scans = [bench.denoised(denoiser, dose, advance=advance) for dose in doses]
    main = scans[doses.index(bench.settings.main_dose_fraction)]
    transfers = rod_transfers(bench, scans, rng=rng)
    found = rod_figures(bench, transfers, suffix=suffix)
    found += slab_figures(bench, main, rng=rng, suffix=suffix)
    noise = [water_noise(bench, one, suffix=suffix) for one in scans]
    textured = texture_noise(bench, main, suffix=suffix)
    noise += [] if textured is None else [textured]
    found += noise_figures(bench, noise, rng=rng)
    return found + accuracy_figures(bench, scans, suffix=suffix)
