from __future__ import annotations

import csv
import json

import pytest

from ctdenoise.errors import InputError, OutputExistsError, UsageError
from ctdenoise.report.repeats_page import cut
from ctdenoise.tasks import summarise as task


def row(name, group, rmse_hu, *, course=()):
    training = {"steps": 40, "validation_rmse_hu": course}
    contender = {"name": name, "group": group, "parameters": 1234, "training": training}
    figures = [{"key": "rmse", "value": rmse_hu}, {"key": "psnr[-160,240]", "value": 30.0}]
    return {**contender, "network": "cnn4"}, {"name": name, "metrics": figures}


@pytest.fixture
def comparison(tmp_path):
    """A comparison of two variants with two seeds each, as `compare` writes it."""
    course = [[10, 50.0], [20, 40.0], [40, 30.0]]
    rows = [
        row("a 1", "a", 20.0, course=course),
        row("a 2", "a", 22.0, course=[[step, rmse + 2] for step, rmse in course]),
        row("b 1", "b | c", 19.0),
        row("b 2", "b | c", 20.5),
    ]
    low = {"name": "low dose", "group": "", "network": "", "parameters": None, "training": {}}
    figures = {"name": "low dose", "metrics": [{"key": "rmse", "value": 40.0}]}
    record = {
        "format": "ctdenoise comparison",
        "title": "Gates",
        "rows": [low, *(contender for contender, _ in rows)],
        "conditions": [
            {
                "truth": "exact",
                "dose_fraction": 0.25,
                "slices": 8,
                "patients": 2,
                "words": "Few.",
                "rows": [figures, *(own for _, own in rows)],
            }
        ],
    }
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "comparison.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_rows_of_a_group_become_one_row_with_its_spread(comparison, tmp_path):
    report = task.run([comparison], out=tmp_path / "out")
    ((title, _, table),) = report.tables
    assert title == "Gates"
    assert [cells[0] for cells in table.rows] == ["low dose", "a", "b | c"]
    column = table.heads.index("RMSE (HU)")
    assert [cells[column] for cells in table.rows] == ["40.00", "21.00 ± 1.41", "19.75 ± 1.06"]


def test_the_course_is_read_at_a_quarter_and_at_half_of_the_steps(comparison, tmp_path):
    report = task.run([comparison], out=tmp_path / "out")
    first = report.tables[0][-1].rows[1]
    assert first[-2:] == ("51.00 ± 1.41", "41.00 ± 1.41")


def test_the_file_has_the_differences_from_the_first_variant(comparison, tmp_path):
    task.run([comparison], out=tmp_path / "out")
    with (tmp_path / "out" / "summary.csv").open(encoding="utf-8", newline="") as file:
        lines = {(line["variant"], line["figure"]): line for line in csv.DictReader(file)}
    less = lines["b | c", "rmse"]
    assert float(less["less_the_first"]) == -1.25
    assert float(less["less_the_first_deviation"]) == pytest.approx(0.125**0.5)


def test_trainings_named_in_another_order_are_set_against_each_other_by_seed(comparison, tmp_path):
    file = comparison / "comparison.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    for contender, seed in zip(record["rows"][1:], (1, 2, 2, 1), strict=True):
        contender["training"]["seed"] = seed
    file.write_text(json.dumps(record), encoding="utf-8")
    task.run([comparison], out=tmp_path / "out")
    with (tmp_path / "out" / "summary.csv").open(encoding="utf-8", newline="") as opened:
        lines = {(line["variant"], line["figure"]): line for line in csv.DictReader(opened)}
    deviation = float(lines["b | c", "rmse"]["less_the_first_deviation"])
    assert deviation == pytest.approx(2 * 3.5 / 2 / 2**0.5)  # 19.0 - 22.0 and 20.5 - 20.0


def test_doses_of_one_comparison_are_told_apart(comparison, tmp_path):
    file = comparison / "comparison.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["conditions"].append({**record["conditions"][0], "dose_fraction": 0.1})
    file.write_text(json.dumps(record), encoding="utf-8")
    report = task.run([comparison], out=tmp_path / "out")
    assert len({condition for _, condition, _ in report.tables}) == 2
    for name in ("tables.md", report.page.name):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "25 % dose against the exact truth" in text
        assert "10 % dose against the exact truth" in text
    with (tmp_path / "out" / "summary.csv").open(encoding="utf-8", newline="") as file:
        lines = [
            tuple(line[key] for key in ("comparison", "truth", "dose_fraction", "variant"))
            for line in csv.DictReader(file)
            if line["figure"] == "rmse"
        ]
    assert len(set(lines)) == len(lines) == 4
    assert ("Gates", "exact", "0.1", "a") in lines


def test_the_page_and_the_tables_hold_every_variant(comparison, tmp_path):
    report = task.run([comparison, comparison], out=tmp_path / "out", title="All of them")
    page = report.page.read_text(encoding="utf-8")
    assert page.count("<h2>Gates</h2>") == 2
    assert "<h1>All of them</h1>" in page
    tables = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8").splitlines()
    widths = {line.count("|") for line in tables if line.startswith("|")}
    assert len(widths) == 1  # a bar in a name ends no cell


def test_what_is_no_comparison_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no comparison to summarise"):
        task.run([], out=tmp_path / "out")
    (tmp_path / "comparison.json").write_text('{"format": "else"}', encoding="utf-8")
    with pytest.raises(InputError, match="no comparison of"):
        task.run([tmp_path], out=tmp_path / "out")
    with pytest.raises(InputError, match="can be read"):
        task.run([tmp_path / "nowhere"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_taken_folder_is_refused(comparison, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(OutputExistsError):
        task.run([comparison], out=tmp_path / "out")


def test_a_course_far_above_the_others_neither_flattens_them_nor_takes_the_axis_below_zero():
    assert cut((-25.0, 550.0), lowest=16.0) == (0.0, 48.0)
    assert cut((15.0, 20.0), lowest=16.0) == (15.0, 20.0)
