"""The generalised Anscombe transformation: noise that grows with the value, made the same.

For values z = gain * Poisson(y / gain) + noise of the variance `offset`, whose variance is
gain * y + offset, the transformation is f(z) = 2 / gain * sqrt(gain * z + 3/8 gain^2 + offset), and
0 where the root has none: its variance is 1 to a high order.

The mean of f(z) is not f of the mean, so the algebraic inverse is biased. Its exact unbiased
inverse takes E[f(z)] to E[z]; this is the closed form that approximates it (Makitalo and Foi, "A
closed-form approximation of the exact unbiased inverse of the Anscombe variance-stabilizing
transformation", IEEE Trans. Image Process. 20(9), 2011; for noise with a Gaussian part, "Optimal
inversion of the generalized Anscombe transformation for Poisson-Gaussian noise", 22(1), 2013).

CT is no case of it. The variance of a reconstructed pixel comes from the rays through it, and so
from its place in the patient, hardly from its own value: behind the same rays, air in the bowel is
as noisy as the wall. It is here for images of counts, and to be compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ctdenoise.core.arrays import DoubleArray, FloatArray

_LEAST_GAIN = 1e-6
"""Below it the noise does not depend on the value, and the transformation is a division."""


@dataclass(frozen=True, slots=True)
class VarianceLine:
    """How the variance of noise depends on the value: gain * value + offset.

    Args:
        gain: Variance per value; not negative.
        offset: Variance at the value 0; not negative, and positive where the gain is 0.
    """

    gain: float
    offset: float

    @classmethod
    def fitted(cls, values: DoubleArray, variances: DoubleArray) -> VarianceLine:
        """The straight line through variances, by least squares, neither of its parts negative.

        Args:
            values: Means of small areas.
            variances: Of the noise in each.
        """
        spread = float(values.var())
        joint = float(((values - values.mean()) * (variances - variances.mean())).mean())
        gain = max(0.0, joint / spread) if spread > 0 else 0.0
        offset = float(variances.mean()) - gain * float(values.mean())
        if offset < 0:
            through = float((values * variances).sum() / max(np.square(values).sum(), 1e-30))
            gain, offset = max(0.0, through), 0.0
        if gain < _LEAST_GAIN:
            return cls(0.0, max(float(variances.mean()), 1e-6))
        return cls(gain, offset)

    def stabilised(self, values: FloatArray) -> FloatArray:
        """Values whose noise has the variance 1 everywhere.

        Args:
            values: With noise of this variance.
        """
        if self.gain == 0:
            return np.asarray(values / np.sqrt(self.offset), dtype=np.float32)
        counts = values.astype(np.float64) / self.gain + 0.375 + self.offset / self.gain**2
        return np.asarray(2 * np.sqrt(np.maximum(counts, 0)), dtype=np.float32)

    def restored(self, stabilised: FloatArray) -> FloatArray:
        """The exact unbiased inverse, in closed form.

        With D the stabilised value, and in units of the gain:
        y = D^2 / 4 + sqrt(3/2) / (4 D) - 11 / (8 D^2) + 5 sqrt(3/2) / (8 D^3) - 1/8 - offset.

        Args:
            stabilised: Means of stabilised values.
        """
        if self.gain == 0:
            return np.asarray(stabilised * np.sqrt(self.offset), dtype=np.float32)
        root = np.sqrt(1.5)
        d = np.maximum(stabilised.astype(np.float64), 2 * np.sqrt(0.375))
        counts = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 0.125
        values = (counts - self.offset / self.gain**2) * self.gain
        return np.asarray(values, dtype=np.float32)
