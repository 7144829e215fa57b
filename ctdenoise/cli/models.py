"""`ctdenoise models`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from ctdenoise.tasks.models import ListedModel

models = App(name="models", help_format="markdown")

_Json = Annotated[bool, Parameter(name="--json", negative="")]


@models.default
def list_models(
    *,
    speed: Annotated[bool, Parameter(name="--speed", negative="--no-speed")] = True,
    json: _Json = False,
) -> None:
    """List the released models: what they are, what they learnt from, how fast they are here.

    Args:
        speed: Denoise a slice of 512 x 512 pixels twice with each, to see how long it takes.
        json: Print JSON for other programs, with the whole cards.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import models as task

    with console.progress() as progress:
        found = task.find(timed=speed, progress=progress)
    if json:
        console.print_line(task.as_json(found))
        return
    if not found:
        console.say("This copy of ctdenoise came without released models.")
        return
    for one in found:
        _show(one)
        console.print_line("")
    console.print_line("`ctdenoise models show NAME` prints the card of one.")


@models.command(name="show")
def show_model(
    name: str,
    /,
    *,
    markdown: Annotated[bool, Parameter(name="--markdown", negative="")] = False,
    json: _Json = False,
) -> None:
    """Print the card of a released model: use, limits, data, recipe, results, failure cases.

    Args:
        name: What it is called.
        markdown: Print the card as a page in Markdown, with its pictures, as into a file.
        json: Print JSON for other programs.
    """
    from rich.markdown import Markdown

    from ctdenoise.cli import console
    from ctdenoise.tasks import models as task

    model = task.show(name)
    if json:
        console.print_line(model.card.model_dump_json(indent=1))
    elif markdown or not console.STDOUT.is_terminal:
        console.print_line(task.page_of(model).rstrip("\n"))
    else:
        page = task.page_of(model, pictures=None)
        console.print_wide(Markdown(page, hyperlinks=False))


@models.command(name="add")
def add_model(  # noqa: PLR0913 - each argument is an option of the command
    run: Path,
    /,
    *,
    name: str,
    into: Path,
    card: str | None = None,
    results: Path | None = None,
    strength: float | None = None,
    replace: Annotated[bool, Parameter(name="--replace", negative="")] = False,
    earlier: Annotated[
        tuple[Path, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
) -> None:
    """Make a released model of a trained network: its weights, and a card.

    Weights are stored as float16 where that changes no voxel of a noisy test image by more than
    0.05 HU. The card takes steps, time, processor and training range from the run.

    Args:
        run: Output folder of `train`, or a checkpoint.
        name: What it is to be called: small letters, digits, `-`, `_`.
        into: Folder for `NAME.safetensors` and `NAME.json`. Models of a folder that the environment
            variable CTDENOISE_MODELS names are found by name.
        card: YAML file with the words of the card: summary, use, limits, data, recipe, licence; or
            the name of a ready one. By default those of the model that is replaced.
        results: JSON file with tables of results and failure cases. By default those of the model
            that is replaced, if its weights are the same.
        strength: Strength that is recommended; by default that of the words, or 1.
        replace: Put it in the place of a model of that name.
        earlier: Runs that this one began with (`init.from`), the first first: their steps and time
            are counted, too.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import models_add as task

    wanted = task.AddRequest(run, name, into, card, results, strength, replace, earlier)
    report = task.run(wanted)
    made = report.model.card
    lacking = ", ".join(part.replace("_", " ") for part in report.missing)
    console.show_facts(
        f"Made the released model {made.name} {made.version}",
        (
            ("network", f"{made.network}, {made.parameters:,} weights"),
            ("stored as", f"{made.stored}, {report.size_mb:.2f} MB"),
            ("float16 changes", f"{report.rounding_hu:.3f} HU at most"),
            ("strength", f"{made.strength:g}"),
            ("digest", made.digest),
            ("weights", str(report.model.path)),
            ("its card lacks", lacking),
        ),
    )


def _show(one: ListedModel) -> None:
    from ctdenoise.cli.console import show_facts

    card = one.model.card
    title = f"{card.name} {card.version}"
    seconds = "" if one.seconds is None else f"{one.seconds:.2f} s a slice of 512 x 512"
    show_facts(
        f"{title}, which infer takes here unless told otherwise" if one.is_default else title,
        (
            ("what", card.summary),
            ("network", f"{card.network}, {card.parameters:,} weights, {one.size_mb:.1f} MB"),
            ("strength", f"{card.strength:g} recommended"),
            ("kept below", f"{card.keep_below_per_mm:g} /mm" if card.keep_below_per_mm else ""),
            ("trained on", one.trained_on),
            ("speed here", f"{seconds} ({one.engine})" if seconds else ""),
            ("lies in", "" if one.folder is None else str(one.folder)),
        ),
    )
