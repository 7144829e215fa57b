"""What a judge says of an object, and what of it is known and explained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ALLOWED: dict[tuple[str, str], str] = {
    ("dciodvfy warnings", "this is a Standard Extended SOP Class"): (
        "SyntheticData (0008,001C) is younger than this dciodvfy, which counts it as an addition"
    ),
    ("dciodvfy warnings", "needed to build DICOMDIR - (Patient ID|Study (Date|Time|ID))"): (
        "an image file has no patient and no dates, and an export may not have them"
    ),
    ("dciodvfy warnings", "term <PHANTOM> for value 1 of attribute <Body Part Examined>"): (
        "a phantom is no part of a body; defined terms may be extended (PS3.3 C.7.3.1)"
    ),
    ("dciodvfy warnings", "only permitted to be empty when actually unknown.*<Laterality>"): (
        "it is unknown: the body part of an image file or phantom is, and highdicom has none"
    ),
    ("dciodvfy warnings", "term <QUANTITY> for value 4 of attribute <(Frame|Image) Type>"): (
        "highdicom writes it into every parametric map; this dciodvfy does not know it"
    ),
    (
        "dciodvfy warnings",
        "term <99CTDENOISE> for value 1 of attribute <Coding Scheme Designator>",
    ): ("functional groups demand a code of what was done, and the standard has none for a map"),
    ("dciodvfy warnings", "PN .* Retired Person Name form"): (
        "a pseudonym is one word; ANONYMIZED is what dicom-anonymizer puts for a name"
    ),
}
"""What a judge says of what we write and not of its source, and why it stays: by the name of the
judge and a pattern of its words."""


@dataclass(frozen=True)
class Verdict:
    """What a judge holds against an object and not against its source.

    Args:
        new: What it says, each line once for each time.
        allowed: Lines that are known and explained.
    """

    new: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def judged_by(judge: str, lines: Iterable[str]) -> Verdict:
    """Part what a judge says into what is explained and what is not."""
    said = sorted(lines)
    known = [
        line
        for line in said
        if any(name == judge and re.search(words, line) for name, words in ALLOWED)
    ]
    return Verdict(tuple(line for line in said if line not in known), tuple(known))
