"""`models add`: a trained network becomes a released model, two files of a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Any

from ctdenoise.config.load import checked, find_settings_file, load_settings
from ctdenoise.config.model_card import (
    NAME_PATTERN,
    CardResults,
    CardWords,
    Compute,
    ModelCard,
    Recipe,
)
from ctdenoise.errors import OutputExistsError, SettingsError, UsageError
from ctdenoise.inference.load import REGISTERED
from ctdenoise.inference.rounding import ROUNDING_MOST_HU, rounding_hu
from ctdenoise.io.checksum import sha256_of
from ctdenoise.io.runfile import training_record
from ctdenoise.io.staging import staged_file
from ctdenoise.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ctdenoise.networks.released import CARD_SUFFIX, WEIGHTS_SUFFIX, ReleasedModel, released

_WANTED = ("intended_use", "limits", "data", "recipe", "licence", "results")
"""Parts of a card that nothing but a person, or a study, can fill in."""


@dataclass(frozen=True, slots=True)
class AddRequest:
    """What is asked for.

    Args:
        run: A checkpoint, or the output folder of a training run.
        name: What the model is to be called.
        into: Folder for its two files; made if there is none.
        card: YAML file with what a person says of it, or the name of a ready one; None for what its
            last card said, or nothing.
        results: JSON file with tables of results and failure cases; None for those of its last
            card, if the weights are still the same, or none.
        strength: Recommended strength; None for that of the words.
        replace: Whether a model of that name in the folder may be replaced.
        earlier: Runs that this one began with, one after the other: they count in what the training
            took.
    """

    run: Path
    name: str
    into: Path
    card: str | Path | None = None
    results: Path | None = None
    strength: float | None = None
    replace: bool = False
    earlier: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class AddReport:
    """What was made.

    Args:
        model: The released model.
        size_mb: Size of its weights.
        rounding_hu: Largest change of the output that float16 makes, or would make.
        missing: Parts of the card in which nothing stands.
    """

    model: ReleasedModel
    size_mb: float
    rounding_hu: float
    missing: tuple[str, ...]


def run(request: AddRequest) -> AddReport:
    """Write the weights of a trained network and its card.

    Weights are stored as float16 where that changes no voxel of a noisy test image by more than
    `ROUNDING_MOST_HU`. The same checkpoint gives the same file.

    Args:
        request: What is asked for.

    Raises:
        UsageError: If the name is none, or one that means something else.
        OutputExistsError: If the folder has a model of that name, and it may not be replaced.
        CheckpointError: If the checkpoint, or its run, cannot be read.
        SettingsError: If what stands in the files of words or results is wrong.
        OutputError: If the files cannot be written.
    """
    _require_name(request)
    before = _before(request)
    checkpoint = load_checkpoint(request.run)
    parameters = sum(parameter.numel() for parameter in checkpoint.build().parameters())
    took = _compute([training_record(path) for path in (*request.earlier, request.run)], checkpoint)
    words = _words(request, before, checkpoint, parameters, took)
    given = None if request.results is None else _results(request.results)
    rounding = rounding_hu(checkpoint)
    is_half = rounding <= ROUNDING_MOST_HU
    path = request.into / f"{request.name}{WEIGHTS_SUFFIX}"
    request.into.mkdir(parents=True, exist_ok=True)
    with staged_file(path) as stage:
        save_checkpoint(stage, checkpoint.halved() if is_half else checkpoint)
        sha256 = sha256_of(stage)
        used = load_checkpoint(stage)
    results = given
    if results is None and before is not None and before.sha256 == sha256:
        results = before.results
    card = ModelCard(
        **words,
        name=request.name,
        sha256=sha256,
        digest=used.digest,
        network=checkpoint.network.name,
        parameters=parameters,
        stored="float16" if is_half else "float32",
        rounding_hu=float(f"{rounding:.3g}"),
        training_range=_trained_on(checkpoint),
        results=CardResults() if results is None else results,
    )
    _write(path.with_suffix(CARD_SUFFIX), card)
    missing = tuple(part for part in _WANTED if _is_empty(getattr(card, part)))
    model = ReleasedModel(card.name, card, path)
    return AddReport(model, path.stat().st_size / 1e6, rounding, missing)


def _require_name(request: AddRequest) -> None:
    if not re.fullmatch(NAME_PATTERN, request.name) or request.name in REGISTERED:
        taken = request.name in REGISTERED
        raise UsageError(
            f"`{request.name}` means something else already."
            if taken
            else f"`{request.name}` cannot be the name of a released model.",
            where="--name",
            fix="Take a small letter and up to 31 more small letters, digits, `-` or `_`, and none "
            f"of {', '.join(REGISTERED)}.",
        )


def _before(request: AddRequest) -> ModelCard | None:
    """The card that the folder has under this name."""
    path = request.into / f"{request.name}{CARD_SUFFIX}"
    if not path.exists() and not path.with_suffix(WEIGHTS_SUFFIX).exists():
        return None
    if not request.replace:
        raise OutputExistsError(
            f"this folder has a model `{request.name}` already.",
            where=request.into,
            fix="Give --replace to put the new one in its place, or another --name.",
        )
    return released(request.name, [request.into]).card if path.exists() else None


def _words(
    request: AddRequest,
    before: ModelCard | None,
    checkpoint: Checkpoint,
    parameters: int,
    took: Compute,
) -> dict[str, Any]:
    """What a person says of the model, with what the run says where the person says nothing."""
    if request.card is not None:
        words = load_settings(CardWords, find_settings_file("models", request.card))
    elif before is not None:
        said = {key: getattr(before, key) for key in CardWords.model_fields}
        words = CardWords(**{**said, "compute": Compute()})  # that was another run's
    else:
        words = CardWords(summary=_summary(checkpoint, parameters, took))
    strength = words.strength if request.strength is None else request.strength
    changes = {"compute": words.compute.completed(took).as_json(), "strength": strength}
    return checked(CardWords, {**words.as_json(), **changes}, where=request.card).as_json()


def _summary(checkpoint: Checkpoint, parameters: int, took: Compute) -> str:
    steps = "" if took.steps is None else f", trained for {took.steps:,} steps"
    return f"A network of the kind {checkpoint.network.name} with {parameters:,} weights{steps}."


def _results(path: Path) -> CardResults:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            "the results cannot be read as JSON.",
            where=path,
            fix='Give a file such as {"tables": [], "failures": []}.',
        ) from error
    if not isinstance(values, dict):
        raise SettingsError("the results are no mapping of tables and failures.", where=path)
    return checked(CardResults, values, where=path)


def _compute(runs: Sequence[Mapping[str, Any]], checkpoint: Checkpoint) -> Compute:
    """What the training took, all runs together; what one of them does not say is not known."""
    steps = [run.get("results", {}).get("steps") for run in runs]
    together = [run.get("settings", {}).get("batch_size") for run in runs]
    seconds = [run.get("timings_s", {}).get("steps") for run in runs]
    arithmetic = checkpoint.training.get("arithmetic")
    known = None not in {*steps, *together}
    return Compute(
        steps=None if None in steps else sum(steps),
        patches=sum(map(mul, steps, together)) if known else None,
        seconds=None if None in seconds else sum(seconds),
        processor=arithmetic if isinstance(arithmetic, str) else str(runs[-1].get("device", "")),
    )


def _trained_on(checkpoint: Checkpoint) -> dict[str, Any]:
    found = checkpoint.training.get("trained_on")
    return dict(found) if isinstance(found, Mapping) else {}


def _is_empty(part: object) -> bool:
    return not part or part in {Recipe(), CardResults()}


def _write(path: Path, card: ModelCard) -> None:
    text = json.dumps(card.as_json(), indent=1, ensure_ascii=False)
    with staged_file(path) as stage:
        stage.write_text(f"{text}\n", encoding="utf-8")
