"""Settings of the phantoms of image quality tests."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ctdenoise.config.base import Settings

CatphanModule = Literal["ctp404", "ctp486", "ctp515", "ctp528"]
"""Modules of the Catphan 504."""


class Acr464Settings(Settings):
    """The phantom of the ACR's CT accreditation (Gammex 464): four modules of 40 mm."""

    name: Literal["acr464"] = "acr464"
    """Which phantom."""
    modules: tuple[int, ...] = (1, 2, 3, 4)
    """Which of the modules 1 (CT numbers), 2 (low contrast), 3 (uniformity) and 4 (resolution)
    there are, each at its own height; the stack is centred on them."""
    roll_degrees: float = Field(default=0.0, ge=-180, le=180)
    """Turn of the phantom about z, from the patient's left towards the back."""

    @model_validator(mode="after")
    def _modules_exist(self) -> Self:
        if not self.modules or not set(self.modules) <= {1, 2, 3, 4}:
            raise ValueError("`modules` are some of 1, 2, 3 and 4")
        return self


class Catphan504Settings(Settings):
    """The Catphan 504: sensitometry, line pairs, low contrast and uniformity in one cylinder."""

    name: Literal["catphan504"] = "catphan504"
    """Which phantom."""
    modules: tuple[CatphanModule, ...] = Field(
        default=("ctp404", "ctp486", "ctp515", "ctp528"), min_length=1
    )
    """Which modules there are, each at its own height; the stack is centred on them."""
    roll_degrees: float = Field(default=0.0, ge=-180, le=180)
    """Turn of the phantom about z, from the patient's left towards the back."""
