"""`ctdenoise networks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from ctdenoise.networks.catalogue import NetworkFacts


def networks(*, json: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List the networks that `train` can train: size, cost, reach and source.

    Args:
        json: Print JSON for other programs, with all settings and whole references.
    """
    from ctdenoise.cli import console
    from ctdenoise.tasks import networks as task

    found = task.run()
    if json:
        console.print_line(task.as_json(found))
        return
    figures = ("weights", "G ops", "field")
    heads = ("network", *figures, "source")
    console.show_table(heads, [_row(facts) for facts in found], figures=figures)


def _row(facts: NetworkFacts) -> tuple[str, ...]:
    field = facts.receptive_field
    return (
        _named(facts),
        f"{facts.parameters:,}",
        f"{facts.operations / 1e9:,.1f}",
        "all" if field is None else f"{field}",
        facts.source.cited,
    )


def _named(facts: NetworkFacts) -> str:
    """Name and the settings that tell it from others of its kind."""
    told = {
        name: value
        for name, value in facts.settings.model_dump(exclude_defaults=True).items()
        if name in {"layers", "kind"}
    }
    if facts.settings.name == "rednet":
        told["layers"] = facts.settings.layers
    return " ".join([facts.settings.name, *(f"{name}={value}" for name, value in told.items())])
