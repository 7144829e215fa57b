"""Whether the optional package of the network is installed."""

from __future__ import annotations

from importlib.util import find_spec

from ctdenoise.errors import MissingExtraError


def require_pacs_extra() -> None:
    """Refuse early, before anything is read, where no peer can be spoken to.

    Raises:
        MissingExtraError: If pynetdicom is not installed.
    """
    if find_spec("pynetdicom") is None:
        raise MissingExtraError(
            "speaking to a PACS needs pynetdicom, which is not installed.",
            fix="Install it with: pip install 'ctdenoise[pacs]'",
        )
