"""Phantoms to train on: anatomy, size, texture, grid, kernel and dose drawn at random.

What decides whether a network works elsewhere is the noise as much as the anatomy: kernel, field of
view and slice thickness (Huber, Missert, Leng and Yu 2021), and texture and small low-contrast
structures among what it was trained on protect these. So all of them are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import TableKernelSettings
from ctdenoise.config.phantom import (
    GridSettings,
    InsertSettings,
    PhantomSettings,
    RodsSettings,
    TorsoSettings,
    WaterSettings,
)
from ctdenoise.config.phantom_random import (
    BlobsSettings,
    DeadLeavesSettings,
    RandomTextureSettings,
    VesselsSettings,
)
from ctdenoise.config.sampling import Range, SampleSettings
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.core.randomness import draw_seed, stream
from ctdenoise.phantoms.build import Phantom, build_phantom

_TORSO_WIDTH_MM = (260.0, 460.0)
"""Widths that a torso can have."""

_FIELD = 1.05
"""A field of view is at least this many times the width of the body ..."""

_MOST_FIELD = 2.2
"""... and at most this many times: the rest would be air."""

_KERNEL_END = 4.0
"""Kernels are given up to this many times their k50: 2^-8 of a kernel of the least power."""

_KERNEL_POINTS = 48

_BODIES = (
    # Hounsfield units of a body and the contrast of vessels in it.
    (-850.0, (200.0, 950.0)),
    (-100.0, (40.0, 300.0)),
    (30.0, (15.0, 250.0)),
    (60.0, (15.0, 250.0)),
    (110.0, (15.0, 150.0)),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One phantom to train on, and how its low-dose twin is to be made.

    Args:
        phantom: The phantom.
        simulate: A low-dose twin of it.
        drawn: The values that were drawn, in plain JSON.
    """

    phantom: PhantomSettings
    simulate: SimulateSettings
    drawn: dict[str, JsonValue]


def sample_phantom(settings: SampleSettings, seed: int, *, progress: Progress = SILENT) -> Phantom:
    """A phantom to train on.

    Args:
        settings: What it is drawn from.
        seed: The same seed, the same phantom.
        progress: Told about shapes drawn.
    """
    return build_phantom(draw_sample(settings, seed).phantom, progress=progress)


def draw_sample(settings: SampleSettings, seed: int) -> Sample:
    """The settings of a phantom to train on and of its twin.

    Every value has a random stream of its own, so that a change of one range leaves the others as
    they are.

    Args:
        settings: What they are drawn from.
        seed: The same seed, the same settings.
    """
    draw = _Draw(seed)
    kind = draw.kind(settings)
    width_range = settings.diameter_mm
    if kind == "torso":
        low, high = (float(np.clip(mm, *_TORSO_WIDTH_MM)) for mm in width_range)
        width_range = (low, high)
    width = draw.between("diameter", width_range)
    is_textured = draw.uniform("is textured") < settings.textured_share
    sd = settings.texture_sd_hu
    texture_hu = draw.even("texture", sd[0], sd[1]) if is_textured else 0.0
    phantom = _phantom(kind, draw, width, texture_hu)
    least = max(settings.field_of_view_mm[0], _FIELD * width)
    most = min(settings.field_of_view_mm[1], _MOST_FIELD * width)
    field = draw.between("field of view", (least, max(least, most)))
    thickness = draw.between("slice thickness", settings.slice_thickness_mm)
    kernel = _kernel(settings, draw)
    drawn_settings = PhantomSettings(
        phantom=phantom,
        grid=GridSettings(
            size=settings.size,
            field_of_view_mm=field,
            slices=settings.slices,
            slice_spacing_mm=max(thickness, settings.slices_apart_mm),
            slice_thickness_mm=thickness,
        ),
        seed=draw_seed(draw.stream("phantom")),
        kvp=float(draw.stream("kvp").choice(settings.kvp)),
        exposure_mas=draw.between("exposure", settings.exposure_mas),
        sharpness=kernel.of_image if settings.sharpness == "kernel" else None,
        dicom=settings.dicom,
    )
    dose = draw.between("dose", settings.dose)
    simulate = SimulateSettings(dose=dose, source_noise="none", kernel=kernel.of_noise)
    is_smooth = isinstance(phantom, RodsSettings | WaterSettings)
    return Sample(
        drawn_settings,
        simulate,
        {
            "kind": kind,
            "phantom": phantom.name,
            "diameter_mm": width,
            "texture_sd_hu": 0.0 if is_smooth else texture_hu,
            "field_of_view_mm": field,
            "slice_thickness_mm": thickness,
            "kvp": drawn_settings.kvp,
            "exposure_mas": drawn_settings.exposure_mas,
            **kernel.drawn,
            "dose": dose,
        },
    )


@dataclass(frozen=True, slots=True)
class _Kernel:
    """A kernel that was drawn.

    Args:
        of_noise: Its factor on the ramp.
        of_image: The same with what focal spot and detector leave.
        drawn: The values that it follows from, in plain JSON.
    """

    of_noise: TableKernelSettings
    of_image: TableKernelSettings
    drawn: dict[str, JsonValue]


def _kernel(settings: SampleSettings, draw: _Draw) -> _Kernel:
    """A kernel, and how sharp it makes the image."""
    f50 = draw.between("kernel", settings.f50_per_mm)
    power = draw.between("kernel power", settings.kernel_power)
    is_enhanced = draw.uniform("is enhanced") < settings.enhanced_share
    enhancement = draw.even("enhancement", 0.0, settings.most_enhancement) if is_enhanced else 0.0
    system = draw.between("system", settings.system_f50_per_mm)
    frequency = np.linspace(0.0, _KERNEL_END * f50, _KERNEL_POINTS)
    ratio = frequency / f50
    raised = 1 + 4 * enhancement * ratio**2 / (1 + ratio**2) ** 2
    noise = np.exp2(-(ratio**power)) * raised
    image = noise * np.exp2(-((frequency / system) ** 2))
    return _Kernel(
        _table(frequency, noise),
        _table(frequency, image),
        {
            "f50_per_mm": f50,
            "kernel_power": power,
            "enhancement": enhancement,
            "system_f50_per_mm": system,
        },
    )


def _table(frequency: DoubleArray, value: DoubleArray) -> TableKernelSettings:
    return TableKernelSettings(
        frequency_per_mm=tuple(np.round(frequency, 5).tolist()),
        value=tuple(np.round(value, 5).tolist()),
    )


class _Draw:
    """Values of one sample, each from a stream of its own.

    Args:
        seed: Decides all of them.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stream(self, what: str) -> np.random.Generator:
        """The stream of one value."""
        return stream(self._seed, "sample", what)

    def uniform(self, what: str) -> float:
        """Between 0 and 1."""
        return float(self.stream(what).random())

    def even(self, what: str, low: float, high: float) -> float:
        """Between two numbers."""
        return low + self.uniform(what) * (high - low)

    def between(self, what: str, limits: Range) -> float:
        """Between two positive numbers, evenly on a logarithmic scale."""
        low, high = limits
        return float(np.clip(low * (high / low) ** self.uniform(what), low, high))

    def choice(self, what: str, choices: tuple[Any, ...]) -> Any:
        """One of some things, all alike."""
        return choices[int(self.uniform(what) * len(choices))]

    def kind(self, settings: SampleSettings) -> str:
        """Which kind of phantom."""
        shares = settings.mixture.model_dump()
        total = np.cumsum(list(shares.values()))
        return list(shares)[int(np.searchsorted(total, self.uniform("kind") * total[-1], "right"))]


def _phantom(kind: str, draw: _Draw, width: float, texture_hu: float) -> Any:
    """Settings of a phantom of one kind."""
    depth = width * draw.even("depth", 0.65, 1.0)
    if kind == "torso":
        return TorsoSettings(
            level_mm=draw.even("level", -130, 130),
            half_width_mm=width / 2,
            enhancement=draw.choice("enhancement", ("none", "portal_venous")),
            # Strength 1 is 7 HU in the liver.
            texture=min(texture_hu / 7.0, 5.0),
            seamless=True,
            lesions=int(draw.even("lesions", 0, 12)),
            liver_vessels=int(draw.even("liver vessels", 0, 250)),
            nodules=int(draw.even("nodules", 0, 10)),
            table=draw.uniform("table") < 0.8,
        )
    if kind == "dead_leaves":
        return DeadLeavesSettings(
            diameter_mm=width,
            depth_mm=depth,
            radius_mm=(
                max(width / 150, draw.between("smallest leaf", (1.0, 4.0))),
                width * draw.even("largest leaf", 0.1, 0.3),
            ),
            palette=draw.choice(
                "palette", ("tissue", "tissue", "soft_tissue", "soft_tissue", "uniform")
            ),
            texture_share=1.0 if texture_hu else 0.0,
            texture_sd_hu=(0.3 * texture_hu, texture_hu),
            blur_fwhm_mm=draw.even("blur", 0.0, 1.2),
        )
    texture = RandomTextureSettings(sd_hu=texture_hu, slope=draw.even("slope", 0.7, 2.0))
    if kind == "vessels":
        hu, contrast = draw.choice("body", _BODIES)
        return VesselsSettings(
            diameter_mm=width,
            depth_mm=depth,
            hu=hu,
            contrast_hu=contrast,
            trees=int(draw.even("trees", 2, 9)),
            branches=int(draw.between("branches", (80, 500))),
            twig_radius_mm=draw.between("twig", (0.4, 1.2)),
            texture=texture,
        )
    return _test_object(draw, width, depth, texture)


def _test_object(
    draw: _Draw, width: float, depth: float, texture: RandomTextureSettings
) -> BlobsSettings | RodsSettings | WaterSettings:
    which = draw.uniform("test object")
    hu = draw.choice("body", (0.0, 0.0, 30.0, 50.0, 60.0, 110.0))
    if which < 0.6:
        return BlobsSettings(
            diameter_mm=width,
            depth_mm=depth,
            hu=hu,
            count=int(draw.between("count", (60, 800))),
            texture=texture,
        )
    if which < 0.9:
        return RodsSettings(diameter_mm=width, hu=hu, inserts=_rods(draw, width, hu))
    return WaterSettings(diameter_mm=width, depth_mm=depth, hu=hu)


def _rods(draw: _Draw, width: float, hu: float) -> tuple[InsertSettings, ...]:
    """Two rings of rods: strong ones outside, faint ones inside."""
    rng = draw.stream("rods")
    turn = float(rng.uniform(0, 360))
    rods = []
    for ring, (radius, count) in enumerate(((0.35 * width, 8), (0.18 * width, 6))):
        for number in range(count):
            contrast = (
                float(rng.choice((-1, 1))) * 3 * (40 / 3) ** float(rng.random())
                if ring == 1
                else float(rng.uniform(-1000 - hu, 1200))
            )
            most = min(0.09 * width, 25.0) if ring == 0 else min(0.07 * width, 15.0)
            rods.append(
                InsertSettings(
                    material=f"rod {ring + 1}.{number + 1}",
                    hu=hu + contrast,
                    diameter_mm=float(2.0 * (most / 2.0) ** rng.random()),
                    radius_mm=radius,
                    angle_degrees=(turn + 360 * number / count) % 360,
                )
            )
    return tuple(rods)
