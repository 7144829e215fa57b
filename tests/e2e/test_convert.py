"""`ctdenoise convert` by the command line: there and back, and what is refused leaves nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ctdenoise.io.read import read_volume
from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.e2e.commands import ctdenoise, files_below


def test_a_study_goes_through_every_format_and_comes_back(tmp_path: Path) -> None:
    volume = marked_volume()
    series_files(tmp_path / "study", ct_series(volume))
    steps = [
        ("study", "a.nii.gz", ()),
        ("a.nii.gz", "b.mha", ("--compress",)),
        ("b.mha", "c.nrrd", ("--dtype", "int32")),
        ("c.nrrd", "back", ("--format", "dicom", "--set", "dicom.transfer_syntax=rle")),
    ]
    for source, out, options in steps:
        done = ctdenoise("convert", tmp_path / source, "--out", tmp_path / out, *options)
        assert done.code == 0, done
        assert "6 slices of 36 x 40" in done.stdout
    np.testing.assert_array_equal(read_volume(tmp_path / "back").hu, volume.hu)
    assert read_volume(tmp_path / "back").geometry.matches(volume.geometry)


def test_a_gap_is_refused_with_what_to_do_and_filled_in_on_request(tmp_path: Path) -> None:
    paths = series_files(tmp_path / "study", ct_series(marked_volume()))
    paths[2].unlink()
    words = ("convert", tmp_path / "study", "--out", tmp_path / "a.mha")
    refused = ctdenoise(*words)
    assert refused.code == 3
    assert "--resample" in refused.stderr
    assert all("a.mha" not in name for name in files_below(tmp_path))
    done = ctdenoise(*words, "--resample")
    assert done.code == 0, done
    assert "1 of 6 slices are mixed of two" in done.stdout
    again = ctdenoise(*words, "--resample")
    assert again.code == 2
    assert "exists already" in again.stderr
