"""`phantom --format sinogram`: the exact line integrals of a phantom, its voxels never used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ctdenoise.config.sinogram import SinogramSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray, FloatArray
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import JsonValue
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.build import Phantom
from ctdenoise.phantoms.rays import fan_rays, parallel_rays
from ctdenoise.phantoms.shapes import line_integrals
from ctdenoise.simulation.scanner import fan_of

SINOGRAM_FILE = "sinogram.npz"
"""The file in the output folder."""

SINOGRAM_FORMAT = 1
"""Version of the file."""

_NO_TEXTURE = {
    "torso": "--set phantom.texture=0",
    "dead_leaves": "--set phantom.texture_share=0 --set phantom.blur_fwhm_mm=0",
    "blobs": "--set phantom.texture.sd_hu=0",
    "vessels": "--set phantom.texture.sd_hu=0",
}
"""What takes the texture off a phantom."""


@dataclass(frozen=True, slots=True, eq=False)
class Sinogram:
    """Line integrals of every slice.

    Args:
        water_mm: Attenuation over that of water, integrated along each ray, mm of water, float32
            [slice, view, channel].
        view_angles: Of the source of a fan, of the detector of a parallel beam, radians, [view].
        channels: Angle of each channel from the central ray, radians (fan), or its distance from
            the isocentre, mm (parallel), [channel].
        positions_mm: Height of the plane of each slice, [slice].
        beam: The geometry in words and numbers, plain JSON.
    """

    water_mm: FloatArray
    view_angles: DoubleArray
    channels: DoubleArray
    positions_mm: DoubleArray
    beam: dict[str, JsonValue]


def project(
    phantom: Phantom, settings: SinogramSettings, *, progress: Progress = SILENT
) -> Sinogram:
    """The exact sinogram of a phantom, in the middle plane of each of its slices.

    The ray at view angle b and fan angle g of a fan is the line
    x cos(b + g) + y sin(b + g) = D sin g, as `simulation.scanner.Fan` has it; a parallel ray at
    angle a and distance s is x cos a + y sin a = s.

    Args:
        phantom: Without texture or blur, of which line integrals know nothing.
        settings: The rays.
        progress: Told about slices.

    Raises:
        UsageError: If the phantom has texture or is blurred, or a ray runs inside an endless shape.
    """
    name = str(phantom.volume.history[0].params["name"])
    has_texture = any(shape.texture_sd_hu > 0 for shape in phantom.shapes)
    is_filtered = bool(phantom.drawn.get("is_filtered"))
    if has_texture or is_filtered or phantom.drawn.get("blur_fwhm_mm"):
        changes = [_NO_TEXTURE.get(name, "")] + ["--set sharpness=null"] * is_filtered
        raise UsageError(
            "this phantom has texture or blur, which are in its voxels only; its exact line "
            "integrals would be those of another object.",
            fix=f"Take them off: {' '.join(changes).strip()}",
        )
    positions = phantom.volume.geometry.positions_mm[:, 2]
    beam = _beam(settings)
    shape = (len(positions), len(beam.view_angles), len(beam.channels))
    planes = np.empty(shape, dtype=np.float32)
    is_even = all(
        shape.is_even_between(float(positions.min()), float(positions.max()))
        for shape in phantom.shapes
    )
    with progress.stage("Projecting", len(positions)) as advance:
        for index, z_mm in enumerate(positions):
            if is_even and index > 0:
                planes[index] = planes[0]
            else:
                planes[index] = line_integrals(phantom.shapes, *beam.rays(float(z_mm)))
            advance()
    return Sinogram(planes, beam.view_angles, beam.channels, positions, beam.about)


@dataclass(frozen=True, slots=True, eq=False)
class _Beam:
    """Views and channels; the distance of the source is None for parallel rays."""

    view_angles: DoubleArray
    channels: DoubleArray
    distance_mm: float | None
    about: dict[str, JsonValue]

    def rays(self, z_mm: float) -> tuple[DoubleArray, DoubleArray]:
        """Origins and directions at one height, [view, channel, 3]."""
        if self.distance_mm is None:
            return parallel_rays(self.view_angles, self.channels, z_mm=z_mm)
        return fan_rays(
            # The angles of these rays count from the x axis, those of the fan from the y axis.
            self.view_angles + np.pi / 2,
            self.channels,
            source_to_isocentre_mm=self.distance_mm,
            z_mm=z_mm,
        )


def _beam(settings: SinogramSettings) -> _Beam:
    if settings.geometry == "parallel":
        count = settings.parallel_rays
        offsets = np.arange(count, dtype=np.float64) - (count - 1) / 2
        offsets *= settings.parallel_spacing_mm
        views = np.arange(settings.parallel_views, dtype=np.float64)
        views *= np.pi / settings.parallel_views
        return _Beam(views, offsets, None, {"geometry": "parallel", "ray": "x cos a + y sin a = s"})
    fan = fan_of(settings.scanner.replaced(distances="setting"), Acquisition())
    if settings.scanner.samples_per_channel == 2:
        fan = fan.doubled()
    about: dict[str, JsonValue] = {
        "geometry": "fan",
        "ray": "x cos(b + g) + y sin(b + g) = D sin g",
        "source_to_isocentre_mm": fan.distance_mm,
        "source_to_detector_mm": settings.scanner.source_to_detector_mm,
        "channel_angle_rad": fan.channel_angle,
    }
    return _Beam(fan.view_angles, fan.fan_angles, fan.distance_mm, about)


def write_sinogram(sinogram: Sinogram, folder: Path) -> Path:
    """Write a sinogram as `.npz`, which numpy alone can read.

    Its arrays are `water_mm` [slice, view, channel], `view_angles_rad`, `fan_angles_rad` or
    `offsets_mm`, `positions_mm`, and `about`, a text of JSON that says what they are.

    Args:
        sinogram: The sinogram.
        folder: An existing folder, usually a staged one.
    """
    is_fan = sinogram.beam["geometry"] == "fan"
    channels = "fan_angles_rad" if is_fan else "offsets_mm"
    about = {
        "format": SINOGRAM_FORMAT,
        "water_mm": "exact line integrals of attenuation over that of water, mm of water, "
        "[slice, view, channel]; times the attenuation of water per mm: the line integral p",
        "frame": "LPS, mm: x to the left, y to the back, z to the head; isocentre at x = y = 0",
        "angles": f"b in view_angles_rad, g in {channels}"
        if is_fan
        else f"a in view_angles_rad, s in {channels}",
        **sinogram.beam,
    }
    arrays: dict[str, Any] = {
        "water_mm": sinogram.water_mm,
        "view_angles_rad": sinogram.view_angles,
        channels: sinogram.channels,
        "positions_mm": sinogram.positions_mm,
        "about": np.array(json.dumps(about)),
    }
    path = folder / SINOGRAM_FILE
    np.savez(path, **arrays)
    return path
