"""The card of a released model as a page for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ctdenoise.config.model_card import DataSource, ModelCard, ResultTable
from ctdenoise.report.range_words import range_words

_NOT_SAID = "Not said."


def model_page(card: ModelCard, *, pictures: str | None = "../") -> str:
    """A card as Markdown.

    Args:
        card: Of a released model.
        pictures: What leads from the page to the folder from which pictures are named; None for
            captions alone.
    """
    parts = (
        f"# {card.name}\n\n{card.summary}",
        _facts_list(_facts(card)),
        _section("Intended use", _list(card.intended_use)),
        _section("Limits", _list(card.limits)),
        _section("How to use it", _use(card)),
        _section("Data and licences", _data(card.data)),
        _section("Recipe", "\n\n".join(_recipe(card)) or _NOT_SAID),
        _section("Compute", _facts_list(_compute(card))),
        _section("Training range", _range(card)),
        _section("Results", "\n\n".join(map(_result, card.results.tables)) or _NOT_SAID),
        _section("Failure cases", "\n\n".join(_failures(card, pictures)) or _NOT_SAID),
    )
    return "\n\n".join(parts) + "\n"


def _facts(card: ModelCard) -> Iterator[tuple[str, str]]:
    yield "Version", card.version
    yield "Network", f"{card.network}, {card.parameters:,} weights"
    stored = f"{card.stored} in the file, float32 in use"
    if card.stored == "float32":
        stored = "float32"
    if card.rounding_hu is not None:
        how = "moves" if card.stored == "float16" else "would move"
        stored += f"; float16 {how} a value by at most {card.rounding_hu:.3g} HU"
    yield "Stored as", stored
    yield "Recommended strength", f"{card.strength:g}"
    if card.keep_below_per_mm:
        yield "Keeps structures below", f"{card.keep_below_per_mm:g} /mm"
    yield "Licence of the weights", card.licence
    yield "Digest", f"`{card.digest}`"
    yield "SHA-256 of the file", f"`{card.sha256}`"


def _use(card: ModelCard) -> str:
    share = f"{100 * card.strength:g} %"
    taken = (
        f"{share} of what the network takes away is taken unless `--strength` says otherwise."
        if card.strength < 1
        else "All that the network takes away is taken unless `--strength` says otherwise."
    )
    if card.keep_below_per_mm:
        taken += (
            f" Structures coarser than about {card.keep_below_per_mm:g} cycles per mm stay as they "
            "are (`--keep-below`)."
        )
    return (
        f"```bash\nctdenoise infer my_study --model {card.name} --out denoised\n```\n\n"
        f'{taken} In Python it is `load_denoiser("{card.name}")`; in rules of `serve`, '
        f"`model: {card.name}`."
    )


def _data(sources: Sequence[DataSource]) -> str:
    """A list, since a table would cut addresses on a narrow terminal."""
    return _list([" ".join(_source(one)) for one in sources])


def _source(one: DataSource) -> Iterator[str]:
    yield f"**{one.name}**"
    if one.source:
        yield f"from {one.source}"
    yield f"(licence: {one.licence})."
    if one.used_for:
        yield one.used_for


def _recipe(card: ModelCard) -> Iterator[str]:
    recipe = card.recipe
    if recipe.config:
        yield f"Settings of `train`: `{recipe.config}`."
    if recipe.commands:
        yield "```text\n" + "\n".join(recipe.commands) + "\n```"
    if recipe.note:
        yield recipe.note


def _compute(card: ModelCard) -> Iterator[tuple[str, str]]:
    compute = card.compute
    if compute.steps is not None:
        yield "Steps", f"{compute.steps:,}"
    if compute.patches is not None:
        yield "Patches", f"{compute.patches:,}"
    if compute.seconds is not None:
        yield "Time", _clock(compute.seconds)
    if compute.processor:
        yield "Processor", compute.processor


def _clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _range(card: ModelCard) -> str:
    if not card.training_range:
        return _NOT_SAID
    table = _table(("met in training", "limits"), range_words(card.training_range))
    return f"{table}\n\n`infer` compares a scan with these limits and says what lies beyond them."


def _result(table: ResultTable) -> str:
    rows = [["" if cell is None else _cell(cell) for cell in row] for row in table.rows]
    command = f"```text\n{table.command}\n```" if table.command else ""
    parts = (f"### {table.title}", table.note, _table(table.columns, rows), command)
    return "\n\n".join(part for part in parts if part)


def _cell(cell: str | float) -> str:
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _failures(card: ModelCard, pictures: str | None) -> Iterator[str]:
    for failure in card.results.failures:
        if pictures is None:
            yield f"* {failure.caption}"
        else:
            yield f"![{_one_line(failure.caption)}]({pictures}{failure.picture})"
            yield failure.caption


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text or _NOT_SAID}"


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"* {sentence}" for sentence in sentences)


def _facts_list(facts: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"* {name}: {value}" for name, value in facts if value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; rows without a word beside the first are left out, and so is an empty table."""
    kept = [row for row in rows if any(row[1:])]
    if not kept:
        return ""
    lines = [heads, ["---"] * len(heads), *kept]
    return "\n".join("| " + " | ".join(map(_in_table, line)) + " |" for line in lines)


def _in_table(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())
