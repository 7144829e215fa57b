from __future__ import annotations

import uuid

import pytest

from ctdenoise.io.dicom_uids import IMPLEMENTATION_CLASS_UID, NAMESPACE, is_uid, new_uid


def test_the_namespace_and_the_way_of_naming_never_change() -> None:
    assert uuid.UUID("bf6f3d1e-8f4a-5a46-9d0b-6f1c2e7a9b54") == NAMESPACE
    assert new_uid("series", "1.2.3", "abc") == "2.25.320223321025331276740625241771377882226"
    assert IMPLEMENTATION_CLASS_UID == "2.25.299660952448455744542499377582893042676"


def test_equal_parts_give_equal_uids_and_other_parts_give_others() -> None:
    names = [
        ("series", "1.2.3", "a"),
        ("instance", "1.2.3", "a"),
        ("series", "1.2.4", "a"),
        ("series", "1.2.3", "b"),
        ("series", "1.2.3a"),
        ("series", "1.2.3", "a", ""),
    ]
    uids = {new_uid(*name) for name in names}
    assert len(uids) == len(names)
    assert new_uid(*names[0]) == new_uid(*names[0])


def test_a_new_uid_is_a_valid_uid() -> None:
    for index in range(200):
        uid = new_uid("instance", str(index))
        assert uid.is_valid
        assert is_uid(uid)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.840.10008", True),
        ("1." + "2" * 62, True),
        ("1." + "2" * 63, False),
        ("", False),
        ("1", False),
        ("1..2", False),
        ("1.2.", False),
        ("../../etc/passwd", False),
        ("1.2\n3", False),
        ("1.2 ", False),
    ],
)
def test_what_looks_like_a_uid(text: str, expected: bool) -> None:
    assert is_uid(text) is expected
