"""Settings of `train`: what is learnt from, how, and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_serializer, field_validator, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.losses import LossSettings
from ctdenoise.config.networks import (
    HuRangeSettings,
    NetworkSettings,
    RedCnnSettings,
    segmentation_classes,
    states_error,
)


class PatchSettings(Settings):
    """How patches are cut out of the training slices."""

    size: int = Field(default=64, ge=8, le=1024)
    """Edge of the square patches, pixels."""

    augment: bool = True
    """Turn and mirror each patch at random (the eight symmetries of a square)."""

    body_above_hu: float = -500.0
    """Full-dose pixels above this count as body when a patch is chosen."""

    least_body: float = Field(default=0.2, ge=0, le=1)
    """A place whose patch holds a smaller share of body is drawn again, a few times; 0 takes every
    place. Air outside the patient has nothing to teach."""


class PairNoiseSettings(Settings):
    """The noise of the twins of the pairs: each patch is seen with the same noise each time."""

    name: Literal["from_pair"] = "from_pair"
    """Where the noise comes from."""


class FreshNoiseSettings(Settings):
    """New noise for every patch, drawn in the image domain as the pair's simulation was calibrated.

    Validation stays on the twins of the pairs.
    """

    name: Literal["on_the_fly"] = "on_the_fly"
    """Where the noise comes from."""

    lowest_dose: float = Field(default=0.1, gt=0, lt=1)
    """Lowest dose over that of the scan."""

    highest_dose: float = Field(default=0.5, gt=0, lt=1)
    """Highest dose; those between are drawn evenly in their logarithm."""

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.lowest_dose > self.highest_dose:
            raise ValueError("lowest_dose must not be above highest_dose")
        return self


NoiseSettings = Annotated[PairNoiseSettings | FreshNoiseSettings, Field(discriminator="name")]
"""Where the noise of the low-dose patches comes from; told apart by `name`."""


class DataSettings(Settings):
    """What is read from the pairs."""

    labels: dict[str, int] | None = None
    """Class of each label, by the label's name or number: several labels may share a class, those
    that are not named are background (0). Null: the label numbers are the classes."""

    @field_validator("labels", mode="before")
    @classmethod
    def _keys_as_text(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {str(key): item for key, item in value.items()}

    @field_validator("labels")
    @classmethod
    def _some_class(cls, value: dict[str, int] | None) -> dict[str, int] | None:
        if value is not None and not any(value.values()):
            raise ValueError("no label is mapped to a class above 0")
        if value is not None and min(value.values()) < 0:
            raise ValueError("classes are numbered from 0 (background)")
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
        if not all(0 <= beta < 1 for beta in value):
            raise ValueError("both must be at least 0 and below 1")
        return value


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


ScheduleSettings = Annotated[
    ConstantScheduleSettings | CosineScheduleSettings | ExponentialScheduleSettings,
    Field(discriminator="name"),
]
"""Any schedule; told apart by `name`."""


class ValidationSettings(Settings):
    """How the network is judged while it learns, on slices that it never trains on."""

    every: int = Field(default=500, ge=1)
    """Steps between two measurements; the last step is always measured."""

    share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the patients to hold out, at least one. A single patient keeps this share of
    slices, at its end, out of training."""

    patients: tuple[str, ...] = ()
    """Keys of the patients to hold out, as in pair.json; empty lets the seed choose."""

    slices: int = Field(default=8, ge=1)
    """Slices that are measured, spread evenly over the held-out ones."""

    crop: int | None = Field(default=256, ge=16)
    """Edge of the centre that is measured, pixels; null for whole slices."""


class EarlyStoppingSettings(Settings):
    """When to stop before the last step."""

    patience: int = Field(default=20, ge=1)
    """Measurements in a row that may pass without a gain."""

    least_gain_hu: float = Field(default=0.01, ge=0)
    """A smaller fall of the validation RMSE is no gain, HU."""


class TrainSettings(Settings):
    """Everything that decides a trained network, beside the pairs and the seed."""

    network: NetworkSettings = RedCnnSettings()
    """The network."""

    loss: LossSettings = LossSettings()
    """What training makes small."""

    hu_range: HuRangeSettings = HuRangeSettings()
    """Hounsfield units that are 0 and 1 for the network; kept in the checkpoint."""

    data: DataSettings = DataSettings()
    """What is read from the pairs."""

    patches: PatchSettings = PatchSettings()
    """How patches are cut."""

    noise: NoiseSettings = PairNoiseSettings()
    """Where the noise of the low-dose patches comes from."""

    batch_size: int = Field(default=16, ge=1, le=65536)
    """Patches in one step."""

    steps: int = Field(default=20_000, ge=1)
    """Steps in all; the only setting that may change when a run is resumed."""

    optimizer: AdamSettings = AdamSettings()
    """How weights follow the gradient."""

    schedule: ScheduleSettings = ExponentialScheduleSettings()
    """How the learning rate changes over the steps."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Longest gradient vector; a longer one is shortened to this. Null: never."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the layers: bfloat16 is faster where the processor has it. auto takes it on
    a GPU and on CPUs with native bfloat16, float32 elsewhere. Weights, loss and the shortcut from
    input to output are float32 always."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU if there is one."""

    channels_last: bool = True
    """Keep the channels of a pixel together in memory, which convolutions like."""

    validation: ValidationSettings = ValidationSettings()
    """How the network is judged meanwhile."""

    early_stopping: EarlyStoppingSettings | None = None
    """When to stop early; null: never."""

    record_every: int = Field(default=50, ge=1)
    """Steps between two lines of metrics.csv."""

    checkpoint_every: int = Field(default=500, ge=1)
    """Steps between two saved states to resume from."""

    init_from: Path | None = None
    """Checkpoint to start from instead of fresh weights; a segmentation head may be new."""

    @field_serializer("init_from")
    def _init_from_as_text(self, value: Path | None) -> str | None:
        return None if value is None else str(value)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        classes = segmentation_classes(self.network)
        if self.network.name == "identity":
            raise ValueError("the network `identity` has no weights to train")
        if not self.hu_range.high > self.hu_range.low:
            raise ValueError("hu_range.high must be above hu_range.low")
        if self.loss.needs_sigma and not states_error(self.network):
            raise ValueError(
                "loss.terms has `heteroscedastic`, which needs network.predict_sigma=true"
            )
        if self.loss.needs_labels and classes is None:
            raise ValueError(
                "a loss term compares labels, so the network needs network.head.classes"
            )
        if classes is not None and not self.loss.needs_labels:
            raise ValueError(
                "the network has a segmentation head that no loss term trains; "
                "add cross_entropy or dice to loss.terms, or remove network.head"
            )
        highest = max((self.data.labels or {}).values(), default=0)
        if classes is not None and highest >= classes:
            raise ValueError(
                f"data.labels names class {highest}, but network.head.classes is {classes} "
                f"(classes 0 to {classes - 1})"
            )
        return self
