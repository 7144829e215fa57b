"""A third judge: the engine of dicom-validator over the tables of PS3.3 2026b inside highdicom.

dicom-validator reads the standard's pages from the network. The tables that highdicom ships hold
the same types of attributes (not the conditions of types 1C and 2C, nor enumerated values), so the
engine checks with them what is required, what may be empty, what does not belong, and every VR.
"""

from __future__ import annotations

import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.error_handler import NullValidationResultHandler
from dicom_validator.validator.iod_validator import IODValidator
from highdicom import _standard_utils as tables
from pydicom.datadict import keyword_for_tag, tag_for_keyword

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


def _tag(keyword: str) -> str:
    number = tag_for_keyword(keyword)
    return "" if number is None else f"({number >> 16:04X},{number & 0xFFFF:04X})"


def _type(entry: dict[str, Any]) -> str:
    """Type of an attribute; which functional group holds a macro is not for this judge to say."""
    path = entry["path"]
    return "3" if path and path[-1] in _GROUPS else str(entry["type"])


@cache
def _module(name: str) -> dict[str, Any]:
    top: dict[str, Any] = {}
    for entry in sorted(tables.get_module_attribute_map()[name], key=lambda e: len(e["path"])):
        level: dict[str, Any] | None = top
        for keyword in entry["path"]:
            held = None if level is None else level.get(_tag(keyword))
            level = None if held is None else held.setdefault("items", {})
        if level is not None and _tag(entry["keyword"]):
            level[_tag(entry["keyword"])] = {"name": entry["keyword"], "type": _type(entry)}
    return top


@cache
def _standard(sop_class: str) -> DicomInfo:
    iod = tables.get_sop_class_iod_map()[sop_class]
    modules = {
        entry["key"]: {"ref": entry["key"], "use": "M" if entry["usage"] == "M" else "U"}
        for entry in tables.get_iod_module_map()[iod]
        if entry["key"] in tables.get_module_attribute_map()
    }
    return DicomInfo(
        dictionary={},
        iods={sop_class: {"modules": modules, "group_macros": {}}},
        modules={name: _module(name) for name in modules},
    )


def violations_of(path: Path) -> Counter[str]:
    """What a file violates, in words such as "PlanePositionSequence/PatientName TagMissing".

    Private elements are not judged.
    """
    dataset = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it validates the values of types that have no form
        result = IODValidator(
            dataset,
            _standard(str(dataset.SOPClassUID)),
            error_handler=NullValidationResultHandler(),
        ).validate()
    found: Counter[str] = Counter()
    for errors in (result.module_errors or {}).values():
        for where, error in errors.items():
            names = [
                keyword_for_tag(tag) or str(tag) for tag in (*(where.parents or ()), where.tag)
            ]
            found[f"{'/'.join(names)} {error.code.name}"] += 1
    return found
