"""Options that several commands share, each with one meaning everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Out = Annotated[Path, Parameter(name=["--out", "-o"])]
Config = Annotated[Path | None, Parameter(name=["--config", "-c"])]
Overrides = Annotated[tuple[str, ...], Parameter(name="--set", negative=(), show_default=False)]
Series = Annotated[str | None, Parameter(name="--series")]
Seed = Annotated[int, Parameter(name="--seed")]
