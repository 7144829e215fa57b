"""The scanned phantoms of `--study bench`: volumes before and after a denoiser.

All volumes of a dose share the noise of one scan of the rods. A denoiser is settled on the scan of
the rods once, and denoises the others as if they were parts of it: with the rods, without them, and
with a slab instead. So the difference with and without is the response to the rods alone,
r = D(x + s) - D(x), also where noise is far stronger than they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import fft

from ctdenoise.config.bench import BenchKernelSettings, BenchSettings
from ctdenoise.config.kernels import GaussianKernelSettings
from ctdenoise.config.phantom import InsertSettings, RodsSettings
from ctdenoise.core.arrays import BoolArray, DoubleArray, HuArray
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import Step
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.inference.denoiser import Denoiser, Denoising
from ctdenoise.inference.method import Block, Sample, plan_blocks
from ctdenoise.metrics.circular_edge import CircularEdge
from ctdenoise.metrics.straight_edge import StraightEdge
from ctdenoise.phantoms.rods import rods_shapes
from ctdenoise.phantoms.texture import power_law_field
from ctdenoise.tasks.native_scan import NativeScan

_REACH_MM = 5.0
"""Water around each rod, and how far on either side of its edge a TTF looks."""

_RIM_MM = 15.0
"""What is nearer than this to the surface of the water is left out."""

_SLAB_REACH_SLICES = 3.0
"""How many slices on either side of its face a slab is looked at."""


@dataclass(frozen=True, slots=True)
class Rod:
    """A rod and where it is.

    Args:
        hu: Its contrast against water.
        edge: Its circle in every slice.
    """

    hu: float
    edge: CircularEdge

    @property
    def name(self) -> str:
        """For people and keys: "115 HU"."""
        return f"{self.hu:g} HU"


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """The same slices before and after a denoiser, HU [slice, y, x]."""

    before: DoubleArray
    after: DoubleArray

    def __sub__(self, other: Pair) -> Pair:
        return Pair(self.before - other.before, self.after - other.after)


@dataclass(frozen=True, slots=True, eq=False)
class DoseScans:
    """What a denoiser made of the scans of one dose.

    Args:
        dose_fraction: The dose.
        rods: With the rods.
        water: The same noise without them.
        slabs: The same noise with a slab instead, by its contrast; at the main dose only.
        textures: Repeats of a texture with noise of their own; at the main dose only.
    """

    dose_fraction: float
    rods: Pair
    water: Pair
    slabs: dict[float, Pair]
    textures: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """For people and keys: "25 %"."""
        return f"{100 * self.dose_fraction:g} %"


class BenchScans:
    """The phantoms, scanned with one kernel.

    Args:
        settings: The phantoms and the scanner.
        kernel: The kernel.
        seed: Same seed, same noise.
        progress: Told about the planes that are projected.

    Raises:
        UsageError: If the rods are too near to each other or too far out, patches are too large, or
            the face of the slab is too flat.
    """

    def __init__(
        self,
        settings: BenchSettings,
        kernel: BenchKernelSettings,
        *,
        seed: int,
        progress: Progress = SILENT,
    ) -> None:
        self.settings = settings
        self.kernel = kernel
        scan = settings.scan.replaced(kernel=kernel.kernel)
        spacing = scan.field_of_view_mm / scan.size
        self.pixel_spacing_mm = (spacing, spacing)
        self.slice_mm = scan.slice_thickness_mm
        self._seed = draw_seed(stream(seed, "bench", kernel.name))
        self._noise_seed = draw_seed(stream(seed, "bench texture", kernel.name))
        inserts, self.rods = _rods(settings, scan.size, spacing)
        _require_room(settings, spacing)
        textured = settings.texture.slices if settings.texture.deviation_hu else 1
        heights, few = (
            tuple(float(z) for z in self.slice_mm * np.arange(slices))
            for slices in (settings.slices, textured)
        )
        phantom = RodsSettings(diameter_mm=settings.diameter_mm, inserts=inserts)
        self._rods = NativeScan(rods_shapes(phantom), scan, positions_mm=heights, progress=progress)
        empty = rods_shapes(RodsSettings(diameter_mm=settings.diameter_mm, inserts=()))
        self._water = NativeScan(empty, scan, positions_mm=few, progress=progress)
        self.water_hu: HuArray = self._water.without_noise().hu[0]
        self.rods_hu: HuArray = self._rods.without_noise().hu[0]

    @property
    def distance_mm(self) -> DoubleArray:
        """Of each pixel from the isocentre, mm [y, x]."""
        size = self.water_hu.shape[0]
        middle = CircularEdge(((size - 1) / 2,) * 2, 1.0)
        return middle.distance_mm((size, size), self.pixel_spacing_mm)

    @property
    def even_water(self) -> BoolArray:
        """Water that is not near to its surface, [y, x]."""
        return self.distance_mm < self.settings.diameter_mm / 2 - _RIM_MM

    @property
    def response(self) -> DoubleArray:
        """What the scanner makes of the rods without noise, s, HU [1, y, x]."""
        return (self.rods_hu.astype(np.float64) - self.water_hu)[None]

    def denoised(
        self, denoiser: Denoiser, dose_fraction: float, *, advance: Callable[[], None]
    ) -> DoseScans:
        """All scans of one dose, before and after.

        Args:
            denoiser: Any.
            dose_fraction: The dose.
            advance: Called after every scan that was denoised.
        """
        rods = self._rods.scan(dose_fraction, seed=self._seed)
        denoising = denoiser.settle(Sample.of(rods, denoiser.context), rods)

        def pair(hu: HuArray) -> Pair:
            volume = rods.with_hu(hu, Step("bench", {}))
            after = _denoised(denoising, volume, denoiser.context)
            advance()
            return Pair(hu.astype(np.float64), after)

        noise = rods.hu - self.rods_hu
        water = noise + self.water_hu
        slabs: dict[float, Pair] = {}
        textures: tuple[Pair, ...] = ()
        if dose_fraction == self.settings.main_dose_fraction:
            slabs = {
                contrast: pair(water + contrast * self._slab())
                for contrast in self.settings.slice_edge.contrasts_hu
            }
            textures = self._textures(denoiser, dose_fraction, advance)
        return DoseScans(dose_fraction, pair(rods.hu), pair(water), slabs, textures)

    def scans(self, dose_fraction: float) -> int:
        """How many scans of a dose are denoised."""
        if dose_fraction != self.settings.main_dose_fraction:
            return 2
        texture = self.settings.texture
        repeats = texture.repeats if texture.deviation_hu else 0
        return 2 + len(self.settings.slice_edge.contrasts_hu) + repeats

    @property
    def slab_edge(self) -> StraightEdge:
        """The face of the slab in the plane [z, x] of `slab_columns`."""
        slope = self.settings.slice_edge.slope
        columns = self.slab_columns
        middle_mm = (len(columns) - 1) / 2 * self.pixel_spacing_mm[1]
        height_mm = (self.settings.slices - 1) / 2 * self.slice_mm
        reach = min(_SLAB_REACH_SLICES * self.slice_mm, 0.8 * height_mm)
        return StraightEdge(height_mm - slope * middle_mm, slope, reach)

    @property
    def slab_columns(self) -> range:
        """The columns, and rows, that the slab is looked at in."""
        size = self.water_hu.shape[0]
        half = int(_slab_half_mm(self.settings) / self.pixel_spacing_mm[0])
        middle = size // 2
        return range(max(0, middle - half), min(size, middle + half))

    def _slab(self) -> HuArray:
        """Share of the slab in each voxel, [z, y, x]: slices average over their thickness."""
        edge = self.slab_edge
        slices, size = self.settings.slices, self.water_hu.shape[0]
        x_mm = (np.arange(size) - self.slab_columns.start) * self.pixel_spacing_mm[1]
        face_mm = edge.intercept_mm + edge.slope * x_mm
        above = np.arange(slices)[:, None] * self.slice_mm - face_mm
        share = np.clip(above / self.slice_mm + 0.5, 0.0, 1.0)
        within = np.clip(self.settings.diameter_mm / 2 - _RIM_MM / 2 - self.distance_mm, 0.0, 1.0)
        return np.asarray(share[:, None, :] * within, dtype=np.float32)

    def _textures(
        self, denoiser: Denoiser, dose_fraction: float, advance: Callable[[], None]
    ) -> tuple[Pair, ...]:
        texture = self.settings.texture
        if not texture.deviation_hu:
            return ()
        field = self._texture_field()
        pairs = []
        denoising: Denoising | None = None
        for repeat in range(texture.repeats):
            scan = self._water.scan(dose_fraction, seed=self._noise_seed, repeat=repeat)
            volume = scan.with_hu(scan.hu + field, Step("bench", {}))
            if denoising is None:
                denoising = denoiser.settle(Sample.of(volume, denoiser.context), volume)
            after = _denoised(denoising, volume, denoiser.context)
            pairs.append(Pair(volume.hu.astype(np.float64), after))
            advance()
        return tuple(pairs)

    def _texture_field(self) -> HuArray:
        """The texture as the scanner shows it, HU [z, y, x]."""
        texture = self.settings.texture
        shape = (texture.slices, *self.water_hu.shape)
        field = power_law_field(
            shape,
            (self.slice_mm, *self.pixel_spacing_mm),
            stream(self._seed, "texture"),
            exponent=texture.exponent,
        )
        if isinstance(self.kernel.kernel, GaussianKernelSettings):
            field = _blurred(field, self.kernel.kernel.f50_per_mm, self.pixel_spacing_mm[0])
        field *= texture.deviation_hu / field.std()
        inside = np.clip(self.settings.diameter_mm / 2 - 2 - self.distance_mm, 0.0, 1.0)
        return np.asarray(field * inside, dtype=np.float32)


def _denoised(denoising: Denoising, volume: CTVolume, context: int) -> DoubleArray:
    """A volume by a denoiser that was settled on another with the same noise."""
    result = np.empty(volume.shape)
    plans = plan_blocks(volume.shape[0], size=denoising.block_slices, context=context)
    for plan in plans:
        block = Block(volume.select(plan.outer), plan.outer.start, plan.inner)
        result[block.places.start : block.places.stop] = denoising.denoise(block).volume.hu
    return result


def _blurred(field: HuArray, f50_per_mm: float, spacing_mm: float) -> HuArray:
    """Slices through a Gaussian transfer function."""
    fy = fft.fftfreq(field.shape[1], spacing_mm)[:, None]
    fx = fft.rfftfreq(field.shape[2], spacing_mm)
    gain = np.exp2(-(fy**2 + fx**2) / f50_per_mm**2)
    return np.asarray(fft.irfft2(fft.rfft2(field) * gain, s=field.shape[1:]), dtype=np.float32)


def _rods(
    settings: BenchSettings, size: int, spacing_mm: float
) -> tuple[tuple[InsertSettings, ...], tuple[Rod, ...]]:
    """The rods on their circle, and where they are in a slice."""
    turn = 2 * np.pi / len(settings.rods)
    inserts, rods = [], []
    for number, rod in enumerate(settings.rods):
        angle = number * turn
        inserts.append(
            InsertSettings(
                material=f"{rod.hu:g} HU",
                hu=rod.hu,
                diameter_mm=rod.diameter_mm,
                radius_mm=settings.circle_mm,
                angle_degrees=float(np.degrees(angle)),
            )
        )
        middle = (size - 1) / 2
        centre = (
            middle + settings.circle_mm * float(np.sin(angle)) / spacing_mm,
            middle + settings.circle_mm * float(np.cos(angle)) / spacing_mm,
        )
        reach = min(_REACH_MM, 0.45 * rod.diameter_mm)
        rods.append(Rod(rod.hu, CircularEdge(centre, rod.diameter_mm / 2, reach)))
    widest = max(rod.diameter_mm for rod in settings.rods)
    apart = 2 * settings.circle_mm * np.sin(turn / 2) if len(rods) > 1 else np.inf
    room = settings.diameter_mm / 2 - settings.circle_mm
    if apart < widest + 2 * _REACH_MM or room < widest / 2 + _REACH_MM:
        raise UsageError(
            "the rods of the bench are too near to each other or to the surface of the water.",
            where="bench.rods",
            fix="Use fewer or thinner rods, or another bench.circle_mm or bench.diameter_mm.",
        )
    return tuple(inserts), tuple(rods)


def _slab_half_mm(settings: BenchSettings) -> float:
    """Half the side of a square within the slab, which lies within the even water."""
    return 0.6 * (settings.diameter_mm / 2 - _RIM_MM)


def _require_room(settings: BenchSettings, spacing_mm: float) -> None:
    even_mm = settings.diameter_mm / 2 - _RIM_MM
    # A square of twice the side of a patch holds a patch, wherever patches begin.
    largest_mm = even_mm / np.sqrt(2) - spacing_mm
    if settings.patch_mm > largest_mm:
        raise UsageError(
            f"patches of {settings.patch_mm:g} mm are too large for {settings.diameter_mm:g} mm of "
            "water.",
            where="bench.patch_mm",
            fix=f"Take at most {largest_mm:.0f} mm, or more water.",
        )
    slice_mm = settings.scan.slice_thickness_mm
    least = slice_mm / (2 * _slab_half_mm(settings) - 2 * spacing_mm)
    if settings.slice_edge.contrasts_hu and settings.slice_edge.slope < least:
        raise UsageError(
            f"a face that rises by {settings.slice_edge.slope:g} mm for each mm does not cross a "
            f"slice of {slice_mm:g} mm within the water.",
            where="bench.slice_edge.slope",
            fix=f"Take at least {least:.2f}, thinner slices, or no slab (contrasts_hu: []).",
        )
