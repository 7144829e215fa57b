"""`models`: which released models there are, what they are, and how fast they are here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ctdenoise.config.inference import InferSettings
from ctdenoise.core.progress import SILENT, Progress
from ctdenoise.errors import CheckpointError
from ctdenoise.inference.load import default_model, load_denoiser
from ctdenoise.networks.released import (
    PREFIX,
    ReleasedModel,
    packaged_folder,
    released,
    released_models,
)
from ctdenoise.report.model_page import model_page
from ctdenoise.tasks.judge_facts import trained_words
from ctdenoise.tasks.judge_plan import seconds_a_slice

TIMED_PIXELS = 512
"""Rows and columns of the slice that is timed."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A released model, as it is on this machine.

    Args:
        model: Name, card and file, which is whole.
        size_mb: Size of the file.
        folder: Where it lies; None inside the package.
        trained_on: What it learnt from, in a line.
        is_default: Whether `infer` takes it here where none is named.
        seconds: Of a slice of 512 x 512 pixels on this machine; None where it was not measured.
        engine: What computed it; empty where it was not measured.
    """

    model: ReleasedModel
    size_mb: float
    folder: Path | None
    trained_on: str
    is_default: bool
    seconds: float | None = None
    engine: str = ""


def find(*, timed: bool = True, progress: Progress = SILENT) -> tuple[ListedModel, ...]:
    """Every released model; the files are compared with their hashes.

    Args:
        timed: Whether a slice is denoised with each, twice, to see how long it takes.
        progress: Told about each.

    Raises:
        CheckpointError: If a model is damaged.
    """
    models = released_models()
    default = _default()
    found = []
    with progress.stage("Looking at models", len(models)) as advance:
        for model in models:
            found.append(_listed(model, is_default=model.name == default, timed=timed))
            advance()
    return tuple(found)


def show(name: str) -> ReleasedModel:
    """One released model; its file is compared with its hash.

    Args:
        name: What it is called.

    Raises:
        CheckpointError: If there is none of that name, or it is damaged.
    """
    model = released(name.removeprefix(PREFIX))
    model.verified()
    return model


def page_of(model: ReleasedModel, *, pictures: str | None = "../") -> str:
    """The card of a model as Markdown.

    Args:
        model: A released model.
        pictures: What leads to the folder from which pictures are named; None for captions alone.
    """
    return model_page(model.card, pictures=pictures)


def as_json(models: Sequence[ListedModel]) -> str:
    """What was found, for other programs.

    Args:
        models: As `find` gives them.
    """
    return json.dumps(
        [
            {
                "name": one.model.name,
                "default": one.is_default,
                "path": str(one.model.path),
                "size_mb": round(one.size_mb, 3),
                "seconds_per_slice": one.seconds,
                "engine": one.engine,
                "card": one.model.card.as_json(),
            }
            for one in models
        ],
        indent=2,
    )


def _default() -> str:
    """The name of the model that is taken here where none is named; empty where it is absent."""
    try:
        return default_model("auto").removeprefix(PREFIX)
    except CheckpointError:  # a folder of other models alone
        return ""


def _listed(model: ReleasedModel, *, is_default: bool, timed: bool) -> ListedModel:
    path = model.verified()
    seconds, engine = None, ""
    if timed:
        denoiser = load_denoiser(f"{PREFIX}{model.name}", InferSettings())
        seconds = seconds_a_slice(denoiser, (TIMED_PIXELS, TIMED_PIXELS))
        engine = denoiser.description
    return ListedModel(
        model=model,
        size_mb=path.stat().st_size / 1e6,
        folder=None if path.parent == packaged_folder() else path.parent,
        trained_on=trained_words(model.card.training_range),
        is_default=is_default,
        seconds=seconds,
        engine=engine,
    )
