"""What is sent to Orthanc is found there, and comes back as it was, by DIMSE and by DICOMweb."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import subprocess
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from ctdenoise.cli.app import app
from ctdenoise.cli.failure import guarded
from tests.dicom.builders import PATIENT_NAME, ct_series, marked_volume, series_files, uid
from tests.pacs.listening import dcmtk

STUDY = uid("study")


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and standard output of `ctdenoise pacs ...`."""
    from ctdenoise.cli import console

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        console.STDOUT.file = text
        code = guarded(app, ["pacs", *map(str, arguments)])
    return code, text.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    """The data set of every file of a folder, and its transfer syntax, by SOPInstanceUID."""
    found = {}
    for path in folder.rglob("*.dcm"):
        meta = dcmread(path, stop_before_pixels=True).file_meta
        start = 132 + 12 + meta.FileMetaInformationGroupLength
        syntax = meta.TransferSyntaxUID.encode()
        found[str(meta.MediaStorageSOPInstanceUID)] = syntax + path.read_bytes()[start:]
    return found


def there_and_back(orthanc, sent: Path, out: Path, to: str):
    """Send, look, get; what each step said."""
    peer = orthanc.web if to == "web" else orthanc.dimse
    said = [run("echo", peer), run("send", sent, "--to", peer), run("send", sent, "--to", peer)]
    found = {
        level: json.loads(run("find", peer, "--level", level, "--study", STUDY, "--json")[1])
        for level in ("study", "series", "image")
    }
    said.append(run("get", peer, "--study", STUDY, "--out", out / "all"))
    series = uid("series", "2")
    said.append(run("get", peer, "--study", STUDY, "--series", series, "--out", out / "one"))
    return {"said": said, "found": found, "stored": orthanc.json("/statistics")["CountInstances"]}


@pytest.fixture(params=["dimse", "web"])
def to(request) -> str:
    return request.param


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless],
    ids=["explicit", "implicit", "jpeg-ls"],
)
def test_a_study_comes_back_from_orthanc_as_it_was_sent(beside_orthanc, tmp_path, to, syntax):
    for number in ("1", "2"):
        datasets = ct_series(marked_volume(slices=3, seed=int(number)), series=number)
        series_files(tmp_path / "sent" / number, datasets, syntax=syntax)
    result = beside_orthanc(there_and_back, sent=tmp_path / "sent", out=tmp_path, to=to)
    assert [code for code, _ in result["said"]] == [0] * 5, result["said"]
    assert result["stored"] == 6
    sent, back = contents(tmp_path / "sent"), contents(tmp_path / "all")
    assert back.keys() == sent.keys()
    assert back == sent
    assert contents(tmp_path / "one") == contents(tmp_path / "sent" / "2")
    assert [len(result["found"][level]) for level in ("study", "series", "image")] == [1, 2, 6]
    assert result["found"]["series"][0]["StudyDescription"] == "Chest"
    assert all(not path.name.startswith("1.2") for path in (tmp_path / "all").iterdir())


def values(folder: Path) -> dict[str, tuple[str, Dataset]]:
    """Transfer syntax and every value of the files of a folder, by SOPInstanceUID.

    Orthanc writes lengths of groups and of sequences anew, and cuts padding off the end.
    """
    found = {}
    for path in folder.glob("*.dcm"):
        file = dcmread(path)
        dataset = Dataset({e.tag: e for e in file if e.tag.element and e.tag.group != 0xFFFC})
        found[str(file.SOPInstanceUID)] = (str(file.file_meta.TransferSyntaxUID), dataset)
    return found


def every_syntax(orthanc, sent: Path, out: Path):
    for to, peer in (("dimse", orthanc.dimse), ("web", orthanc.web)):
        assert run("send", sent, "--to", peer)[0] == 0
        for study in json.loads(run("find", peer, "--json")[1]):
            name = out / f"{to}-{study['StudyInstanceUID']}"
            code, text = run("get", peer, "--study", study["StudyInstanceUID"], "--out", name)
            assert code == 0, text
    return orthanc.json("/statistics")["CountInstances"]


@pytest.mark.ctdata
def test_real_images_in_all_transfer_syntaxes_come_back_as_they_were_sent(
    beside_orthanc, ctdata, tmp_path
):
    taken: dict[str, Path] = {}
    for path in sorted((ctdata / "zoo" / "nema_transfer_syntaxes").iterdir()):
        with contextlib.suppress(InvalidDicomError):
            taken.setdefault(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID), path)
    (tmp_path / "sent").mkdir()
    for number, path in enumerate(taken.values()):
        (tmp_path / "sent" / f"{number}.dcm").write_bytes(path.read_bytes())
    stored = beside_orthanc(every_syntax, sent=tmp_path / "sent", out=tmp_path)
    sent = values(tmp_path / "sent")
    assert stored == len(sent) == len(taken)
    for to in ("dimse", "web"):
        back = {}
        for folder in tmp_path.glob(f"{to}-*"):
            back |= values(folder)
        assert back.keys() == sent.keys()
        assert [uid for uid, dataset in sent.items() if back[uid] != dataset] == []


def looks(orthanc, folder: Path):
    orthanc.store(folder)
    answers = {}
    for name, peer in (("dimse", orthanc.dimse), ("web", orthanc.web)):
        for key, options in {
            "named": ("--patient", "--patient-name", "Mark*"),
            "nobody": ("--patient-name", "Nobody*"),
            "date": ("--date", "20240101-20240103"),
            "other date": ("--date", "-20231231"),
            "accession": ("--accession", "ACC42"),
            "chest": ("--description", "Ch*"),
            "series": ("--level", "series", "--description", "Series?2", "--study", STUDY),
        }.items():
            answers[f"{name} {key}"] = json.loads(run("find", peer, *options, "--json")[1])
        answers[f"{name} table"] = run("find", peer)
        answers[f"{name} table of series"] = run("find", peer, "--level", "series")
        answers[f"{name} csv"] = run("find", peer, "--level", "image", "--study", STUDY, "--csv")
    return answers


def test_studies_are_found_by_what_is_known_of_them_and_patients_only_when_asked_for(
    beside_orthanc, tmp_path
):
    for number in ("1", "2"):
        datasets = ct_series(marked_volume(slices=2, seed=int(number)), series=number)
        series_files(tmp_path / number, datasets)
    answers = beside_orthanc(looks, folder=tmp_path)
    for name in ("dimse", "web"):
        counts = {
            key: len(answers[f"{name} {key}"])
            for key in ("named", "nobody", "date", "other date", "accession", "chest", "series")
        }
        assert counts == {
            "named": 1,
            "nobody": 0,
            "date": 1,
            "other date": 0,
            "accession": 1,
            "chest": 1,
            "series": 1,
        }
        assert answers[f"{name} named"][0]["PatientName"] == PATIENT_NAME
        rest = {key: value for key, value in answers.items() if not key.endswith("named")}
        assert "Marker" not in json.dumps(rest)
        assert "PATIENT-4711" not in json.dumps(rest)
        code, table = answers[f"{name} table"]
        assert code == 0
        assert "Chest" in table
        assert STUDY in table
        assert "Series 2" in answers[f"{name} table of series"][1]
        assert len(answers[f"{name} csv"][1].splitlines()) == 1 + 4


def moves(orthanc, folder: Path, kept: Path):
    orthanc.store(folder)
    kept.mkdir()
    server = subprocess.Popen(
        [dcmtk("storescp"), "--bit-preserving", "-aet", "DEST", "-od", str(kept), "11112"]
    )
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", 11112)) == 0:
                    break
            time.sleep(0.02)
        moved = run("move", orthanc.dimse, "--study", STUDY, "--to", "DEST")
        unknown = run("move", orthanc.dimse, "--study", STUDY, "--to", "NOBODY")
    finally:
        server.terminate()
        server.wait(30)
    gone = run("move", orthanc.dimse, "--study", STUDY, "--to", "DEST")
    return {"moved": moved, "unknown": unknown, "gone": gone}


def test_an_archive_moves_a_study_to_another_that_it_knows(beside_orthanc, tmp_path):
    series_files(tmp_path / "sent", ct_series(marked_volume(slices=5)))
    result = beside_orthanc(
        moves,
        folder=tmp_path / "sent",
        kept=tmp_path / "kept",
        settings={"DicomModalities": {"dest": ["DEST", "127.0.0.1", 11112]}},
    )
    assert result["moved"][0] == 0
    assert "Moved 5 instances" in result["moved"][1]
    assert len(list((tmp_path / "kept").iterdir())) == 5
    assert result["unknown"][0] in (4, 5)
    assert result["gone"][0] in (4, 5)
