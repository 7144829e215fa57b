"""Losses that compare the denoised image with the full-dose one, in float32 throughout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from monai.metrics.regression import compute_ms_ssim
from torch import Tensor

_MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Wang, Simoncelli and Bovik, "Multiscale structural similarity", Asilomar 2003."""


def mean_squared_error(image: Tensor, full: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of the squared differences.

    Args:
        image: Denoised images in network scale, [batch, 1, y, x].
        full: Full-dose images in network scale, of the same shape.
        weight: How much each squared difference counts, of the same shape; the mean is over all
            pixels, so that it adds up over parts of a batch. None for 1 everywhere.
    """
    if weight is None:
        return F.mse_loss(image.float(), full.float())
    return (weight * (image.float() - full.float()).square()).mean()


def mean_absolute_error(image: Tensor, full: Tensor) -> Tensor:
    """Mean of the absolute differences; arguments as for `mean_squared_error`."""
    return F.l1_loss(image.float(), full.float())


def charbonnier(image: Tensor, full: Tensor, epsilon: float) -> Tensor:
    """Mean of `sqrt(d^2 + e^2) - e`.

    Args:
        image: As for `mean_squared_error`.
        full: As for `mean_squared_error`.
        epsilon: e, in network scale.
    """
    difference = image.float() - full.float()
    return (torch.sqrt(difference**2 + epsilon**2) - epsilon).mean()


def gradient(image: Tensor, full: Tensor) -> Tensor:
    """Mean absolute difference of the steps to the next pixel, along y plus along x.

    Args:
        image: As for `mean_squared_error`.
        full: As for `mean_squared_error`.
    """
    difference = image.float() - full.float()
    return difference.diff(dim=-2).abs().mean() + difference.diff(dim=-1).abs().mean()


def ms_ssim(image: Tensor, full: Tensor, window: tuple[float, float], scales: int) -> Tensor:
    """One minus the multi-scale structural similarity, Gaussian windows of 11 pixels.

    Args:
        image: As for `mean_squared_error`.
        full: As for `mean_squared_error`.
        window: Values in network scale that count as 0 and 1; values beyond are cut.
        scales: How many octaves.
    """
    low, high = window
    shown = [((x.float() - low) / (high - low)).clamp(0.0, 1.0) for x in (image, full)]
    weights = torch.tensor(_MS_SSIM_WEIGHTS[:scales])
    similarity: Tensor = compute_ms_ssim(
        shown[0],
        shown[1],
        spatial_dims=2,
        data_range=1.0,
        kernel_size=11,
        kernel_sigma=1.5,
        weights=(weights / weights.sum()).tolist(),
    )
    return 1.0 - similarity.mean()


def radial_spectrum(noise: Tensor, bins: int) -> Tensor:
    """Noise power in rings of frequency, mean over the batch, [bin].

    A Hann window keeps strong frequencies from leaking into the others. White noise of standard
    deviation s gives s^2 in every ring, a little less in the lowest, which loses the mean.

    Args:
        noise: [batch, 1, y, x].
        bins: Rings of equal width between 0 and the Nyquist frequency.
    """
    height, width = noise.shape[-2:]
    centred = noise.float() - noise.float().mean(dim=(-2, -1), keepdim=True)
    window = torch.outer(
        torch.hann_window(height, periodic=False), torch.hann_window(width, periodic=False)
    ).to(noise.device)
    power = torch.fft.rfft2(centred * window).abs() ** 2 / (window**2).sum()
    radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :])
    ring = (radius * 2 * bins).long().to(noise.device)  # those beyond Nyquist fall outside
    ring[0, 0] = bins  # so does the mean, which was taken off
    inside = (ring < bins).flatten()
    mean_power = power.mean(dim=(0, 1)).flatten()[inside]
    index = ring.flatten()[inside]
    total = torch.zeros(bins, device=noise.device).index_add(0, index, mean_power)
    return total / torch.bincount(index, minlength=bins).clamp(min=1)


def spectrum_mismatch(
    image: Tensor, full: Tensor, low: Tensor, *, bins: int, floor: float
) -> Tensor:
    """Mean square of ln(power of the removed noise / power of the noise that was there).

    Args:
        image: As for `mean_squared_error`.
        full: As for `mean_squared_error`.
        low: Low-dose images in network scale.
        bins: Rings of frequency.
        floor: Standard deviation of white noise added to both, network scale.
    """
    removed = radial_spectrum(low.float() - image.float(), bins) + floor**2
    there = radial_spectrum(low.float() - full.float(), bins) + floor**2
    return (removed.log() - there.log()).square().mean()


def tissue_bias(
    image: Tensor, full: Tensor, *, edges: Sequence[float], unit: float, fewest: int
) -> Tensor:
    """Mean over the tissues of the square of their mean error.

    Args:
        image: As for `mean_squared_error`.
        full: As for `mean_squared_error`.
        edges: Ends of the ranges of `full` that are one tissue each, ascending, network scale.
        unit: The error that counts 1, network scale.
        fewest: Tissues with fewer pixels do not count.
    """
    truth = full.float().flatten()
    error = (image.float().flatten() - truth) / unit
    ends = torch.tensor(edges, device=truth.device)
    tissue = torch.bucketize(truth, ends, right=True)  # 0: below all, len(edges): above all
    inside = (tissue > 0) & (tissue < len(edges))
    index = tissue[inside] - 1
    count = torch.bincount(index, minlength=len(edges) - 1)
    total = torch.zeros(len(edges) - 1, device=truth.device).index_add(0, index, error[inside])
    seen = count >= fewest
    if not seen.any():
        return error.sum() * 0.0
    return (total[seen] / count[seen]).square().mean()


def negative_log_likelihood(image: Tensor, full: Tensor, log_sigma: Tensor) -> Tensor:
    """Mean of `d^2 / (2 s^2) + ln s` over the pixels, with d the error and s its stated deviation.

    Args:
        image: As for `mean_squared_error`.
        full: As for `mean_squared_error`.
        log_sigma: ln s in network scale, of the same shape.
    """
    log_sigma = log_sigma.float()
    error = image.float() - full.float()
    return (0.5 * error**2 * torch.exp(-2.0 * log_sigma) + log_sigma).mean()
