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
    assert "denoise to DICOM   yes" in deep.stdout
    record = json.loads(ctdenoise("inspect", tmp_path / "study", "--json", "--noise").stdout)
    assert record["series"][0]["noise"]["slices"]


def test_a_contact_sheet_is_written_where_it_was_asked_for(tmp_path):
    series_files(tmp_path / "study", ct_series(marked_volume()))
    done = ctdenoise("inspect", tmp_path / "study", "--contact-sheet", tmp_path / "sheet.png")
    assert done.code == 0, done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 1000
