"""`ctdenoise pacs` shows of a patient what it was asked for and nothing else, errors included.

The peer says more than it was asked, and quotes the patient where it fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.commands import Outcome, ctdenoise
from tests.security.listening import Heard, listening
from tests.security.marked import DAY, ROOT_UID, TIME, leaks_below, marked_study, marker_of

Run = Callable[..., Outcome]
SHOWN = (  # what a list of studies consists of, and is asked for by its command
    ROOT_UID,
    DAY,
    TIME,
    f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}",
    marker_of("StudyDescription"),
    marker_of("SeriesDescription"),
)


@dataclass(frozen=True)
class Peer:
    """A peer that has a marked study.

    Args:
        folder: Where it is told to fail.
        addresses: Of its two ways of speaking.
    """

    folder: Path
    addresses: dict[str, str]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("peer")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.security.marked_peer", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    dimse, web = process.stdout.readline().split()
    yield Peer(
        folder, {"dimse": f"dimse://ANY@127.0.0.1:{dimse}", "web": f"http://127.0.0.1:{web}"}
    )
    process.stdin.close()
    process.stdout.close()
    process.wait(60)


@pytest.fixture
def failing(peer: Peer) -> Iterator[Peer]:
    (peer.folder / "fail").touch()
    yield peer
    (peer.folder / "fail").unlink()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return marked_study(tmp_path_factory.mktemp("sent"), slices=2)


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    with listening(tmp_path / "log") as everything:
        yield everything


@pytest.fixture
def run(heard: Heard, capfd: pytest.CaptureFixture[str]) -> Run:
    def command(*words: str | Path) -> Outcome:
        done = ctdenoise("pacs", *words, "--set", "retry.tries=1")
        heard.add("stdout", done.stdout)
        heard.add("stderr", done.stderr)
        behind = capfd.readouterr()
        heard.add("file descriptors", behind.out + behind.err)
        return done

    return command


@pytest.mark.parametrize("how", ["dimse", "web"])
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)], ids=["table", "json", "csv"])
def test_find_shows_studies_and_no_patients(
    run: Run, heard: Heard, peer: Peer, how: str, form: tuple[str, ...]
) -> None:
    done = run("find", peer.addresses[how], *form)
    assert done.code == 0, done.stderr
    assert ROOT_UID in done.stdout.replace("\n", "")
    assert heard.leaks(*SHOWN) == []


@pytest.mark.parametrize("how", ["dimse", "web"])
def test_find_shows_the_patient_where_it_is_asked_for(run: Run, peer: Peer, how: str) -> None:
    done = run("find", peer.addresses[how], "--patient", "--json")
    assert done.code == 0, done.stderr
    assert marker_of("PatientID") in done.stdout


@pytest.mark.parametrize("how", ["dimse", "web"])
def test_get_names_nothing_after_the_patient(
    run: Run, heard: Heard, peer: Peer, how: str, tmp_path: Path
) -> None:
    done = run("get", peer.addresses[how], "--study", f"{ROOT_UID}.1", "--out", tmp_path / "out")
    assert done.code == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
    assert heard.leaks() == []
    assert leaks_below(tmp_path / "out") == []


def test_send_and_move_name_nobody(run: Run, heard: Heard, peer: Peer, study: Path) -> None:
    assert run("echo", peer.addresses["dimse"]).code == 0
    done = run("send", study, "--to", peer.addresses["dimse"])
    assert done.code == 0, done.stderr
    assert run("move", peer.addresses["dimse"], "--study", f"{ROOT_UID}.1", "--to", "X").code
    assert heard.leaks() == []


@pytest.mark.parametrize("how", ["dimse", "web"])
def test_what_a_peer_says_when_it_fails_is_not_repeated(
    run: Run, heard: Heard, failing: Peer, study: Path, tmp_path: Path, how: str
) -> None:
    address = failing.addresses[how]
    for words in (
        ("find", address),
        ("get", address, "--study", f"{ROOT_UID}.1", "--out", tmp_path / "out"),
        ("send", study, "--to", address),
        ("send", study / "nothing", "--to", address),
    ):
        done = run(*words)
        assert done.code in (3, 4, 5), (words, done.stderr)
        assert done.stderr
    assert heard.leaks() == []
