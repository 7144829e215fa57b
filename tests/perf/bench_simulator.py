"""Speed and accuracy of the simulator against other libraries, in one run.

Run it by ``make bench-simulate``. It prints processor time for one slice of 512 x 512 pixels, which
other work on the machine disturbs less than the clock on the wall, and ratios, which it disturbs
least. Libraries that are not installed are named and left out. Nothing is asserted.
"""

from __future__ import annotations

import importlib
import resource
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType

import numba
import numpy as np
from skimage.transform import iradon, radon

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.volume import CTVolume
from ctdenoise.simulation import fbp, insertion, parallel, projection
from ctdenoise.simulation.kernels import add_to_slices
from ctdenoise.simulation.low_dose import simulate_low_dose
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.noise import added_noise, slice_keys
from ctdenoise.simulation.projection import JosephProjector
from ctdenoise.simulation.vectors import LANES, aligned_zeros

SLICES = 32
SIZE = 512
PIXEL_MM = 0.78
WHOLE_SCAN = 300
MODEL_ACQUISITION = Acquisition(kvp=120.0)
HALF_AXES_MM = (150.0, 90.0)
"""Of the ellipse whose chords are known."""

STAGES = (
    (insertion, "gather_attenuation"),
    (projection, "project_lines"),
    (insertion, "draw_log_noise"),
    (parallel, "draw_log_noise"),
    (fbp, "filter_channels"),
    (parallel, "filter_to_pairs"),
    (fbp, "back_project_fan"),
    (fbp, "filter_to_pairs"),
    (fbp, "back_project_pairs"),
    (parallel, "back_project_parallel"),
    (parallel, "sum_variances"),
    (parallel, "multiply_smooth"),
)
"""Where the simulator's parts are called, and their names."""


def torso(slices: int) -> CTVolume:
    """An ellipse of water with two lungs, the same in every slice."""
    axis = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    x, y = axis[None], axis[:, None]
    image = np.where((x / 170) ** 2 + (y / 115) ** 2 <= 1, 0.0, -1000.0)
    image[((np.abs(x) - 80) / 55) ** 2 + (y / 80) ** 2 <= 1] = -800
    geometry = Geometry.axial((slices, SIZE, SIZE), pixel_spacing_mm=PIXEL_MM, slice_spacing_mm=1.0)
    hu = np.repeat(image[None].astype(np.float32), slices, axis=0)
    return CTVolume(hu, geometry, MODEL_ACQUISITION)


def cpu_seconds(work: Callable[[], object], *, repeats: int = 3) -> float:
    """Least processor time of a few runs, after one that compiles and fills caches."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


@contextmanager
def timed_stages(seconds: dict[str, float]):
    """Add up the processor time of each part of the simulator."""

    def timed(name: str, function: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            start = time.process_time()
            result = function(*args, **options)
            seconds[name] = seconds.get(name, 0.0) + time.process_time() - start
            return result

        return call

    before = [(module, name, getattr(module, name)) for module, name in STAGES]
    for module, name, function in before:
        setattr(module, name, timed(name, function))
    try:
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


def bench_ours(model: ScanModel, volume: CTVolume, geometry: str) -> float:
    """Core-ms a slice of the whole simulation in a geometry; prints the parts."""
    worker = parallel.insertion_of(replace(model, geometry=geometry))
    rule = added_noise(0.25, electronic_noise=5.5, floor=1.0, dual_below=100.0)
    keys = slice_keys([bytes([index]) for index in range(SLICES)])
    photons = np.full(SLICES, 4e5, np.float32)
    out = np.empty_like(volume.hu)

    def simulate() -> None:
        image = worker.draw(worker.project(volume.hu), rule, photons=photons, keys=keys)
        add_to_slices(image, volume.hu, out)

    whole = 1e3 * cpu_seconds(simulate) / SLICES
    print(f"ours, {geometry:23s} {whole:9.1f} core-ms a slice")
    seconds: dict[str, float] = {}
    with timed_stages(seconds):
        simulate()
    for name, part in seconds.items():
        print(f"    {name:25s} {1e3 * part / SLICES:9.2f}")
    return whole


def bench_whole_scan() -> None:
    """Time and memory of a scan that is in memory already, calibration included."""
    scan = torso(WHOLE_SCAN)
    settings = SimulateSettings(source_noise="none")
    start, cpu_start = time.perf_counter(), time.process_time()
    simulate_low_dose(scan, settings, np.random.default_rng(1))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    threads = numba.get_num_threads()
    print(f"{WHOLE_SCAN} slices from memory: {wall:.1f} s on {threads} threads, {cpu:.1f} core-s")
    print(f"peak memory: {peak_gb():.2f} GB, of which scan and twin {2 * scan.hu.nbytes / 1e9:.2f}")


def peak_gb() -> float:
    """Most memory that this process has used so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def report(name: str, forward: float, backward: float, ours: dict[str, float]) -> None:
    """Print the times of another library, seconds a slice, and how they compare with ours."""
    total = 1e3 * (forward + backward)
    times = f"{1e3 * forward:9.1f} + {1e3 * backward:.1f} = {total:.1f} core-ms a slice"
    ratios = ", ".join(f"{total / each:.0f} x {kind}" for kind, each in ours.items())
    print(f"{name:29s} {times}; {ratios}")


def peer(name: str) -> ModuleType | None:
    """Another library, or None if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        print(f"{name:29s} not here: {error}")
        return None


def bench_scikit_image(image: np.ndarray, views: int, ours: dict[str, float]) -> None:
    """Parallel rays, half as many views over half a turn."""
    angles = np.linspace(0, 180, views // 2, endpoint=False)
    sinogram = radon(image, angles, circle=False)
    forward = cpu_seconds(lambda: radon(image, angles, circle=False), repeats=1)
    backward = cpu_seconds(lambda: iradon(sinogram, angles, circle=False), repeats=1)
    report("scikit-image radon, iradon", forward, backward, ours)


def bench_astra(astra: ModuleType, model: ScanModel, image: np.ndarray, ours: dict) -> None:
    """ASTRA on the processor: line kernel, flat detector; it has no fan-beam FBP there."""
    fan = model.fan
    pitch = fan.channel_width_mm  # a detector through the isocentre
    angles = fan.view_angles
    beam = astra.create_proj_geom("fanflat", pitch, fan.channels, angles, fan.distance_mm, 0.0)
    half = SIZE * PIXEL_MM / 2
    pixels = astra.create_vol_geom(SIZE, SIZE, -half, half, -half, half)
    projector = astra.create_projector("line_fanflat", beam, pixels)
    volume = astra.data2d.create("-vol", pixels, image)
    sinogram = astra.data2d.create("-sino", beam, 0.0)
    seconds = {}
    for name in ("FP", "BP"):
        config = astra.astra_dict(name)
        config["ProjectorId"] = projector
        config["ProjectionDataId"] = sinogram
        config["VolumeDataId" if name == "FP" else "ReconstructionDataId"] = volume
        algorithm = astra.algorithm.create(config)
        seconds[name] = cpu_seconds(lambda at=algorithm: astra.algorithm.run(at), repeats=1)
    report("ASTRA line_fanflat, FP + BP", seconds["FP"], seconds["BP"], ours)
    astra.data2d.store(volume, ellipse())
    config = astra.astra_dict("FP")
    config |= {"ProjectorId": projector, "ProjectionDataId": sinogram, "VolumeDataId": volume}
    astra.algorithm.run(astra.algorithm.create(config))
    gamma = np.arctan((np.arange(fan.channels) - (fan.channels - 1) / 2) * pitch / fan.distance_mm)
    accuracy("ASTRA", astra.data2d.get(sinogram), angles, -gamma, fan.distance_mm)  # turns so


def bench_leap(leap: ModuleType, model: ScanModel, image: np.ndarray, ours: dict) -> None:
    """LEAP on the processor: its own projector and fan-beam FBP."""
    fan = model.fan
    scanner = leap.tomographicModels()
    scanner.set_gpu(-1)
    degrees = np.degrees(fan.view_angles).astype(np.float32)
    pitch, middle = fan.channel_width_mm, (fan.channels - 1) / 2
    scanner.set_fanbeam(
        *(fan.views, 1, fan.channels, pitch, pitch, 0.0, middle),
        *(degrees, fan.distance_mm, fan.distance_mm),
    )
    scanner.set_volume(SIZE, SIZE, 1, PIXEL_MM, PIXEL_MM)
    data = np.zeros((fan.views, 1, fan.channels), np.float32)
    volume = np.ascontiguousarray(image[None], np.float32)
    forward = cpu_seconds(lambda: scanner.project(data, volume), repeats=1)
    backward = cpu_seconds(lambda: scanner.FBP(data, volume), repeats=1)
    report("LEAP project, FBP", forward, backward, ours)


def ellipse() -> np.ndarray:
    """An ellipse of ones; pixels on its edge hold the share that they cover."""
    parts = 8
    axis = (np.arange(SIZE * parts) - (SIZE * parts - 1) / 2) * (PIXEL_MM / parts)
    inside = (axis[None] / HALF_AXES_MM[0]) ** 2 + (axis[:, None] / HALF_AXES_MM[1]) ** 2 <= 1
    return inside.reshape(SIZE, parts, SIZE, parts).mean(axis=(1, 3)).astype(np.float32)


def accuracy(
    name: str, measured: np.ndarray, views: np.ndarray, gamma: np.ndarray, distance_mm: float
) -> None:
    """Print how far line integrals of `ellipse`, [view, channel], are from its chords."""
    normal = views[:, None] + gamma
    a, b = HALF_AXES_MM
    reach = (a * np.cos(normal)) ** 2 + (b * np.sin(normal)) ** 2
    offset = (distance_mm * np.sin(gamma)) ** 2
    exact = 2 * a * b * np.sqrt(np.maximum(reach - offset, 0)) / reach
    error = np.sqrt(np.mean((measured - exact)[exact > 0] ** 2)) / exact.max()
    print(f"    {name} projects an ellipse with an error of {100 * error:.3f} % of its long chord")


def main() -> None:
    """Measure and print."""
    volume = torso(SLICES)
    model = ScanModel.of(volume.geometry, MODEL_ACQUISITION, SimulateSettings())
    ours = {kind: bench_ours(model, volume, kind) for kind in ("fan", "parallel", "rebinned")}
    images = aligned_zeros(SIZE, SIZE, LANES)
    images[...] = ellipse()[:, :, None]
    projector = JosephProjector(model.fan, model.grid)
    full = 1e3 * cpu_seconds(lambda: projector.project(images), repeats=1) / LANES
    print(f"ours, projection of every ray {full:8.1f} core-ms a slice")
    sinogram = projector.project(images)[:, :, 0]
    accuracy("ours", sinogram, model.fan.view_angles, model.fan.fan_angles, model.fan.distance_mm)
    bench_whole_scan()
    image = (1 + volume.hu[0] / 1000).astype(np.float32)
    bench_scikit_image(image, model.fan.views, ours)
    for name, bench in (("astra", bench_astra), ("leapctype", bench_leap)):
        module = peer(name)
        if module is not None:
            bench(module, model, image, ours)


if __name__ == "__main__":
    main()
