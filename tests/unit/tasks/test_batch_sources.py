"""Which studies a batch is about, however they are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctdenoise.errors import UsageError
from ctdenoise.tasks.batch_sources import BatchSources, BatchStudy, studies_of


def names(sources: BatchSources, root: Path) -> list[str]:
    return [str(one.paths[0].relative_to(root)) for one in studies_of(sources)]


def test_folders_below_come_in_the_order_of_their_names_and_hidden_ones_not_at_all(tmp_path):
    for name in ("b/1", "b/0", "a/2", ".c/3", "a/.d"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    assert names(BatchSources(below=tmp_path), tmp_path) == ["a", "b"]
    assert names(BatchSources(below=tmp_path, depth=2), tmp_path) == ["a/2", "b/0", "b/1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n\n# no study\n sub/../b \n", [("a", ""), ("b", "")]),
        ("study\na\nb\n", [("a", ""), ("b", "")]),
        ('\ufeffStudy, Name\n"a",first\n\nb,\n', [("a", "first"), ("b", "")]),
    ],
    ids=["lines", "header", "names"],
)
def test_a_list_starts_where_it_lies(tmp_path, text, expected):
    table = tmp_path / "list.csv"
    table.write_text(text, encoding="utf-8")
    wanted = [BatchStudy((tmp_path / path,), name) for path, name in expected]
    assert list(studies_of(BatchSources(table=table))) == wanted


def test_a_table_of_comparisons_has_tests_behind_each_reference(tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("reference,test,test2,name\na,b,c,x\nd,e,,\n")
    found = list(studies_of(BatchSources(table=table), compared=True))
    places = [[path.name for path in one.paths] for one in found]
    assert places == [["a", "b", "c"], ["d", "e"]]


@pytest.mark.parametrize(
    ("text", "compared", "message"),
    [
        ("study,kernel\na,b\n", False, "a column that means nothing: kernel"),
        ("study,name\n,b\n", False, "line 2 of the table names no study"),
        ("reference,test\na,\n", True, "names no reference or no test"),
        ("a\n", True, "the first line of the table must be reference,test"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path, text, compared, message):
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(UsageError, match=message):
        list(studies_of(BatchSources(table=table), compared=compared))


def test_comparing_needs_a_table(tmp_path):
    with pytest.raises(UsageError, match="a reference for each test"):
        list(studies_of(BatchSources(below=tmp_path), compared=True))
    with pytest.raises(UsageError, match="there is no such folder"):
        list(studies_of(BatchSources(below=tmp_path / "none")))
