"""The card of a released model: what it is, what it is for, and how it was found to do."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from ctdenoise.config.base import Settings
from ctdenoise.config.controls import FULL_STRENGTH, Recommended

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,31}$"
"""What a released model may be called: it is a file name, and stands on command lines."""

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
"""A sentence or a few, for people."""

Cell = str | int | float | None
"""What stands in a table of results: words, a figure, or nothing."""


def _relative(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\\" in path:
        raise ValueError("must be a path below the folder of the pages, such as images/worst.png")
    return path


class DataSource(Settings):
    """Data that a model learnt from."""

    name: Sentence
    """What it is."""

    source: str = ""
    """Where it comes from: an address, or the command that draws it."""

    licence: Sentence
    """Under what terms it may be used."""

    used_for: str = ""
    """How it was used: learnt from, judged with, which doses, what share."""


class Recipe(Settings):
    """How a model was made."""

    config: str = ""
    """Settings of `train`: the name of a ready file, or words where there are several."""

    commands: tuple[Sentence, ...] = ()
    """Command lines that make it again, in order."""

    note: str = ""
    """What else is to be known."""


class Compute(Settings):
    """What the training took."""

    steps: int | None = Field(default=None, ge=0)
    """Optimiser steps; null where nobody wrote it down."""

    patches: int | None = Field(default=None, ge=0)
    """Patches seen in all of these steps."""

    seconds: float | None = Field(default=None, ge=0)
    """Time of the steps."""

    processor: str = ""
    """What computed: device, threads, precision."""

    def completed(self, record: Compute) -> Compute:
        """The same, with the record of a run where nothing is said.

        Args:
            record: What the run says.
        """
        said = {key: value for key, value in self.model_dump().items() if value not in {None, ""}}
        return record.replaced(**said)


class ResultTable(Settings):
    """A table of results."""

    title: Sentence
    """What it shows."""

    note: str = ""
    """How it is to be read, and what was measured."""

    command: str = ""
    """The command line that gives it."""

    columns: tuple[str, ...] = Field(min_length=1)
    """Heads of the columns, with units."""

    rows: tuple[tuple[Cell, ...], ...]
    """A cell for every column."""

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"every row must have {len(self.columns)} cells, as many as columns")
        return self


class FailureCase(Settings):
    """A case in which the model does badly."""

    picture: Annotated[str, AfterValidator(_relative)]
    """Path of the picture, from the folder above that of the page: `images/models_worst_1.png`."""

    caption: Sentence
    """What is seen."""


class CardResults(Settings):
    """How a model was found to do."""

    tables: tuple[ResultTable, ...] = ()
    """Results by dose, kernel and body part."""

    failures: tuple[FailureCase, ...] = ()
    """Where it does worst."""


class CardWords(Settings):
    """What a person says of a model: the part of a card that is in no other file."""

    version: Annotated[str, StringConstraints(pattern=r"^\d{1,4}(\.\d{1,4}){0,2}$")] = "1.0"
    """Raised whenever the weights change."""

    summary: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """One line that says what it is."""

    strength: float = Field(default=FULL_STRENGTH, ge=0.0, le=1.0)
    """Share of its change that it is to be used with: `infer` takes it unless told otherwise."""

    keep_below_per_mm: float = Field(default=0.0, ge=0.0, le=2.0)
    """Frequency below which scans are left as they are when it is used, 1/mm; 0 for none. `infer`
    takes it unless told otherwise."""

    intended_use: tuple[Sentence, ...] = ()
    """What it is for."""

    limits: tuple[Sentence, ...] = ()
    """What it is not for, and where it must not be trusted."""

    data: tuple[DataSource, ...] = ()
    """What it learnt from, with licences."""

    recipe: Recipe = Recipe()
    """How it was made."""

    compute: Compute = Compute()
    """What the training took; what is left out here is taken from the record of the run."""

    licence: str = ""
    """Under what terms the weights may be used."""

    @property
    def recommended(self) -> Recommended:
        """Controls that it is to be used with."""
        return Recommended(self.strength, self.keep_below_per_mm)


class ModelCard(CardWords):
    """The card of a released model: `NAME.json` beside `NAME.safetensors`."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    """What it is called: the name of both files."""

    sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the file of weights, which is checked whenever it is loaded."""

    digest: Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")]
    """Digest of the model as histories state it: of its weights in float32, settings and scale."""

    network: str
    """The kind of network."""

    parameters: int = Field(ge=0)
    """Number of its weights."""

    stored: Literal["float16", "float32"]
    """How the weights are stored: `float16` (raised to float32 when read) or `float32`."""

    rounding_hu: float | None = Field(default=None, ge=0)
    """Largest change of the output by storing them as float16, HU; null where it was not
    measured."""

    training_range: dict[str, JsonValue] = Field(default={})
    """Within which limits the data lay that it learnt from, as in its checkpoint: what `infer`
    compares a scan with."""

    results: CardResults = CardResults()
    """How it was found to do."""
