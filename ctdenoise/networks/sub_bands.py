"""An image split into directional sub-bands whose plain sum is the image again."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def split(images: Tensor, directions: tuple[int, ...]) -> Tensor:
    """Directional sub-bands of images, undecimated.

    The plane of frequencies is cut into rings an octave wide, with raised-cosine flanks, and each
    ring into wedges, as in contourlets and shearlets; what is left inside goes with the last
    level. The windows sum to one everywhere, so the sub-bands sum to the image. Edges are mirrored.

    Args:
        images: [batch, 1, y, x].
        directions: Wedges of each level, finest first.

    Returns:
        [batch, sum(directions), y, x].
    """
    height, width = images.shape[-2:]
    mirrored = torch.cat([images, images.flip(-1)], dim=-1)
    mirrored = torch.cat([mirrored, mirrored.flip(-2)], dim=-2).float()
    windows = _windows(2 * height, 2 * width, directions).to(images.device)
    bands = torch.fft.irfft2(torch.fft.rfft2(mirrored) * windows, s=mirrored.shape[-2:])
    kept: Tensor = bands[..., :height, :width]
    return kept.to(images.dtype)


@lru_cache(maxsize=8)
def _windows(height: int, width: int, directions: tuple[int, ...]) -> Tensor:
    """Weights of each sub-band over the half plane of frequencies, [band, y, x]; they sum to 1."""
    v = torch.fft.fftfreq(height)[:, None]
    u = torch.fft.rfftfreq(width)[None, :]
    octave = -torch.log2(torch.clamp(2 * torch.hypot(u, v), min=1e-6))  # 0 at Nyquist, 1 at half
    angle = torch.remainder(torch.atan2(v, u) / torch.pi, 1.0)  # opposite frequencies are one
    windows = []
    for level, wedges in enumerate(directions):
        # Level k reaches from octave k - 1/2 to k + 3/2 and is whole in the middle.
        ring = _step(octave - level + 0.5) if level else torch.ones_like(octave)
        if level < len(directions) - 1:
            ring = ring - _step(octave - level - 0.5)
        windows += [ring * share for share in _wedges(angle, wedges)]
    return torch.stack(windows)


def _step(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, half a cosine between."""
    return 0.5 - 0.5 * torch.cos(torch.pi * x.clamp(0.0, 1.0))


def _wedges(angle: Tensor, count: int) -> list[Tensor]:
    """Windows of half turns into `count` directions, cosine-squared over neighbours; sum is 1."""
    if count == 1:
        return [torch.ones_like(angle)]
    position = angle * count
    shares = []
    for index in range(count):
        away = torch.remainder(position - index + count / 2, count) - count / 2
        shares.append(torch.cos(torch.pi / 2 * away.abs().clamp(max=1.0)) ** 2)
    return shares
