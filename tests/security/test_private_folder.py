"""Nobody but the user who runs the server can look into its folder, or put another there."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ctdenoise.config.secrets import SecretSettings
from ctdenoise.errors import OutputError, UsageError
from ctdenoise.jobs.private_folder import private_folder, private_process

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_is_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = private_folder(tmp_path / "new" / "state")
    finally:
        os.umask(before)
    assert mode(folder) == 0o700


def test_an_empty_folder_that_is_open_is_closed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    assert mode(private_folder(tmp_path / "state")) == 0o700


@pytest.mark.parametrize("open_to", [0o750, 0o705, 0o770, 0o711])
def test_a_folder_that_others_may_enter_and_that_holds_something_is_refused(
    tmp_path: Path, open_to: int
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "ledger.sqlite").touch()
    folder.chmod(open_to)
    with pytest.raises(UsageError, match="others may enter it") as refused:
        private_folder(folder)
    assert "chmod" in str(refused.value)
    assert mode(folder) == open_to


def test_a_folder_that_holds_something_and_is_private_is_taken(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    (folder / "ledger.sqlite").touch()
    assert private_folder(folder) == folder.resolve()


@needs_root
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, -1)
    with pytest.raises(UsageError, match="belongs to user 12345"):
        private_folder(folder)


@needs_root
def test_a_folder_below_one_of_another_user_is_refused(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir(mode=0o755)
    os.chown(above, 12345, -1)
    with pytest.raises(UsageError, match="can replace it"):
        private_folder(above / "state")


def test_a_folder_below_one_that_all_may_write_to_is_refused(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(UsageError, match="everybody who may write"):
        private_folder(above / "state")
    above.chmod(0o1777)  # as /tmp: nobody can rename what is another's
    private_folder(above / "state")


def test_a_link_is_followed_once_and_what_it_names_is_judged(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    assert private_folder(tmp_path / "link") == (tmp_path / "real").resolve()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(UsageError, match="no folder"):
        private_folder(tmp_path / "state")
    with pytest.raises((UsageError, OutputError)):
        private_folder(tmp_path / "state" / "inside")


def test_what_a_private_process_and_its_children_write_is_closed_to_others(tmp_path: Path) -> None:
    child = "import os, tempfile; print(tempfile.gettempdir()); os.mkdir('made'); open('file', 'w')"
    before = (tempfile.gettempdir(), os.environ.get("TMPDIR"))
    with private_process(tmp_path / "temporary"):
        said = subprocess.run(
            [sys.executable, "-c", child], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        (tmp_path / "ours").touch()
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).parent == tmp_path / "temporary"
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    assert said.stdout.strip() == str(tmp_path / "temporary")
    assert [mode(tmp_path / name) for name in ("ours", "file", "made")] == [0o600, 0o600, 0o700]
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_a_secret_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text("very-secret\n")
    file.chmod(0o644)
    assert SecretSettings(file=file).read() == "very-secret"
    assert "others can read" in caplog.text
    assert "very-secret" not in caplog.text
    caplog.clear()
    file.chmod(0o600)
    SecretSettings(file=file).read()
    assert caplog.text == ""
