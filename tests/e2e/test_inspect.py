"""`ctdenoise inspect` on the command line."""

from __future__ import annotations

import json

from tests.dicom.builders import ct_series, marked_volume, series_files
from tests.e2e.commands import ctdenoise


def test_inspect_prints_a_table_a_series_in_depth_and_json(tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume()))
    table = ctdenoise("inspect", tmp_path / "study")
    assert (table.code, "36x40" in table.stdout) == (0, True)
    deep = ctdenoise("inspect", tmp_path / "study", "--series", "1")
    assert "rows run to the left" in deep.stdout
    assert "denoise to DICOM  yes" in deep.stdout
    record = json.loads(ctdenoise("inspect", tmp_path / "study", "--json", "--noise").stdout)
    assert record["series"][0]["noise"]["slices"]


def test_a_contact_sheet_is_written_where_it_was_asked_for(tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume()))
    done = ctdenoise("inspect", tmp_path / "study", "--contact-sheet", tmp_path / "sheet.png")
    assert done.code == 0, done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 1000


def test_what_is_said_of_several_series_is_said_once(tmp_path):
    for name in ("1", "2"):
        datasets = ct_series(marked_volume(seed=int(name)), series=name)
        for dataset in datasets:
            dataset.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        series_files(tmp_path / name, datasets)
    table = ctdenoise("inspect", tmp_path)
    assert table.stdout.count("is a derived image") == 1
    assert "series 1, 2\n" in table.stdout


def test_a_warning_is_shown_once_however_often_a_series_is_opened(tmp_path):
    datasets = ct_series(marked_volume())
    series_files(tmp_path, [*datasets[:2], *datasets[3:]])
    done = ctdenoise("inspect", tmp_path, "--series", "1", "--noise")
    assert done.stderr.count("uneven spacing") == 1
