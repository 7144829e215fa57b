"""What every settings class has in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen group of settings.

    The class is the parameter object of the function that it configures. Unknown keys are refused;
    the sentence under a field is its documentation and part of the generated reference.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        str_strip_whitespace=True,
    )

    def as_json(self) -> dict[str, Any]:
        """The settings as plain JSON, defaults included."""
        return self.model_dump(mode="json")

    def replaced(self, **changes: object) -> Self:
        """A copy with some fields changed, checked again."""
        return type(self).model_validate({**self.model_dump(), **changes})
