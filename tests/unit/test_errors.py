from __future__ import annotations

import pytest

from ctdenoise import errors
from ctdenoise.errors import CTDenoiseError, OutputError, SettingsError, StudyError, listed


def test_message_says_what_where_and_what_to_do():
    error = StudyError("3 slices are missing.", where="scan", fix="Export it again.")
    assert str(error) == "scan: 3 slices are missing.\nExport it again."
    assert (error.what, error.where, error.fix) == (
        "3 slices are missing.",
        "scan",
        "Export it again.",
    )


@pytest.mark.parametrize(
    ("kind", "builtin", "exit_code"),
    [
        (errors.UsageError, ValueError, 2),
        (errors.SettingsError, ValueError, 2),
        (errors.OutputExistsError, FileExistsError, 2),
        (errors.MissingExtraError, ImportError, 2),
        (errors.StudyError, ValueError, 3),
        (errors.GeometryError, ValueError, 3),
        (errors.CheckpointError, ValueError, 3),
        (errors.OutputError, OSError, 3),
        (errors.SomeStudiesFailed, RuntimeError, 4),
        (errors.LimitsFailed, RuntimeError, 6),
        (errors.PeerError, ConnectionError, 5),
    ],
)
def test_every_error_is_ours_and_the_builtin_that_a_caller_expects(kind, builtin, exit_code):
    error = kind("wrong")
    assert isinstance(error, CTDenoiseError)
    assert isinstance(error, builtin)
    assert error.exit_code == exit_code
    assert str(error) == "wrong"


def test_settings_errors_are_usage_errors_and_output_errors_are_not():
    assert issubclass(SettingsError, errors.UsageError)
    assert not issubclass(OutputError, errors.UsageError)


def test_a_long_list_of_problems_ends_with_the_count_of_the_rest():
    assert listed(["a", "b"]) == "  - a\n  - b"
    assert listed([str(i) for i in range(15)], most=12).splitlines()[-1] == "  - and 3 more"
