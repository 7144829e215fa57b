"""Regular expressions in settings that cannot take long, whatever text they are held against."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _parser  # type: ignore[attr-defined]
from typing import Annotated, Any

from pydantic import AfterValidator

TEXT_MOST = 128
"""Characters of a text that are looked at; a value of a header has 64 (PS3.5 6.2), two joined
values a little more."""

PATTERN_MOST = 1000
"""Characters of a pattern."""

_WAYS_MOST = (TEXT_MOST + 1) ** 4
"""Ways in which a pattern may divide a text. Four `.*` in a row have a 24th of so many, since they
share one text, and take a fraction of a second."""


def fits(pattern: str, text: str | None) -> bool:
    """Whether a pattern fits a text as a whole, capital or small.

    Args:
        pattern: One that was checked as a setting.
        text: A value of a header; None and empty text fit nothing.
    """
    if not text:
        return False
    return re.fullmatch(pattern, text.strip()[:TEXT_MOST], re.IGNORECASE) is not None


def _checked(text: str) -> str:
    """The same text.

    Raises:
        ValueError: If it is no regular expression, or one that could take for ever.
    """
    if len(text) > PATTERN_MOST:
        raise ValueError(f"is longer than {PATTERN_MOST} characters")
    try:
        parsed = _parser.parse(text, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if _ways(parsed) > _WAYS_MOST:
        raise ValueError(
            "could take for ever to compare: do not repeat what repeats inside, as `(a+)*` does, "
            "and use at most four `.*` or `.+`"
        )
    return text


Pattern = Annotated[str, AfterValidator(_checked)]
"""A regular expression that must fit as a whole; capital or small letters are the same."""


def _ways(parts: Iterable[Any]) -> int:
    """Most ways in which a sequence of parsed parts can fit one text: what is tried, at worst."""
    ways = 1
    for operation, argument in parts:
        ways *= _ways_of(str(operation), argument)
        if ways > _WAYS_MOST:
            break
    return ways


def _ways_of(operation: str, argument: Any) -> int:
    if "REPEAT" in operation:  # greedy, lazy and possessive
        least, most, repeated = argument
        times = int(min(most, TEXT_MOST))
        inside = _ways(repeated)
        if inside == 1:
            return int(max(1, times - least + 1))
        return _WAYS_MOST + 1 if times > 8 else sum(inside**time for time in range(times + 1))
    if operation == "BRANCH":
        return sum(_ways(branch) for branch in argument[1])
    if operation == "GROUPREF_EXISTS":
        return _WAYS_MOST + 1  # a condition on a group: nobody needs it for a header
    return _ways(_nested(operation, argument))


def _nested(operation: str, argument: Any) -> Iterable[Any]:
    """The parsed parts inside a group or an assertion; none of what fits one character."""
    if operation == "SUBPATTERN":
        return argument[3]  # type: ignore[no-any-return]
    if operation in ("ASSERT", "ASSERT_NOT"):
        return argument[1]  # type: ignore[no-any-return]
    if operation == "ATOMIC_GROUP":
        return argument  # type: ignore[no-any-return]
    return ()
