"""Settings of the training loss: a weighted sum of terms."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings


class MseSettings(Settings):
    """Mean squared difference from the full-dose image, in network scale."""

    name: Literal["mse"] = "mse"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""


class CrossEntropySettings(Settings):
    """Pixel-wise cross-entropy of the segmentation head, mean over the pixels."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""


class DiceSettings(Settings):
    """Dice loss of the segmentation head, summed over the classes."""

    name: Literal["dice"] = "dice"
    """The kind of term."""

    weight: float = Field(default=1.0, gt=0)
    """Factor of the term in the sum."""

    include_background: bool = True
    """Whether class 0 counts as a class."""


LossTermSettings = Annotated[
    MseSettings | CrossEntropySettings | DiceSettings, Field(discriminator="name")
]
"""Any term; told apart by `name`."""


class LossSettings(Settings):
    """The loss that training makes small: the weighted sum of its terms."""

    terms: tuple[LossTermSettings, ...] = Field(default=(MseSettings(),), min_length=1)
    """The terms, each kind at most once."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [term.name for term in self.terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"{', '.join(twice)} is there more than once; raise its weight instead"
            )
        return self

    @property
    def needs_labels(self) -> bool:
        """Whether a term compares the segmentation head with labels."""
        return any(isinstance(term, CrossEntropySettings | DiceSettings) for term in self.terms)
