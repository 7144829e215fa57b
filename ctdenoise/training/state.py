"""The exact state of a run after a step: with it, a resumed run ends as if never stopped.

`last/` holds `state.json`, which names one safetensors file with the weights and the optimizer's
moments. A new state is written beside the old one and `state.json` is replaced last, in one
rename: whenever the power fails, one whole state is there. Randomness needs no state: everything
drawn depends on the seed and the step.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as bytes_from_tensors
from torch import Tensor

from ctdenoise.errors import CheckpointError
from ctdenoise.io.staging import staged_file
from ctdenoise.networks.prediction import DenoisingNetwork
from ctdenoise.training.averages import WeightAverage

STATE_FOLDER = "last"
"""Folder of the state inside the output folder of a run."""

STATE_FILE = "state.json"
"""The file inside it that is replaced last."""

FORMAT_VERSION = 2
"""Raised when the files change."""

_WEIGHTS = "weights."
_MEAN = "mean."
_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")
_COUNTED = "exp_avg"
"""An optimizer with this moment also counts its steps."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best measurement so far.

    Args:
        step: After which step.
        value: Of the metric that decides.
        rmse_hu: Validation RMSE of the network, HU.
        baseline_rmse_hu: RMSE of the low-dose images themselves, HU.
        dice: Mean Dice of the classes; None without labels.
        class_dice: Dice of class 1, 2, ...; None for those that the slices do not show.
    """

    step: int
    value: float
    rmse_hu: float
    baseline_rmse_hu: float
    dice: float | None = None
    class_dice: Sequence[float | None] = ()


@dataclass(slots=True)
class Progressed:
    """How far a run is; changes with every step.

    Args:
        step: Steps done.
        best: Best measurement, if there was one.
        counted: The last value of the metric that was a gain by `early_stopping`.
        checks_without_gain: Measurements since then.
        sums: Sum of each loss since the last line of the table.
        summed: Steps in these sums.
        seconds: Time spent in steps, over all parts of the run.
        changes: Settings that were changed when the run was resumed, for people, oldest first.
    """

    step: int = 0
    best: Best | None = None
    counted: float | None = None
    checks_without_gain: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What a resumed run must share with the one that it goes on with.

    Args:
        seed: The run's seed.
        data_digest: Digest of the pairs.
        arithmetic: Device and number format; another one goes on, but not bit for bit.
    """

    seed: int
    data_digest: str
    arithmetic: str


def has_state(out: Path) -> bool:
    """Whether a folder holds a run that can be resumed."""
    return (out / STATE_FOLDER / STATE_FILE).is_file()


def save_state(
    out: Path,
    progressed: Progressed,
    identity: RunIdentity,
    network: DenoisingNetwork,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
) -> None:
    """Write the state of a run, replacing the one before in one step.

    Args:
        out: Output folder of the run.
        progressed: How far it is.
        identity: Seed and data.
        network: Its weights are saved.
        optimizer: Its moments are saved.
        average: The running mean of the weights, if there is one.

    Raises:
        OutputError: If the disk is full; the state before is kept.
    """
    folder = out / STATE_FOLDER
    folder.mkdir(exist_ok=True)
    content = bytes_from_tensors(_tensors(network, optimizer, average))
    name = f"step_{progressed.step:09d}.safetensors"
    record = {
        "format_version": FORMAT_VERSION,
        "tensors": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "identity": dataclasses.asdict(identity),
        "progressed": dataclasses.asdict(progressed),
    }
    with staged_file(folder / name) as stage:
        stage.write_bytes(content)
    with staged_file(folder / STATE_FILE) as stage:
        stage.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    for old in folder.iterdir():
        if old.name not in (name, STATE_FILE):
            old.unlink(missing_ok=True)


def read_progress(out: Path) -> tuple[Progressed, RunIdentity]:
    """How far a run was when its state was saved, and with which seed and data.

    Args:
        out: Output folder of the run.

    Raises:
        CheckpointError: If there is no state, or it is damaged.
    """
    record = _read_record(out)
    return _progressed(record, out), _identity(record, out)


def restore_state(
    out: Path,
    network: DenoisingNetwork,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None = None,
) -> Progressed:
    """Bring a network and its optimizer to the saved state.

    Args:
        out: Output folder of the run.
        network: Of the same settings; on its device, in its memory format.
        optimizer: Over its parameters, fresh.
        average: The running mean of its weights, if the run has one.

    Raises:
        CheckpointError: If there is no state, or it is damaged or of another network.
    """
    record = _read_record(out)
    progressed = _progressed(record, out)
    tensors = _read_tensors(out, record)
    try:
        network.load_state_dict(_below(_WEIGHTS, tensors))
        if average is not None:
            average.network.load_state_dict(_below(_MEAN, tensors))
        if progressed.step:
            _restore_moments(network, optimizer, tensors, step=progressed.step)
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            "the saved state does not fit the network of these settings.", where=out / STATE_FOLDER
        ) from error
    return progressed


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _tensors(
    network: DenoisingNetwork, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> dict[str, Tensor]:
    tensors = {f"{_WEIGHTS}{name}": tensor for name, tensor in network.state_dict().items()}
    if average is not None:
        tensors |= {f"{_MEAN}{key}": tensor for key, tensor in average.network.state_dict().items()}
    for name, parameter in network.named_parameters():
        state = optimizer.state.get(parameter, {})
        tensors.update({f"{key}.{name}": state[key] for key in _MOMENTS if key in state})
    # Copies in plain order: safetensors refuses channels-last and shared memory.
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def _restore_moments(
    network: DenoisingNetwork,
    optimizer: torch.optim.Optimizer,
    tensors: dict[str, Tensor],
    *,
    step: int,
) -> None:
    for name, parameter in network.named_parameters():
        found = [key for key in _MOMENTS if f"{key}.{name}" in tensors]
        if not found:
            continue  # a parameter that never had a gradient has no moments
        # empty_like keeps the memory format: the moments lie in memory as they did before.
        state: dict[str, Tensor] = {key: torch.empty_like(parameter) for key in found}
        for key, moment in state.items():
            moment.copy_(tensors[f"{key}.{name}"])
        if _COUNTED in found:
            state["step"] = torch.tensor(float(step), device=parameter.device)
        optimizer.state[parameter] = state


def _read_record(out: Path) -> dict[str, Any]:
    path = out / STATE_FOLDER / STATE_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            "there is no saved state to resume from.",
            where=out,
            fix="Give the output folder of a stopped run, or leave --resume out to start one.",
        ) from error
    except (OSError, ValueError) as error:
        raise _damaged(out, "state.json is not readable") from error
    if not isinstance(record, dict) or record.get("format_version") != FORMAT_VERSION:
        raise _damaged(out, "state.json is of another version")
    return record


def _progressed(record: dict[str, Any], out: Path) -> Progressed:
    try:
        values = dict(record["progressed"])
        best = values.pop("best")
        return Progressed(**values, best=None if best is None else Best(**best))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(out, "state.json lacks something") from error


def _identity(record: dict[str, Any], out: Path) -> RunIdentity:
    try:
        return RunIdentity(**record["identity"])
    except (KeyError, TypeError) as error:
        raise _damaged(out, "state.json lacks something") from error


def _read_tensors(out: Path, record: dict[str, Any]) -> dict[str, Tensor]:
    try:
        content = (out / STATE_FOLDER / Path(record["tensors"]).name).read_bytes()
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise _damaged(out, "the weights are not those that were written")
        tensors: dict[str, Tensor] = tensors_from_bytes(content)
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged(out, "the weights cannot be read") from error
    return tensors


def _damaged(out: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"the saved state is damaged: {why}.",
        where=out / STATE_FOLDER,
        fix="model.safetensors, the best network so far, can still be used; train again in a new "
        "folder, for instance with init.from.",
    )
