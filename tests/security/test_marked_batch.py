"""A batch says and writes no more of its patients than the user wrote into its list.

Folders are named after patients here, as they are in practice, so the studies come from a list that
gives them other names; without names the batch makes up its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands import Outcome, ctdenoise
from tests.security.listening import Heard, listening
from tests.security.marked import TEXT, leaks, leaks_below, marked_study


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies in folders with the patient's name, one of them damaged, and lists of them."""
    folder = tmp_path_factory.mktemp("many")
    good = marked_study(folder / f"{TEXT}700^GOOD")
    bad = marked_study(folder / f"{TEXT}701^BAD")
    for path in bad.rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:1200])
    (folder / "named.csv").write_text(f"study,name\n{good},first\n{bad},second\n")
    (folder / "plain.txt").write_text(f"{good}\n{bad}\n")
    return folder


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    with listening(tmp_path / "log") as everything:
        yield everything


def run(heard: Heard, capfd: pytest.CaptureFixture[str], *words: str | Path) -> Outcome:
    done = ctdenoise(*words)
    heard.add("stdout", done.stdout)
    heard.add("stderr", done.stderr)
    behind = capfd.readouterr()
    heard.add("file descriptors", behind.out + behind.err)
    return done


def found_in(out: Path) -> list[object]:
    """Leaks in an output folder; its ledger must know the paths of the studies."""
    return [
        leak
        for leak in leaks_below(out)
        if not leak.where.endswith("manifest.json") and "ledger" not in leak.where
    ]


@pytest.mark.parametrize("listed", ["named.csv", "plain.txt"])
def test_infer(
    heard: Heard,
    capfd: pytest.CaptureFixture[str],
    studies: Path,
    tmp_path: Path,
    listed: str,
) -> None:
    out = tmp_path / "out"
    words = ("batch", "infer", "--studies", studies / listed, "--model", "identity", "--out", out)
    done = run(heard, capfd, *words)
    assert done.code == 4, done.stderr
    for shown in (("list",), ("list", "--json")):
        run(heard, capfd, "jobs", shown[0], out, *shown[1:])
    assert heard.leaks() == []
    assert found_in(out) == []
    assert list(out.rglob("*.dcm"))


def test_with_workers_in_processes(
    heard: Heard, capfd: pytest.CaptureFixture[str], studies: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(
        *(heard, capfd, "batch", "infer", "--studies", studies / "named.csv"),
        *("--model", "identity", "--out", out, "--workers", "1"),
    )
    assert done.code == 4, done.stderr
    assert heard.leaks() == []
    assert found_in(out) == []


@pytest.mark.slow
def test_on_a_cluster(
    heard: Heard, capfd: pytest.CaptureFixture[str], studies: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    out = tmp_path / "out"
    done = run(
        *(heard, capfd, "batch", "infer", "--studies", studies / "named.csv"),
        *("--model", "identity", "--out", out, "--cluster", "local:1"),
    )
    assert done.code == 4, done.stderr
    assert heard.leaks() == []
    assert found_in(out) == []


def test_paths_are_in_the_ledger_and_shown_only_with_details(
    heard: Heard, capfd: pytest.CaptureFixture[str], studies: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("batch", "infer", "--studies", studies / "named.csv", "--model", "identity")
    run(heard, capfd, *words, "--out", out)
    job = ctdenoise("jobs", "list", out, "--json").stdout.split('"id": "')[1].split('"')[0]
    assert leaks(ctdenoise("jobs", "show", out, job).stdout.encode(), "show") == []
    assert leaks(ctdenoise("jobs", "show", out, job, "--details").stdout.encode(), "details")
