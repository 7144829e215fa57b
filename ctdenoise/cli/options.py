"""Options that several commands share, each with one meaning everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Out = Annotated[Path, Parameter(name=["--out", "-o"])]
Config = Annotated[Path | None, Parameter(name=["--config", "-c"])]
Overrides = Annotated[tuple[str, ...], Parameter(name="--set", negative=(), show_default=False)]
Series = Annotated[str | None, Parameter(name="--series")]
Seed = Annotated[int, Parameter(name="--seed")]
TransferSyntax = Annotated[
    Literal["explicit", "implicit", "deflated", "rle", "jpeg-ls", "jpeg2000"] | None,
    Parameter(name="--transfer-syntax", show_default=False),
]


def transfer_syntax_changes(transfer_syntax: str | None, file_format: str) -> tuple[str, ...]:
    """What --transfer-syntax changes in the settings, as key=value.

    Args:
        transfer_syntax: The option; None where it was not given.
        file_format: What is written.

    Raises:
        UsageError: If no DICOM is written.
    """
    if transfer_syntax is None:
        return ()
    if file_format not in {"same", "dicom"}:
        from ctdenoise.errors import UsageError

        raise UsageError(
            "--transfer-syntax says how DICOM is stored, and none is written.",
            fix="Give --format dicom, or leave --transfer-syntax out.",
        )
    return (f"dicom.transfer_syntax={transfer_syntax}",)
