"""What this process and those that decode for it say to each other: a fixed head, then bytes.

Nothing that a decoder process says can make this one do anything but take numbers.
"""

from __future__ import annotations

import struct

REQUEST = struct.Struct(">II")
"""Length of the JSON that describes a frame, length of its codestream."""

ANSWER = struct.Struct(">BBII")
"""What happened, the kind of number (a place in `KINDS`), rows, columns."""

READY, DECODED, FAILED, NO_DECODER, NO_MEMORY = range(5)

KINDS = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4")
