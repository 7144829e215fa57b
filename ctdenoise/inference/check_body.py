"""Which part of the body a header names."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = {
    "head": (
        "HEAD", "BRAIN", "SKULL", "ORBIT", "ORBITS", "SINUS", "SINUSES", "FACE", "FACIAL", "JAW",
        "MANDIBLE", "MAXILLA", "PITUITARY", "EAR", "EARS", "IAC", "NOSE", "NASAL", "TEMPORAL",
        "CEREBRAL", "DENTAL", "TEETH",
    ),
    "neck": ("NECK", "CSPINE", "CERVICAL", "LARYNX", "THYROID", "CAROTID"),
    "trunk": (
        "CHEST", "THORAX", "LUNG", "LUNGS", "HEART", "CORONARY", "CARDIAC", "AORTA", "ABDOMEN",
        "ABD", "ABDOMENPELVIS", "PELVIS", "LIVER", "KIDNEY", "KIDNEYS", "PANCREAS", "COLON",
        "BLADDER", "TSPINE", "LSPINE", "TLSPINE", "LSSPINE", "CHESTABDOMEN", "CHESTABDPELVIS",
        "TRUNK", "HIP", "HIPS", "SACRUM",
    ),
    "limb": (
        "EXTREMITY", "EXTREMITIES", "LEG", "LEGS", "ARM", "ARMS", "KNEE", "KNEES", "FOOT", "FEET",
        "ANKLE", "HAND", "WRIST", "ELBOW", "FEMUR", "TIBIA", "FIBULA", "CALF", "THIGH", "HUMERUS",
        "FOREARM", "FINGER", "TOE", "HEEL", "CALCANEUS",
    ),
}  # fmt: skip

_WITHIN = re.compile(r".{5,}|HEAD|NECK")
"""Words that count within others, too, as in CHESTABDOMEN; EAR does not, as in HEART."""


def regions_named(names: Iterable[str]) -> frozenset[str]:
    """Head, neck, trunk, limb: what names of body parts mean; empty where they say nothing.

    Makers and sites write what they like, so words are looked for and names are not compared.

    Args:
        names: As headers say.
    """
    found = set()
    for name in names:
        upper = name.upper()
        tokens = set(re.findall(r"[A-Z]+", upper)) | {re.sub(r"[^A-Z]", "", upper)}
        for region, words in _WORDS.items():
            within = [word for word in words if _WITHIN.fullmatch(word)]
            if tokens.intersection(words) or any(word in one for word in within for one in tokens):
                found.add(region)
    return frozenset(found)
