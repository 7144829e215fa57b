from __future__ import annotations

import errno
import os

import pytest

from ctdenoise.errors import OutputError, OutputExistsError
from ctdenoise.io.staging import require_free_folder, staged_file, staged_folder


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_folder_appears_whole_when_the_block_ends(tmp_path):
    out = tmp_path / "deep" / "out"
    with staged_folder(out) as stage:
        (stage / "a.txt").write_text("x")
        assert not out.exists()
    assert names(out) == ["a.txt"]
    assert names(out.parent) == ["out"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failed_or_stopped_run_leaves_nothing(tmp_path, failure):
    out = tmp_path / "deep" / "out"

    def run():
        with staged_folder(out) as stage:
            (stage / "a.txt").write_text("x")
            raise failure

    with pytest.raises(failure):
        run()
    assert names(tmp_path) == []


def test_a_folder_that_holds_something_is_never_touched(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    with pytest.raises(OutputExistsError, match="exists already"), staged_folder(out):
        pytest.fail("the block must not run")
    assert (out / "old.txt").read_text() == "old"


def test_an_empty_folder_is_free(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with staged_folder(out) as stage:
        (stage / "a").write_text("x")
    assert names(out) == ["a"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path):
    def run():
        with staged_folder(tmp_path / "out") as stage:
            (stage / "half").write_text("x")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="disk is full") as caught:
        run()
    assert caught.value.exit_code == 3
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_run_here_are_removed_and_those_of_others_kept(tmp_path):
    dead = 2**22 + 1  # above the largest process number of Linux
    with staged_folder(tmp_path / "place") as stage:
        here = stage.name.removeprefix(f".ctdenoise-partial-{os.getpid()}.").partition("-")[0]
    killed, running, elsewhere, of_another = (
        f".ctdenoise-partial-{dead}.{here}-ab-out",
        f".ctdenoise-partial-{os.getppid()}.{here}-ab-out",
        f".ctdenoise-partial-{dead}.{here[::-1]}0-ab-out",  # of a machine that shares the folder
        f".ctdenoise-partial-{dead}.{here}-ab-other",
    )
    for name in (killed, running, elsewhere, of_another):
        (tmp_path / name).mkdir()
    with staged_folder(tmp_path / "out"):
        pass
    assert set(names(tmp_path)) == {running, elsewhere, of_another, "place", "out"}


def test_a_file_is_replaced_in_one_step_or_not_at_all(tmp_path):
    path = tmp_path / "model.bin"
    path.write_text("old")

    def run():
        with staged_file(path) as stage:
            stage.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert path.read_text() == "old"
    with staged_file(path) as stage:
        stage.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["model.bin"]


def test_a_file_in_a_new_folder_leaves_no_folder_where_the_disk_is_full(tmp_path):
    def run():
        with staged_file(tmp_path / "new" / "below" / "table.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="disk is full"):
        run()
    assert names(tmp_path) == []
    with staged_file(tmp_path / "new" / "table.csv") as stage:
        stage.write_text("x")
    assert names(tmp_path / "new") == ["table.csv"]


def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with (
        pytest.raises(OutputError, match="read-only"),
        staged_file(tmp_path / "new" / "table.csv"),
    ):
        pass


def test_a_place_below_a_file_or_with_too_long_a_name_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="a file lies where a folder is to be made"):
        require_free_folder(tmp_path / "file" / "deep" / "out")
    with pytest.raises(OutputError, match="the name is too long"):
        require_free_folder(tmp_path / ("n" * 300))


def test_a_folder_without_permission_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OutputError, match="no permission"):
        require_free_folder(tmp_path / "new" / "out")


def test_a_place_where_no_folder_can_be_made_is_told_in_words(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(OutputError, match="no folder can be made"), staged_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_output_that_appeared_meanwhile_is_kept_and_told_in_words(tmp_path, kind):
    out = tmp_path / "out"

    def other_run():
        if kind == "file":
            out.write_text("theirs")
        else:
            out.mkdir()
            (out / "theirs").write_text("theirs")

    with pytest.raises(OutputExistsError, match="while this run was working"), staged_folder(out):
        other_run()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (out if kind == "file" else out / "theirs").read_text() == "theirs"


def test_a_full_disk_inside_an_output_is_told_of_the_output(tmp_path):
    def fill():
        with staged_folder(tmp_path / "out") as stage, staged_folder(stage / "dicom"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="disk is full") as caught:
        fill()
    assert str(caught.value.where) == str(tmp_path / "out")
