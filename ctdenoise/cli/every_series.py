"""What the commands with --all share: options that exclude each other, and the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctdenoise.tasks.every_series import SeriesOutcome


def require_none(of: str, fix: str, *options: tuple[str, object]) -> None:
    """Refuse options that do not go with what was asked for.

    Args:
        of: What was asked for: "--all".
        fix: What to do instead.
        options: Names with what was given; None for nothing.

    Raises:
        UsageError: If any was given.
    """
    from ctdenoise.errors import UsageError

    given = [name for name, value in options if value is not None]
    if given:
        raise UsageError(f"{' and '.join(given)} cannot be combined with {of}.", fix=fix)


def show_outcomes(outcomes: Sequence[SeriesOutcome], out: Path, *, done: str, again: str) -> None:
    """Print the table of all series.

    Args:
        outcomes: What became of each.
        out: The folder above theirs.
        done: What should have been done with each: "simulated".
        again: How to go on after those that failed were mended.

    Raises:
        SomeStudiesFailed: If some failed, with every reason.
    """
    from ctdenoise.cli import console
    from ctdenoise.errors import SomeStudiesFailed, listed

    console.show_table(
        ("study", "series", "what", "slices", "became", "folder", "time"),
        [
            (
                *(str(one.study), str(one.number), one.what, str(one.slices), one.status),
                *(one.folder, f"{one.seconds:.1f} s" if one.seconds else ""),
            )
            for one in outcomes
        ],
    )
    failed = [one for one in outcomes if one.status == "failed"]
    if failed:
        raise SomeStudiesFailed(
            f"{len(failed)} of {len(outcomes)} series were not {done}:\n"
            + listed([f"{_which(one)}: {one.reason}" for one in failed]),
            where=out,
            fix=f"The others are whole. Mend these and {again}.",
        )


def _which(outcome: SeriesOutcome) -> str:
    series = f", series {outcome.number}" if outcome.number else ""
    return f"study {outcome.study}{series}"
