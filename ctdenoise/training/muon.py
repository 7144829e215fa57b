"""Muon: steps in which every direction of a layer's weights counts the same.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
(kellerjordan.github.io/posts/muon). The running mean of a layer's gradient is a matrix; the step is
the nearest matrix whose singular values are all one, found by a few products of matrices. The step
is then as long as one of Adam's, as in Liu et al., "Muon is scalable for LLM training", 2025, so
both take the same learning rates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

SMALLEST = 16
"""Maps that a layer reads, and writes, at least; a smaller layer's weights follow Adam, as do
biases."""

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al.: brings singular values near one, to 0.7 to 1.2, in few rounds."""

_ROUNDS = 5
_STEP_OF_ADAM = 0.2
"""Root mean square of Adam's steps over the learning rate, as Liu et al. measured it."""


class Muon(torch.optim.Optimizer):
    """Muon for the weights of layers from maps to maps, Adam for all others.

    Like torch's fused optimizers it leaves the weights alone where `found_inf` is not zero.

    Args:
        parameters: Weights and biases; of a convolution [output, input, y, x] or [input, output, y,
            x].
        learning_rate: Step size.
        momentum: Share of the running mean of the gradient that stays, for Muon.
        betas: Decay of the running means of the gradient and of its square, for Adam.
        epsilon: Added to the root of the mean squared gradient, for Adam.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        *,
        learning_rate: float,
        momentum: float,
        betas: tuple[float, float],
        epsilon: float,
    ) -> None:
        super().__init__(list(parameters), {"lr": learning_rate})
        self._momentum, self._betas, self._epsilon = momentum, betas, epsilon

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move the weights.

        Args:
            closure: Not supported.
        """
        if closure is not None:
            raise ValueError("Muon computes no losses: it takes no closure.")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                gradient = self._sound(weight.grad)
                turns = _is_of_maps(weight)
                move = self._turned(weight, gradient) if turns else self._scaled(weight, gradient)
                weight.sub_(self._alive(move * group["lr"]))

    def _sound(self, gradient: Tensor) -> Tensor:
        """Zero where weights are not to move: no other tensor may be spoilt either."""
        if self.found_inf is None:
            return gradient
        return torch.where(self.found_inf > 0, torch.zeros_like(gradient), gradient)

    def _alive(self, move: Tensor) -> Tensor:
        return move if self.found_inf is None else move * (1 - self.found_inf)

    def _turned(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Muon's step, over the learning rate."""
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        mean = state["momentum_buffer"]
        mean.lerp_(gradient, 1 - self._momentum)
        ahead = gradient.lerp(mean, self._momentum)  # Nesterov's
        matrix = even(ahead.flatten(1))
        length = _STEP_OF_ADAM * max(matrix.shape) ** 0.5
        turned: Tensor = (matrix * length).reshape(weight.shape)
        return turned

    def _scaled(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """Adam's step, over the learning rate."""
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
            state["step"] = torch.zeros((), device=weight.device)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        count = state["step"].add_(1)
        mean.lerp_(gradient, 1 - self._betas[0])
        square.lerp_(gradient.square(), 1 - self._betas[1])
        first, second = (1 - beta**count for beta in self._betas)
        moved: Tensor = (mean / first) / ((square / second).sqrt() + self._epsilon)
        return moved


def even(matrix: Tensor) -> Tensor:
    """A matrix of the same singular vectors whose singular values are all near one.

    Args:
        matrix: Of any size and scale.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    wide: Tensor = matrix.T if tall else matrix
    wide = wide / wide.norm().clamp(min=1e-12)
    first, third, fifth = _POLYNOMIAL
    for _ in range(_ROUNDS):
        square = wide @ wide.T
        wide = first * wide + (third * square + fifth * (square @ square)) @ wide
    return wide.T if tall else wide


def _is_of_maps(weight: Tensor) -> bool:
    return weight.ndim >= 2 and min(weight.shape[:2]) >= SMALLEST
