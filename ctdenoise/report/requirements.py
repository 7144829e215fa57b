"""Whether the optional packages of the report are installed."""

from __future__ import annotations

from importlib.util import find_spec

from ctdenoise.errors import MissingExtraError

_PACKAGES = ("jinja2", "matplotlib")


def require_report_extra(otherwise: str = "") -> None:
    """Refuse early, before volumes are read, where a page cannot be made.

    Args:
        otherwise: What the user can do without them, as a sentence.

    Raises:
        MissingExtraError: If jinja2 or matplotlib is not installed.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the report page needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed.",
            fix=f"Install it with: pip install 'ctdenoise[report]'\n{otherwise}".rstrip(),
        )
