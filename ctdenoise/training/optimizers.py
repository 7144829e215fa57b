"""How weights follow the gradient, and how fast at each step."""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import nn

from ctdenoise.config.optimizers import (
    AdamSettings,
    ConstantScheduleSettings,
    CosineScheduleSettings,
    ExponentialScheduleSettings,
    MuonSettings,
    OptimizerSettings,
    ScheduleSettings,
    SgdSettings,
    StepScheduleSettings,
)
from ctdenoise.training.muon import Muon


def build_optimizer(settings: OptimizerSettings, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer a settings file asks for; AdamW without weight decay is Adam.

    It can be told on the device to leave the weights alone (`Guard`).

    Args:
        settings: Which, and its constants. The learning rate is set anew before every step.
        network: Whose parameters it changes, but for those that are frozen.
    """
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    match settings:
        case AdamSettings():
            return torch.optim.AdamW(
                learning,
                lr=settings.learning_rate,
                betas=settings.betas,
                eps=settings.epsilon,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        case MuonSettings():
            return Muon(
                learning,
                learning_rate=settings.learning_rate,
                momentum=settings.momentum,
                betas=settings.betas,
                epsilon=settings.epsilon,
            )
        case SgdSettings():
            return torch.optim.SGD(
                learning,
                lr=settings.learning_rate,
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
                fused=True,
            )
        case _:
            assert_never(settings)


def learning_rate_at(step: int, *, first: float, schedule: ScheduleSettings, steps: int) -> float:
    """The learning rate of one step; it depends on nothing but its arguments.

    Args:
        step: From 0.
        first: The optimizer's learning rate, reached after the warm-up.
        schedule: How the rate falls; to a `final_learning_rate` at step `steps - 1`.
        steps: Steps in all.
    """
    warmup = schedule.warmup_steps
    if step < warmup:
        return first * (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, steps - 1 - warmup))
    match schedule:
        case ConstantScheduleSettings():
            return first
        case CosineScheduleSettings(final_learning_rate=last):
            return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * done))
        case ExponentialScheduleSettings(final_learning_rate=last):
            return float(first * (last / first) ** done)
        case StepScheduleSettings(every=every, factor=factor):
            return float(first * factor ** ((step - warmup) // every))
        case _:
            assert_never(schedule)
