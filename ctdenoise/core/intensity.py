"""The one door between Hounsfield units and the scale that networks see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from ctdenoise.errors import InputError


class Scalable(Protocol):
    """What can be shifted and scaled: a number, a numpy array, a torch tensor."""

    def __add__(self, other: float, /) -> Self: ...
    def __sub__(self, other: float, /) -> Self: ...
    def __mul__(self, other: float, /) -> Self: ...


T = TypeVar("T", bound=Scalable)


@dataclass(frozen=True, slots=True)
class HuRange:
    """Hounsfield units `low` to `high` are 0 to 1 for a network.

    Stored in the checkpoint: training and inference share it. It is a scale, not a clip: values
    outside go outside [0, 1].

    Args:
        low: HU that becomes 0.
        high: HU that becomes 1.

    Raises:
        InputError: If `high` is not above `low`.
    """

    low: float = -1024.0
    high: float = 3071.0

    def __post_init__(self) -> None:
        if not self.high > self.low:
            raise InputError(f"An HU range from {self.low} to {self.high} is empty.")

    @property
    def width_hu(self) -> float:
        """HU per network unit."""
        return self.high - self.low

    def to_network(self, hu: T) -> T:
        """Hounsfield units to network scale; any shape."""
        return (hu - self.low) * (1.0 / self.width_hu)

    def to_hu(self, scaled: T) -> T:
        """Network scale to Hounsfield units; any shape."""
        return scaled * self.width_hu + self.low
