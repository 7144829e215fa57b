"""The page by which a denoiser is judged: whatever was measured stands on it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from ctdenoise.report.judgement import JudgementPage, write_judgement
from tests.judgements import page
from tests.unit.report.test_page import Reader


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, JudgementPage, Reader]:
    folder = tmp_path_factory.mktemp("judgement")
    inside = page()
    path = write_judgement(folder, inside)
    return folder, inside, Reader(path.read_text(encoding="utf-8"))


def text_of(reader: Reader) -> str:
    return " ".join(" ".join(reader.text).split())


def test_every_figure_stands_on_the_page_with_its_convention(made):
    _, inside, reader = made
    text = text_of(reader)
    for metric in inside.measured.metrics:
        assert metric.key in text
        assert metric.description in text
        assert metric.text in text
        assert metric.note in text


def test_the_verdict_stands_at_the_top_in_words(made):
    _, _, reader = made
    text = text_of(reader)
    verdict = "Noise falls by 60 %, but contrast of 15 HU lesions of 7 mm falls to 0.41: fails."
    assert text.index(verdict) < text.index("Your scan, before and after")


def test_each_limit_has_its_figure_interval_and_source(made):
    _, _, reader = made
    text = text_of(reader)
    assert "0.39 to 0.43" in text
    assert "at least 0.9" in text
    assert "ours: a denoiser against its input" in text
    assert "cannot be told" in text


def test_every_curve_and_table_is_drawn(made):
    folder, _, reader = made
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert {
        "nps_scan.png",
        "ttf_25.png",
        "dprime_3_hu_10_mm.png",
        "contrast_recovery_table.png",
        "noise_map_input.png",
        "nps_2d_output.png",
        "slice_difference.png",
        "slice_truth.png",
        "place2_output.png",
    } <= names
    assert text_of(reader).count("times what was removed around it") == 2


def test_flags_of_the_training_range_are_shown(made):
    _, _, reader = made
    assert "The pixel spacing is 0.4 mm." in text_of(reader)


def test_what_was_not_measured_is_one_line_that_says_how_to_get_it(made):
    _, _, reader = made
    assert "detectability: add --study lcd" in text_of(reader)


def test_the_page_needs_nothing_from_elsewhere(made):
    folder, _, reader = made
    for address in reader.addresses:
        assert address.startswith(("data:image/png;base64,", "#")), address[:60]
    assert "http" not in text_of(reader)
    assert "<script" not in (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_is_whole_html_and_its_pictures_are_described(made):
    _, _, reader = made
    assert not reader.open
    assert all(reader.alternatives)


def test_words_of_headers_are_text_and_never_markup(made):
    folder, _, reader = made
    assert "B<40>f" in reader.text
    assert "<40>" not in (folder / "index.html").read_text(encoding="utf-8")


def test_print_and_both_themes_are_provided_for(made):
    folder, _, _ = made
    html = (folder / "index.html").read_text(encoding="utf-8")
    assert "@media print" in html
    assert "size: A4" in html
    dark = re.findall(r'media="([^"]*dark[^"]*)"', html)
    assert dark
    assert all(media.startswith("screen") for media in dark), "paper is light"


def test_without_a_scan_its_sections_are_absent(tmp_path):
    path = write_judgement(tmp_path, page(scan=False))
    text = text_of(Reader(path.read_text(encoding="utf-8")))
    assert "Your scan" not in text
    assert "What can still be seen" in text
    assert (tmp_path / "pictures" / "nps_water.png").is_file()
