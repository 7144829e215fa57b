"""`--transfer-syntax`: a short name of a setting, where DICOM is written."""

from __future__ import annotations

from typing import get_args

import pytest

from ctdenoise.cli import options
from ctdenoise.config.dicom import TransferSyntax
from ctdenoise.errors import UsageError


def test_it_offers_what_the_setting_takes():
    offered = get_args(get_args(options.TransferSyntax)[0])
    assert get_args(offered[0]) == get_args(TransferSyntax)


def test_it_sets_the_setting():
    changes = options.transfer_syntax_changes("rle", "dicom")
    assert changes == ("dicom.transfer_syntax=rle",)
    assert options.transfer_syntax_changes(None, "nifti") == ()


@pytest.mark.parametrize("file_format", ["nifti", "pair", "mha"])
def test_it_is_refused_where_no_dicom_is_written(file_format):
    with pytest.raises(UsageError, match="none is written"):
        options.transfer_syntax_changes("rle", file_format)
