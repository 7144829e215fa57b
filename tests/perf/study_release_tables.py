"""Tables of the study of released models: for the card of a model, and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ctdenoise.config.model_card import CardResults, FailureCase, ResultTable
from tests.perf import study_release_scores as scores
from tests.perf.study_release_contrast import LESIONS
from tests.perf.study_release_found import RELEASED, WORDS, Found, called, interval
from tests.perf.study_release_worst import DRIFT, ERROR

LICENCES = {
    "siemens_chest": "TCIA CPTAC-PDA, CC BY 3.0",
    "ge_abdomen": "TCIA Colorectal-Liver-Metastases, CC BY 4.0",
    "philips_chest": "TCIA LIDC-IDRI, CC BY 3.0",
}


def write_tables(name: str, strength: float, work: Path, *, seen: Mapping[str, str]) -> None:
    """Write `results-NAME.json`, checked as a part of a card, and `NAME.md`.

    Args:
        name: Of the model.
        strength: As it is recommended.
        work: Folder of what the other steps wrote, and of these files.
        seen: What a person saw in each picture.
    """
    found = Found(
        name,
        strength,
        _read(work / "scores.json", {}),
        _read(work / "contrast.json", {}),
        _read(work / f"worst-{name}.json", []),
        seen,
    )
    makers = (
        scores.gains,
        scores.by_dose,
        scores.patients,
        scores.strengths,
        scores.bias,
        scores.frequencies,
        _contrast,
        _detectability,
        scores.phantoms,
    )
    tables = [table for maker in makers if (table := maker(found)) is not None]
    results = CardResults(tables=tuple(tables), failures=tuple(_failures(found)))
    text = json.dumps(results.as_json(), indent=1)
    (work / f"results-{name}.json").write_text(text + "\n", encoding="utf-8")
    (work / f"{name}.md").write_text(markdown(results), encoding="utf-8")


def _read(file: Path, default: Any) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else default


def _contrast(found: Found) -> ResultTable | None:
    return _lesion_table(
        found,
        "recovery",
        "Contrast recovery of inserted lesions",
        "Paired insertion: 1 is all of the contrast. 95 % intervals over slices.",
    )


def _detectability(found: Found) -> ResultTable | None:
    return _lesion_table(
        found,
        "dprime",
        "Detectability of inserted lesions, after over before",
        "d' of a channelised Hotelling observer (5 Laguerre-Gauss channels) in the denoised scan "
        "over that in the low dose: below 1, lesions are harder to find. 95 % intervals over "
        "slices, which are few: wide.",
    )


def _lesion_table(found: Found, figure: str, title: str, note: str) -> ResultTable | None:
    rows = []
    for row in found.lesions.values():
        if row["method"] in RELEASED and row["method"] != found.name:
            continue
        cells = [interval(row.get(f"{figure}[{lesion}]")) for lesion in LESIONS]
        if all(cell is None for cell in cells):
            cells = [row.get("skipped", "too few places"), *([None] * (len(LESIONS) - 1))]
        name = called(row["method"], row["strength"])
        rows.append((WORDS[row["source"]], row["kernel"], f"{row['dose'] * 100:g} %", name, *cells))
    rows.sort(key=lambda one: (list(WORDS.values()).index(one[0]), one[1], one[2]))
    return found.table(
        title,
        note,
        ("scan", "kernel", "dose", "method", *LESIONS),
        rows,
        "pairs scores contrast tables",
    )


def _failures(found: Found) -> Iterable[FailureCase]:
    for one in found.worst:
        if one["measure"] == DRIFT:
            size = f"the mean of {one['tissue']} moved by {one['hu']:+.1f} HU, most of all slices"
        elif one["measure"] == ERROR:
            size = (
                f"the difference from the full dose is {one['size']:.1f} times that around it "
                f"({one['hu']:.0f} HU)"
            )
        else:
            size = (
                f"a spot of {one['hu']:+.0f} HU was removed, {one['size']:.1f} standard deviations "
                "of such means"
            )
        where = WORDS[one["source"]]
        kernel = "kernel of the series" if one["kernel"] == "own" else f"{one['kernel']} kernel"
        seen = found.seen.get(one["picture"], "")
        caption = (
            f"{where}, {one['dose'] * 100:g} % of the dose, {kernel}: {size}. {seen} "
            f"Low dose, result, full dose, result less full dose (-100 to 100 HU). "
            f"Image: {LICENCES[one['source']]}."
        )
        yield FailureCase(picture=f"images/{one['picture']}", caption=" ".join(caption.split()))


def markdown(results: CardResults) -> str:
    """Tables and pictures as a page has them.

    Args:
        results: Of a card.
    """
    lines: list[str] = []
    for table in results.tables:
        lines += [f"### {table.title}", "", table.note, "", "```text", table.command, "```", ""]
        lines += [f"| {' | '.join(table.columns)} |", "|" + "---|" * len(table.columns)]
        lines += [
            f"| {' | '.join('' if cell is None else str(cell) for cell in row)} |"
            for row in table.rows
        ]
        lines.append("")
    for failure in results.failures:
        lines += [f"![{failure.caption}](../{failure.picture})", "", failure.caption, ""]
    return "\n".join(lines)
