"""Phantoms that are scanned: exact line integrals, counted photons, filtered back-projection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ctdenoise.config.dose import SimulateSettings
from ctdenoise.config.kernels import (
    FixedKernelSettings,
    GaussianKernelSettings,
    HannKernelSettings,
    RampKernelSettings,
    TableKernelSettings,
)
from ctdenoise.config.native_scan import NativeScanSettings
from ctdenoise.core.acquisition import Acquisition
from ctdenoise.core.arrays import DoubleArray
from ctdenoise.core.geometry import Geometry
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.core.provenance import Step
from ctdenoise.core.volume import CTVolume
from ctdenoise.errors import UsageError
from ctdenoise.phantoms.aperture import Reading, reading_rays
from ctdenoise.phantoms.raster import rasterise
from ctdenoise.phantoms.shapes import Shape, line_integrals
from ctdenoise.simulation.model import ScanModel
from ctdenoise.simulation.native import NativeScanner
from ctdenoise.simulation.noise import slice_keys

MANUFACTURER = "ctdenoise"
MODEL_NAME = "native scan"


class NativeScan:
    """A phantom on a scanner: images at any dose, as often as wanted.

    The voxels of the phantom play no part: rays meet its shapes. Readings are means over the rays
    of an aperture, of their transmission as in a detector.

    Args:
        shapes: The phantom, painted in order; a later shape replaces what lies below it.
        settings: The scanner and its images.
        positions_mm: Height of each slice, rising evenly. Where the phantom is the same all along
            them it is projected once, and many slices are many repeats.
        progress: Told about the planes that are projected.

    Raises:
        SettingsError: If the scanner cannot be.
        UsageError: If there is no slice, or a ray runs inside an endless shape for ever.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        settings: NativeScanSettings,
        *,
        positions_mm: Sequence[float] = (0.0,),
        progress: Progress = SILENT,
    ) -> None:
        if len(positions_mm) == 0:
            raise UsageError("A scan has at least one slice.")
        self.shapes = tuple(shapes)
        self.settings = settings
        self.geometry = _geometry(settings, positions_mm)
        self.acquisition = _acquisition(settings, self.geometry)
        self.model = scan_model(settings, self.geometry)
        half_mm = settings.slice_thickness_mm / 2
        low_mm, high_mm = positions_mm[0] - half_mm, positions_mm[-1] + half_mm
        self._is_even = all(shape.is_even_between(low_mm, high_mm) for shape in self.shapes)
        projected = positions_mm[:1] if self._is_even else positions_mm
        planes = np.empty(
            (len(projected), self.model.fan.views, self.model.fan.channels), np.float32
        )
        with progress.stage("Projecting", len(projected)) as advance:
            for plane, z_mm in zip(planes, projected, strict=True):
                plane[...] = self._readings(z_mm)
                advance()
        self._scanner = NativeScanner(self.model, settings, planes)
        self._clean = self._scanner.without_noise()

    def truth_image(self) -> CTVolume:
        """The phantom as voxels, each with its share of every shape; no scanner has seen it."""
        hu, _ = rasterise(
            self.shapes,
            self.geometry,
            slice_thickness_mm=self.settings.slice_thickness_mm,
            label_numbers={shape.label: 0 for shape in self.shapes},
        )
        return CTVolume(hu, self.geometry, self.acquisition)

    def without_noise(self) -> CTVolume:
        """What the scanner would show at an endless dose."""
        hu = np.ascontiguousarray(self._clean[self._planes()])
        return CTVolume(hu, self.geometry, self.acquisition)

    def scan(self, dose_fraction: float, *, seed: int, repeat: int = 0) -> CTVolume:
        """A scan, its noise drawn anew in every slice.

        Args:
            dose_fraction: Photons over those of the settings, positive.
            seed: Same seed, same noise; a function of it, the dose, the repeat and the number of
                the slice, whatever is scanned.
            repeat: Which of the scans of this seed.

        Raises:
            SimulationError: If the dose is not positive.
        """
        planes = self._planes()
        keys = slice_keys(
            [f"{seed} {dose_fraction!r} {repeat} {index}".encode() for index in range(len(planes))]
        )
        hu = self._scanner.noise(planes, dose_fraction, keys)
        hu += self._clean[planes]
        step = Step(
            "native scan",
            {
                "dose_fraction": dose_fraction,
                "seed": seed,
                "repeat": repeat,
                "counting": self._scanner.counting(dose_fraction),
                "settings": self.settings.as_json(),
            },
        )
        return CTVolume(hu, self.geometry, self._at_dose(dose_fraction), history=(step,))

    def _planes(self) -> list[int]:
        """The plane of each slice."""
        slices = self.geometry.slices
        return [0] * slices if self._is_even else list(range(slices))

    def _at_dose(self, dose_fraction: float) -> Acquisition:
        mas = self.settings.exposure_mas * dose_fraction
        return _acquisition(self.settings, self.geometry, exposure_mas=mas)

    def _readings(self, z_mm: float) -> DoubleArray:
        """-ln of the transmission that each channel reads, [view, channel], mean over planes."""
        count = 1 if self._is_even else self.settings.slice_rays
        offsets = ((np.arange(count) + 0.5) / count - 0.5) * self.settings.slice_thickness_mm
        readings = [self._plane(float(z_mm + offset)) for offset in offsets]
        return np.asarray(np.mean(readings, axis=0))

    def _plane(self, z_mm: float) -> DoubleArray:
        fan, settings = self.model.fan, self.settings
        aperture = settings.aperture
        is_blurred = aperture.rays > 1
        opening = fan.channel_angle * self.model.samples_per_channel * aperture.fill
        turn = 2 * np.pi / fan.views if aperture.turns_while_reading else 0.0
        rays = reading_rays(
            # The angles of these rays count from the x axis, those of the fan from the y axis.
            fan.view_angles + np.pi / 2,
            fan.fan_angles,
            Reading(opening, aperture.focal_spot_mm, turn, aperture.rays),
            source_to_isocentre_mm=fan.distance_mm,
            source_to_detector_mm=settings.scanner.source_to_detector_mm,
            z_mm=z_mm,
        )
        mu = self.model.mu_water_per_mm
        attenuation = (mu * line_integrals(self.shapes, *ray) for ray in rays)
        if not is_blurred:
            return next(attenuation)
        return np.asarray(-np.log(sum(np.exp(-p) for p in attenuation) / aperture.rays))


def scan_model(settings: NativeScanSettings, geometry: Geometry) -> ScanModel:
    """The scanner that settings describe.

    Args:
        settings: The scanner; `distances` of the header are not looked at.
        geometry: Grid of the images.
    """
    simulate = SimulateSettings(
        scanner=settings.scanner.replaced(distances="setting"),
        geometry="fan",
        source_noise="none",
        centre="image",
        photons=settings.photons,
        mu_water_per_mm=settings.mu_water_per_mm,
        kernel=settings.kernel,
    )
    return ScanModel.of(geometry, Acquisition(reconstruction_centre_offset_mm=(0, 0)), simulate)


def _geometry(settings: NativeScanSettings, positions_mm: Sequence[float]) -> Geometry:
    spacing_mm = settings.field_of_view_mm / settings.size
    corner_mm = -(settings.size - 1) / 2 * spacing_mm
    positions = np.full((len(positions_mm), 3), corner_mm)
    positions[:, 2] = positions_mm
    spacings = (spacing_mm, spacing_mm)
    return Geometry(
        settings.size, settings.size, spacings, (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), positions
    )


def _acquisition(
    settings: NativeScanSettings, geometry: Geometry, *, exposure_mas: float | None = None
) -> Acquisition:
    mas = settings.exposure_mas if exposure_mas is None else exposure_mas
    return Acquisition(
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        kvp=settings.kvp,
        exposure_mas=(mas,) * geometry.slices,
        slice_thickness_mm=settings.slice_thickness_mm,
        convolution_kernel=kernel_words(settings.kernel),
        distance_source_to_patient_mm=settings.scanner.source_to_isocentre_mm,
        distance_source_to_detector_mm=settings.scanner.source_to_detector_mm,
        reconstruction_diameter_mm=settings.field_of_view_mm,
        reconstruction_centre_offset_mm=(0.0, 0.0),
        body_part_examined="PHANTOM",
        patient_position="HFS",
    )


def kernel_words(kernel: FixedKernelSettings) -> str:
    """A kernel as a header names it, 16 characters at most.

    Args:
        kernel: The kernel.
    """
    match kernel:
        case RampKernelSettings():
            return "RAMP"
        case HannKernelSettings():
            return f"HANN {kernel.width:.4g}"
        case GaussianKernelSettings():
            return f"GAUSS {kernel.f50_per_mm:.4g}"
        case TableKernelSettings():
            return "TABLE"
