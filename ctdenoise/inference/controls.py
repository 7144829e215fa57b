"""How much of what a method takes away is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import HuArray
from ctdenoise.core.volume import CTVolume


@dataclass(frozen=True, slots=True)
class Controls:
    """What becomes of what a method takes away.

    Args:
        strength: Share of it that is taken: 0 leaves every voxel as it is, to the bit.
    """

    strength: float

    def applied(self, before: CTVolume, removed_hu: HuArray, places: range) -> HuArray:
        """Voxels after the controls, float32 [z, y, x], HU; of no meaning at padding.

        Args:
            before: Some slices.
            removed_hu: What the method would take away from them.
            places: Where in the scan they are.
        """
        del places
        if self.strength == 0:
            return before.hu
        # Subtracted, not added: x - (+0) is x to the bit, even for -0.
        denoised: HuArray = np.subtract(
            before.hu, removed_hu * np.float32(self.strength), dtype=np.float32
        )
        return denoised
