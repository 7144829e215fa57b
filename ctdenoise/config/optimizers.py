"""Settings of how weights follow the gradient: optimizer, learning rate, average of the weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ctdenoise.config.base import Settings


def _betas_below_one(value: tuple[float, float]) -> tuple[float, float]:
    if not all(0 <= beta < 1 for beta in value):
        raise ValueError("both must be at least 0 and below 1")
    return value


class AdamSettings(Settings):
    """Adam (Kingma and Ba 2015); with weight decay, AdamW."""

    name: Literal["adam"] = "adam"
    """The kind of optimizer."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """Step size at the start; the schedule lowers it."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""

    epsilon: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean squared gradient."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled decay of the weights."""

    @field_validator("betas")
    @classmethod
    def _below_one(cls, value: tuple[float, float]) -> tuple[float, float]:
        return _betas_below_one(value)


class MuonSettings(Settings):
    """Muon (Jordan et al. 2024) for layers from 16 maps or more to as many, Adam for all others."""

    name: Literal["muon"] = "muon"
    """The kind of optimizer."""

    learning_rate: float = Field(default=2e-3, gt=0)
    """Step size at the start; the schedule lowers it. Steps are as long as Adam's."""

    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Share of the running mean of the gradient that stays at each step, for Muon."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square, for Adam."""

    epsilon: float = Field(default=1e-8, gt=0)
    """Added to the root of the mean squared gradient, for Adam."""

    @field_validator("betas")
    @classmethod
    def _below_one(cls, value: tuple[float, float]) -> tuple[float, float]:
        return _betas_below_one(value)


class SgdSettings(Settings):
    """Stochastic gradient descent with momentum: `v <- m v + g`, `weight <- weight - rate v`."""

    name: Literal["sgd"] = "sgd"
    """The kind of optimizer."""

    learning_rate: float = Field(default=1e-2, gt=0)
    """Step size at the start; the schedule lowers it."""

    momentum: float = Field(default=0.9, ge=0, lt=1)
    """m, the share of the last step that goes on; 0 is plain descent."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Added to the gradient, times the weight."""


OptimizerSettings = Annotated[
    AdamSettings | MuonSettings | SgdSettings, Field(discriminator="name")
]
"""Any optimizer; told apart by `name`."""


class ConstantScheduleSettings(Settings):
    """The learning rate stays as it is."""

    name: Literal["constant"] = "constant"
    """The kind of schedule."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the rate first rises from zero in a straight line."""


class CosineScheduleSettings(Settings):
    """The learning rate falls along half a cosine and reaches its end at the last step."""

    name: Literal["cosine"] = "cosine"
    """The kind of schedule."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the rate first rises from zero in a straight line."""

    final_learning_rate: float = Field(default=0.0, ge=0)
    """Learning rate at the last step."""


class ExponentialScheduleSettings(Settings):
    """The learning rate falls by the same factor every step and reaches its end at the last."""

    name: Literal["exponential"] = "exponential"
    """The kind of schedule."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the rate first rises from zero in a straight line."""

    final_learning_rate: float = Field(default=1e-5, gt=0)
    """Learning rate at the last step; 1e-5 in the RED-CNN paper."""


class StepScheduleSettings(Settings):
    """The learning rate falls by a factor every so many steps."""

    name: Literal["step"] = "step"
    """The kind of schedule."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the rate first rises from zero in a straight line."""

    every: int = Field(default=10_000, ge=1)
    """Steps, after the warm-up, from one fall to the next."""

    factor: float = Field(default=0.5, gt=0, lt=1)
    """What the rate is multiplied by at each fall."""


ScheduleSettings = Annotated[
    ConstantScheduleSettings
    | CosineScheduleSettings
    | ExponentialScheduleSettings
    | StepScheduleSettings,
    Field(discriminator="name"),
]
"""Any schedule; told apart by `name`."""


class EmaSettings(Settings):
    """A running mean of the weights over the last steps, which is judged and kept in their place.

    After each step the mean becomes `decay * mean + (1 - decay) * weights`.
    """

    decay: float = Field(default=0.999, gt=0, lt=1)
    """Share of the mean that stays at each step: 0.999 looks back about 1,000 steps."""

    warmup: bool = True
    """In the beginning, let the share grow as (1 + steps) / (10 + steps) until it reaches `decay`,
    so that the first, random weights are soon forgotten."""
