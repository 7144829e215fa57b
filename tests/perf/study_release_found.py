"""What the steps of the study of released models wrote, and how its figures are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ctdenoise.config.model_card import ResultTable
from tests.perf.study_release_measures import INPUT, gain_db

COMMAND = "python -m tests.perf.study_release {steps} --work WORK --model {name}=MODEL"

RELEASED = ("fast", "redcnn")
"""Names of models that are released; each has tables of its own."""


def told(name: str) -> str:
    """What a model is called where it is told the true noise."""
    return f"{name}, told"


WORDS = {
    "siemens_chest": "Siemens chest",
    "ge_abdomen": "GE abdomen",
    "philips_chest": "Philips chest",
    "ge_liver": "GE liver",
    "siemens_abdomen": "Siemens abdomen",
    "torso_abdomen": "torso, abdomen",
    "torso_chest": "torso, chest",
    "torso_thin": "torso, 0.75 mm",
    "torso_thick": "torso, 5 mm",
    "torso_small_field": "torso, 280 mm field",
    "torso_large_field": "torso, 500 mm field",
}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What the other steps wrote.

    Args:
        name: Of the model.
        strength: As it is recommended.
        scores: Rows by key.
        lesions: Rows by key.
        worst: Worst places.
        seen: What a person saw in each picture.
    """

    name: str
    strength: float
    scores: Mapping[str, Row]
    lesions: Mapping[str, Row]
    worst: Sequence[Row]
    seen: Mapping[str, str]

    def row(
        self, source: str, kernel: str, dose: float, method: str, strength: float
    ) -> Row | None:
        """A row of the scores; None where it was not measured."""
        case = f"{source}-{kernel}-{dose:g}"
        key = f"{case}|{INPUT}" if method == INPUT else f"{case}|{method}|{strength:g}"
        return self.scores.get(key)

    def gain(self, row: Row) -> float:
        """Of the PSNR of a row, dB."""
        return gain_db(row, self.scores)

    @property
    def methods(self) -> list[tuple[str, float]]:
        """The model at its strength, at 1 and told the noise, and what it is compared with."""
        own = [(self.name, self.strength), (self.name, 1.0), (told(self.name), self.strength)]
        return [*own, *self.others]

    @property
    def others(self) -> list[tuple[str, float]]:
        """What it is compared with: filters, and the network of one dose."""
        released = {INPUT, *RELEASED, *map(told, RELEASED)}
        return sorted(
            {
                (row["method"], row["strength"])
                for row in self.scores.values()
                if row["method"] not in released
            }
        )

    def table(
        self,
        title: str,
        note: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        steps: str = "pairs scores tables",
    ) -> ResultTable | None:
        """A table; None without rows.

        Args:
            title: What it shows.
            note: How it is to be read.
            columns: Their heads.
            rows: Their cells.
            steps: That give it.
        """
        if not rows:
            return None
        return ResultTable(
            title=title,
            note=note,
            command=COMMAND.format(steps=steps, name=self.name),
            columns=tuple(columns),
            rows=tuple(tuple(row) for row in rows),
        )


def called(method: str, strength: float) -> str:
    """A method with its strength, where it has several."""
    released = method in {*RELEASED, *map(told, RELEASED)}
    return f"{method} at {strength:g}" if released else method


def mean(values: Iterable[float | None]) -> float | None:
    """Of figures, two digits; None where one is missing."""
    known = list(values)
    if not known or any(value is None for value in known):
        return None
    return round(sum(value for value in known if value is not None) / len(known), 2)


def mean_of(rows: Sequence[Row], key: str, digits: int) -> float | None:
    """Of a figure of some rows; None where one of them has none."""
    values = [row[key] for row in rows]
    return None if None in values else round(float(sum(values)) / len(values), digits)


def rounded(value: float | None, digits: int) -> float | None:
    """A figure with so many digits, if it is one."""
    return None if value is None else round(value, digits)


def signed(own: Row, low: Row, key: str) -> str | None:
    """A figure of a result, and in brackets that of the low dose."""
    if own[key] is None or low[key] is None:
        return None
    return f"{own[key]:+.1f} ({low[key]:+.1f})"


def percent(value: float | None, of: float | None) -> str | None:
    """By how much a figure differs from another."""
    return None if not value or not of else f"{100 * (value / of - 1):+.0f}"


def interval(figure: Sequence[float | None] | None) -> str | None:
    """A figure with its interval."""
    if figure is None or figure[0] is None:
        return None
    value, low, high = figure
    return f"{value:.2f}" if low is None else f"{value:.2f} ({low:.2f} to {high:.2f})"
