"""The server says and writes nothing of whose studies it receives, makes, refuses or gives up.

Everything that it says is kept at the level DEBUG, by a root logger that is not its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from ctdenoise.io.dicom_file import quiet_pydicom
from ctdenoise.jobs.job import Job
from ctdenoise.jobs.ledger import Ledger
from tests.dicom.builders import series_files
from tests.e2e.commands import ctdenoise
from tests.pacs.destination import Destination, destination
from tests.pacs.senders import by_pynetdicom
from tests.security.listening import Heard, loud_environment
from tests.security.marked import ROOT_UID, leaks, leaks_below, marked_series, marker_of
from tests.security.running import Running, free_port, running, wait_until

Edit = Callable[[Dataset, int], None]


def of_study(number: int, spoil: Edit) -> list[Dataset]:
    """A marked study of its own."""
    datasets = marked_series(slices=3)
    for index, dataset in enumerate(datasets):
        for keyword, end in (
            ("StudyInstanceUID", "1"),
            ("SeriesInstanceUID", "2"),
            ("SOPInstanceUID", f"3.{index}"),
        ):
            setattr(dataset, keyword, f"{ROOT_UID}.{number}.{end}")
        spoil(dataset, index)
    return datasets


def without_rescale(dataset: Dataset, index: int) -> None:
    del dataset.RescaleSlope, dataset.RescaleIntercept


def unplaced(dataset: Dataset, index: int) -> None:
    del dataset.ImagePositionPatient


def bad_values(dataset: Dataset, index: int) -> None:
    with quiet_pydicom():  # it would quote them
        dataset.OperatorsName = f"{marker_of('OperatorsName')}^" * 40
        dataset.StudyTime = "ZQMARKER99999"
        dataset.PatientAge = "ZQMARKER"


def of_another_kernel(dataset: Dataset, index: int) -> None:
    dataset.ConvolutionKernel = "B70f"


def changed(dataset: Dataset, index: int) -> None:
    dataset.PixelData = dataset.PixelData[::-1]


def written(folder: Path, datasets: list[Dataset]) -> list[Path]:
    with quiet_pydicom():
        return series_files(folder, datasets)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def heard(folder: Path) -> Heard:
    (folder / "loud").mkdir()
    return Heard(folder / "loud")


@pytest.fixture(scope="module")
def place(folder: Path) -> Iterator[Destination]:
    with destination(folder / "destination") as there:
        yield there


def settings_of(place: Destination) -> dict[str, Any]:
    here = {"kind": "dimse", "host": "127.0.0.1", "ae_title": "DESTINATION"}
    again = {"tries": 2, "first_wait_s": 0.1, "factor": 1.0, "longest_wait_s": 0.1}
    rules = (
        (
            "to nobody",
            {"thickness_mm": [4, 6]},
            {"do": {"model": "identity", "send_to": ["nobody"]}},
        ),
        ("hard", {"kernel": "B7.*"}, {"skip": "hard kernels are left alone"}),
        ("soft", {"modality": "CT"}, {"do": {"model": "identity", "send_to": ["place"]}}),
    )
    return {
        "inbox": {"free_mb": 0},
        "completeness": {"quiet_s": 0.5, "longest_wait_s": 60},
        "rules": [{"name": name, "when": when, **what} for name, when, what in rules],
        "peers": {"place": {**here, "port": place.port}, "nobody": {**here, "port": free_port()}},
        "executor": {"place": {"name": "in-process"}, "threads": 1},  # so that it is heard
        "send_again": again,
        "work_again": again,
        "log": {"level": "debug", "format": "json"},
    }


def thick(dataset: Dataset, index: int) -> None:
    dataset.SliceThickness = "5"


@pytest.fixture(scope="module")
def server(folder: Path, heard: Heard, place: Destination) -> Iterator[Running]:
    with running(folder, settings_of(place), loud_environment(heard.folder)) as there:
        yield there


def ended(server: Running) -> list[Job]:
    with Ledger.open(server.state, read_only=True) as ledger:
        return [one for one in ledger.jobs() if one.state in ("done", "refused", "dead-letter")]


STUDIES: dict[int, tuple[Edit, str]] = {
    10: (bad_values, "done"),
    11: (without_rescale, "refused"),
    12: (unplaced, "refused"),
    13: (of_another_kernel, "refused"),
    14: (thick, "dead-letter"),
}


@pytest.fixture(scope="module")
def worked(server: Running, heard: Heard, folder: Path) -> Running:
    """The server after studies of every fate, and after everybody asked it everything."""
    for number, (spoil, _) in STUDIES.items():
        paths = written(folder / str(number), of_study(number, spoil))
        with quiet_pydicom():
            told = by_pynetdicom(paths, server.port, calling="CT-7")
        assert {one.status for one in told} == {0}
    wait_until(lambda: len(ended(server)) == len(STUDIES), what="every study has ended")
    paths = written(folder / "again", of_study(10, changed))
    with quiet_pydicom():
        by_pynetdicom(paths, server.port, calling="CT-7")
    wait_until(lambda: len(ended(server)) > len(STUDIES), what="the conflict was refused")
    for job in ended(server):
        for path in (f"/jobs/{job.id}", f"/jobs/{job.id}?x={ROOT_UID}"):
            heard.add("pages", server.get(path)[1])
        heard.add("jobs", ctdenoise("jobs", "show", server.state, job.id).stdout)
    for path in ("/", "/health", "/ready", "/metrics", "/jobs/none"):
        heard.add("pages", server.get(path)[1])
    for words in (("list",), ("list", "--json"), ("audit",), ("audit", "--json")):
        heard.add("jobs", ctdenoise("jobs", words[0], server.state, *words[1:]).stdout)
    assert server.stop() == 0, server.log.read_text()
    heard.add("what it printed", server.log.read_text())
    return server


def test_studies_end_as_they_should(worked: Running) -> None:
    states = sorted(job.state for job in ended(worked))
    assert states == sorted([*(state for _, state in STUDIES.values()), "refused"])
    assert all(job.reason for job in ended(worked) if job.state != "done")


def test_nothing_that_was_said_names_the_patient(worked: Running, heard: Heard) -> None:
    assert "made" in heard.texts["jobs"]
    assert list(heard.folder.glob("*.log")), "nothing was heard"
    assert heard.leaks() == []


def test_nothing_in_the_state_folder_but_images_and_manifests_names_the_patient(
    worked: Running,
) -> None:
    found = [
        leak
        for leak in leaks_below(worked.state)
        if not leak.where.endswith("manifest.json")  # which instance came from which
    ]
    assert found == []
    manifests = list((worked.state / "results").rglob("manifest.json"))
    assert manifests
    for path in manifests:
        data = path.read_bytes().replace(ROOT_UID.encode(), b"")
        assert leaks(data, "a manifest without UIDs") == []


def test_the_audit_trail_tells_it_all_in_order(worked: Running) -> None:
    done = ctdenoise("jobs", "audit", worked.state, "--json", "--lines", "1000")
    assert done.code == 0, done.stdout
    found = json.loads(done.stdout)
    events = [line["event"] for line in found["lines"]]
    assert events[0] == "started"
    assert events[-1] == "stopped"
    for event in ("received", "made", "sent", "refused", "dead-letter", "conflict"):
        assert event in events
    received = next(line for line in found["lines"] if line["event"] == "received")
    assert received["senders"] == ["CT-7"]
    one = json.loads(
        ctdenoise("jobs", "audit", worked.state, "--json", "--study", f"{ROOT_UID}.10.1").stdout
    )
    assert {line["event"] for line in one["lines"]} == {"received", "conflict"}


def test_everything_in_the_state_folder_is_for_its_user_only(worked: Running) -> None:
    modes = {
        str(path.relative_to(worked.state)): path.stat().st_mode & 0o777
        for path in worked.state.rglob("*")
    }
    assert {name for name, mode in modes.items() if mode & 0o077} == set()
